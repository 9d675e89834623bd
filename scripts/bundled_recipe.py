"""The configurations of the bundled generators: all that decides which weights come out.

`configs/train/bundled-*.yaml` hold images (with digests), steps, rates and the seed. What is read
is written into the weights as well, so that a file says how to make it again.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Any, Literal

import skimage.data
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from uhrtranslate.options import read_config

Domain = Literal["H&E", "IHC (DAB)"]
# Images that come with scikit-image have paths that begin so.
SCIKIT_IMAGE = "scikit-image:"


class Part(BaseModel):
    """A part of the configuration; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Picture(Part):
    """A source image.

    Attributes:
        path: below --data, or of scikit-image.
        mpp: micrometres per pixel.
        white: colour of its bare glass, measured.
        licence: under which it may be used.
        nuclear: whether its DAB is in nuclei; else it is in the cytoplasm.
        sha256: digest of the file.
    """

    path: str
    mpp: Annotated[float, Field(gt=0)]
    white: tuple[float, float, float]
    licence: str
    nuclear: bool = True
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]

    def file(self, data: Path) -> Path:
        """The image's file, if it is the one that is meant.

        Raises:
            SystemExit: it is missing, or another one.
        """
        name = self.path.removeprefix(SCIKIT_IMAGE)
        path = (data if name == self.path else Path(skimage.data.__file__).parent) / name
        if not path.is_file():
            raise SystemExit(
                f"{path}: is missing; docs/bundled-generators.md says where it is from"
            )
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.sha256:
            raise SystemExit(
                f"{path}: is another image than the configuration's; its sha256 differs"
            )
        return path


class Phase(Part):
    """A part of the training.

    Attributes:
        steps: how many.
        lr: learning rate at first.
        anew: whether it begins with the weights as a file holds them by then (the average, in half
            floats), other random numbers and nothing that Adam knows.
    """

    steps: Annotated[int, Field(ge=0)]
    lr: Annotated[float, Field(gt=0)]
    anew: bool = False


class Recipe(Part):
    """How a bundled generator is trained.

    Attributes:
        script: what reads this.
        domains: source and target.
        generator: arguments of `ResnetGenerator`.
        seed: of weights and windows.
        own: steps with each patch's own statistics.
        field: steps after them, with those of fields.
        images: of the source domain.
    """

    script: Literal["scripts/train_bundled.py"]
    domains: tuple[Domain, Domain]
    generator: dict[str, int | bool]
    seed: int
    own: Phase
    field: Phase
    images: Annotated[tuple[Picture, ...], Field(min_length=1)]

    def rate(self, step: int) -> float:
        """Learning rate: lower with fields, as their statistics are constants in a step."""
        own, field = self.own, self.field
        if step < own.steps:
            return own.lr * min(1.0, 2 * (own.steps - step) / own.steps + 0.15)
        return field.lr * min(1.0, 2 * (own.steps + field.steps - step) / field.steps)


def read_recipe(path: Path) -> tuple[Recipe, dict[str, Any]]:
    """Read a configuration; and what it says, as it is stored in the weights.

    Raises:
        OptionError: the file is no YAML mapping.
        SystemExit: a key of it is wrong.
    """
    values = read_config(path)
    try:
        return Recipe.model_validate(values), values
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise SystemExit(f"{path}: {place}: {first['msg']}") from None
