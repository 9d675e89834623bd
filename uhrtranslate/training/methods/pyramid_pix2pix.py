"""Pyramid pix2pix (Liu 2022): differences after blurring too, which forgive small shifts."""

from torch import Tensor

from uhrtranslate.training.losses import pyramid_l1
from uhrtranslate.training.method_options import PyramidOptions
from uhrtranslate.training.methods.pix2pix import Pix2Pix


class PyramidPix2Pix(Pix2Pix):
    """pix2pix with L1 at several sizes.

    Args:
        options: of the method.
    """

    options: PyramidOptions

    def difference(self, fake: Tensor, b: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `Pix2Pix`."""
        total, parts = super().difference(fake, b)
        pyramid = pyramid_l1(fake, b, self.options.pyramid)
        return total + pyramid, {**parts, "pyramid": pyramid}
