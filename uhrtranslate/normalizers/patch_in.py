"""Patch-wise instance normalization: each cell has its own statistics, so seams are visible."""

from dataclasses import dataclass

from torch import Tensor

from uhrtranslate.normalizers.base import Normalizer, one_hot


@dataclass(frozen=True)
class PatchIN(Normalizer):
    """The statistics of the pixel's own cell, constant within the cell."""

    own_cell = True

    def weights(self, position: Tensor, cells: int) -> Tensor:
        """1 for the pixel's own cell; see `Normalizer.weights`."""
        return one_hot(position.floor().long(), cells)
