"""Options of methods that learn from images at two levels: native patches, and shrunk regions."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from uhrtranslate.training.options import DrawOptions, Images

_Class = Annotated[str, Field(min_length=1, max_length=100)]
Classes = Images | dict[_Class, Images]


class LevelOptions(DrawOptions):
    """How patches of two levels are drawn.

    Attributes:
        shrink: how many times the level `overall` is shrunk: with 4 and patches of 512 px, it
            shows regions of 2048 px. 1: all patches are native.
    """

    shrink: Annotated[int, Field(ge=1, le=64)] = 4


class ImageOptions(LevelOptions):
    """Where an autoencoder's patches come from.

    Attributes:
        images: a folder, an image or a pattern such as `he/*.svs`. Half of the patches are shrunk,
            as far as images are large enough.
    """

    images: Images


class ClassOptions(LevelOptions):
    """Where patches of classes come from.

    Attributes:
        classes: a folder with a folder of images or slides for each class, which is named like it;
            or the folder of each class by its name, in the order of their identifiers.
        overviews: the same of images that are shrunk already, such as those of `uhrt tiles --mpp`;
            they are read as they are. None: regions of `classes` are shrunk.
    """

    classes: Classes
    overviews: Classes | None = None

    @model_validator(mode="after")
    def _has_two_levels(self) -> Self:
        if self.shrink == 1:
            raise ValueError("shrink must be at least 2, so that there are two levels")
        return self
