"""Dense normalization (DN, ECCV 2024): mean and 1/std interpolated between cell centres."""

from dataclasses import dataclass

from torch import Tensor

from uhrtranslate.normalizers.base import Normalizer, linear


@dataclass(frozen=True)
class DN(Normalizer):
    """Bilinear interpolation of mean and of 1/std between the centres of cells (equations 2-3).

    Pixel centres are at half coordinates, as in the authors' code, so the field is symmetric and
    continuous; beyond the outermost centres it is constant.

    If a neighbour is missing, the remaining weights are scaled up. This is exact for every pixel of
    a valid cell, whose own weight is never below 1/4. In missing cells the field fades continuously
    into the fallback.
    """

    fade = 0.25
    published_halo = 16
    published_eps = 1e-7
    published_fill = True

    @property
    def reach(self) -> int:
        """One cell: a pixel lies between the centres of adjacent cells."""
        return 1

    def weights(self, position: Tensor, cells: int) -> Tensor:
        """Linear between the two nearest cell centres; see `Normalizer.weights`."""
        return linear(position, cells)
