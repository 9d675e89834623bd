"""Patch-wise instance normalization: every cell gets its own statistics, and the seams show."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from uhrtranslate.normalizers.base import one_hot


@dataclass(frozen=True)
class PatchIN:
    """The statistics of the pixel's own cell, constant within the cell."""

    name: ClassVar[str] = "in"
    fade: ClassVar[float] = 1e-6
    averages_rstd: ClassVar[bool] = True
    reach: int = 0
    reciprocal_eps: float = 0.0

    def weights(self, position: Tensor, cells: int) -> Tensor:
        """1 for the pixel's own cell; see `Normalizer.weights`."""
        return one_hot(position.floor().long(), cells)
