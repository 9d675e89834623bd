"""Pyramid pix2pix (Liu 2022): differences after blurring too, which forgive small shifts."""

from typing import Annotated

from pydantic import Field
from torch import Tensor

from uhrtranslate.training.losses import pyramid_l1
from uhrtranslate.training.methods.pix2pix import Pix2Pix, Pix2PixOptions
from uhrtranslate.training.options import GeneratorOptions, Weight


class PyramidOptions(Pix2PixOptions):
    """Options of pyramid pix2pix.

    Attributes:
        pyramid: weights of the differences at 1/2, 1/4, 1/8, ... of the size (S1, S2, S3).
    """

    generator: GeneratorOptions = GeneratorOptions(norm="batch", dropout=True)
    epochs: Annotated[int, Field(ge=0)] = 50
    decay: Annotated[int, Field(ge=0)] = 50
    batch: Annotated[int, Field(ge=1, le=1024)] = 2
    l1: Weight = 25.0
    pyramid: Annotated[tuple[Weight, ...], Field(min_length=1, max_length=6)] = (25.0, 25.0, 25.0)


class PyramidPix2Pix(Pix2Pix):
    """pix2pix with L1 at several sizes."""

    options_class = PyramidOptions
    options: PyramidOptions

    def difference(self, fake: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Pix2Pix`."""
        total, parts = super().difference(fake, b)
        pyramid = pyramid_l1(fake, b, self.options.pyramid)
        return total + pyramid, {**parts, "pyramid": pyramid}
