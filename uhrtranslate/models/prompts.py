"""What a latent diffusion model is asked for: a class, and the level it is shown at.

A prompt's identifier takes the place of a text encoder (PathUp, patho-align): each class has one
for whole regions that are shrunk, and one for native patches; one more stands for no prompt.
"""

from dataclasses import dataclass
from typing import Literal

from uhrtranslate.errors import OptionError

Level = Literal["overall", "patch"]
LEVELS: tuple[Level, ...] = ("overall", "patch")


@dataclass(frozen=True)
class Prompts:
    """The prompts of a model.

    Attributes:
        classes: names, in the order of their identifiers; no two are equal.

    Raises:
        OptionError: there is no class, or two have the same name.
    """

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise OptionError(
                f"classes: must be different names, at least one, not {', '.join(self.classes)}."
            )

    def identifier(self, name: str, level: Level) -> int:
        """The identifier of a class at a level.

        Raises:
            OptionError: there is no such class, or no such level; names those that there are.
        """
        if name not in self.classes:
            raise OptionError(
                f"class {name}: the model does not know it; it knows {', '.join(self.classes)}."
            )
        if level not in LEVELS:
            raise OptionError(
                f"level {level}: there is no such level; there are overall and patch."
            )
        return self.classes.index(name) * len(LEVELS) + LEVELS.index(level)

    @property
    def null(self) -> int:
        """The identifier of no prompt, for classifier-free guidance."""
        return len(self.classes) * len(LEVELS)

    @property
    def count(self) -> int:
        """How many identifiers there are, with that of no prompt."""
        return self.null + 1
