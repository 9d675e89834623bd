"""The teacher of digital staining: colours of stained images, learned from their lightness."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator
from torch import Tensor, nn

from uhrtranslate.enhance import channels_of
from uhrtranslate.errors import CheckpointError
from uhrtranslate.models.colorizer import Colorizer
from uhrtranslate.models.lab import rgb_to_lab
from uhrtranslate.models.load import load_generator
from uhrtranslate.training.methods.base import GeneratorMethod, Phase, Samples
from uhrtranslate.training.networks.making import make_generator
from uhrtranslate.training.networks.plane_maker import PlaneMaker
from uhrtranslate.training.options import GeneratorOptions, TrainOptions


class ColorizerNetwork(GeneratorOptions):
    """The U-Net that colours grey.

    Attributes:
        inputs: the grey plane that `uhrt translate` gives it.
        norm: batch (the same everywhere at inference) or instance.
    """

    architecture: Literal["colorizer"] = "colorizer"  # type: ignore[assignment]
    inputs: tuple[str, ...] = ("enhanced",)
    norm: Literal["instance", "batch"] = "batch"

    @field_validator("inputs")
    @classmethod
    def _inputs_are_grey(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if channels_of(names) != 1:
            raise ValueError("inputs of a colorizer must be one grey plane, such as enhanced")
        return names


class ColorizerOptions(TrainOptions):
    """The colorizer's options; data.a are the stained images."""

    one_domain: ClassVar[bool] = True
    generator: ColorizerNetwork = ColorizerNetwork()
    epochs: Annotated[int, Field(ge=0)] = 200
    decay: Annotated[int, Field(ge=0)] = 100
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4


class Colorize(GeneratorMethod):
    """L1 of a and b of CIE Lab."""

    options_class = ColorizerOptions
    options: ColorizerOptions

    def __init__(self, options: ColorizerOptions) -> None:
        super().__init__(options)
        self.groups = {"generator": ("A2B",)}
        self.networks = nn.ModuleDict({"A2B": make_generator(options.generator)})
        self.fixed["grey"] = PlaneMaker(("grey",), "B")

    def step(self, samples: Samples) -> Iterator[Phase]:
        """See `Method`."""
        loss = chroma_error(self.networks["A2B"], samples["A"])
        yield Phase("generator", loss, {"chroma": loss})

    def pictures(self, exports: dict[str, nn.Module], samples: Samples) -> list[Tensor]:
        """Grey, its colours, and the goal."""
        grey = self.fixed["grey"](samples["A"])
        return [grey.expand(-1, 3, -1, -1), exports["A2B"](grey), samples["A"]]


def chroma_error(colorizer: nn.Module, stained: Tensor) -> Tensor:
    """Mean absolute difference of a and b, in units of `lab.CHROMA`.

    Args:
        colorizer: a `Colorizer`.
        stained: [n, 3, h, w] in -1..1.
    """
    assert isinstance(colorizer, Colorizer)
    with torch.no_grad():
        light, chroma = rgb_to_lab(stained)
    return F.l1_loss(colorizer.colours(light).float(), chroma)


def load_colorizer(path: Path) -> Colorizer:
    """A trained colorizer.

    Raises:
        CheckpointError: the file cannot be read, or holds something else.
    """
    generator = load_generator(path)
    if not isinstance(generator.module, Colorizer):
        raise CheckpointError(
            f"{path}: is a {generator.info.architecture} generator, not a colorizer; give the "
            "result of a training with method: colorizer."
        )
    return generator.module
