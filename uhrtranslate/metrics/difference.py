"""How far two pictures of one thing differ, pixel by pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.metrics.planes import Halo, Pixels, inside, same_size

LEVELS = 256


@dataclass(frozen=True, eq=False)
class Differences:
    """How many values of two pictures differ by each number of grey levels, [256] int64."""

    counts: NDArray[np.int64]

    def __add__(self, other: "Differences") -> "Differences":
        """Both areas together."""
        return Differences(self.counts + other.counts)

    @property
    def mean(self) -> float:
        """Mean absolute difference in grey levels."""
        return float(self.counts @ np.arange(LEVELS) / self.counts.sum())

    @property
    def largest(self) -> int:
        """The largest difference in grey levels."""
        return int(np.flatnonzero(self.counts)[-1])

    def above(self, limit: int) -> float:
        """Share of the values that differ by more than this many grey levels."""
        return float(self.counts[limit + 1 :].sum() / self.counts.sum())


def differences(a: Pixels, b: Pixels, halo: Halo) -> Differences:
    """Count the differences of R, G and B of two areas.

    Args:
        a, b: [h, w, 3] uint8.
        halo: px that belong to neighbouring areas.

    Raises:
        ValueError: the two do not fit each other.
    """
    same_size(a, b)
    rows, columns = inside(a, halo)
    apart = np.abs(a[rows, columns].astype(np.int16) - b[rows, columns])
    return Differences(np.bincount(apart.ravel(), minlength=LEVELS))
