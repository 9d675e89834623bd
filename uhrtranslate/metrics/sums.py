"""Sums over pixels that add up over blocks, and the figures they give."""

import math
from dataclasses import dataclass
from typing import Self


class Sums:
    """Sums in the fields of a dataclass, which add up over areas field by field."""

    def __add__(self, other: Self) -> Self:
        """Both areas together."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return type(self)(*(a + b for a, b in pairs))


@dataclass(frozen=True)
class PairSums(Sums):
    """Sums over pairs of values in thousandths of a grey level; exact, so that blocks do not show.

    Attributes:
        count: of pairs (pixels times channels).
        a, b: sums of the first and the second values.
        aa, bb, ab: sums of squares and of products.
    """

    count: int = 0
    a: int = 0
    b: int = 0
    aa: int = 0
    bb: int = 0
    ab: int = 0

    @property
    def mse(self) -> float | None:
        """Mean squared difference in grey levels squared; None without pixels."""
        if not self.count:
            return None
        return (self.aa + self.bb - 2 * self.ab) / self.count / 1e6

    @property
    def psnr(self) -> float | None:
        """Peak signal-to-noise ratio in dB, peak 255; infinite for equals, None without pixels."""
        mse = self.mse
        if mse is None:
            return None
        return 10 * math.log10(255**2 / mse) if mse > 0 else math.inf

    @property
    def pcc(self) -> float | None:
        """Pearson's correlation, -1..1; None where one of the two is flat or empty."""
        n = self.count
        spread = (n * self.aa - self.a**2) * (n * self.bb - self.b**2)
        if not spread:
            return None
        return (n * self.ab - self.a * self.b) / math.sqrt(spread)


@dataclass(frozen=True)
class MapSums(Sums):
    """The sum of a map's values, and how many there are."""

    count: int = 0
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        """The map's mean; None without pixels."""
        return self.total / self.count if self.count else None


@dataclass(frozen=True)
class GradientSums(Sums):
    """Sums of two maps of gradient magnitude, and of their similarity.

    Attributes:
        likeness: of the gradient magnitude similarity (Xue et al. 2014).
        magnitudes: the pairs of magnitudes, in whole thousandths of a grey level per px.
    """

    likeness: MapSums = MapSums()
    magnitudes: PairSums = PairSums()

    @property
    def similarity(self) -> float | None:
        """Mean gradient magnitude similarity, 0..1: edges in the same places, equally strong."""
        return self.likeness.mean

    @property
    def correlation(self) -> float | None:
        """Pearson's correlation of the magnitudes: edges in the same places, of any strength."""
        return self.magnitudes.pcc


# Wang, Simoncelli & Bovik 2003, scale 1 (full resolution) to 5.
MS_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@dataclass(frozen=True)
class MultiScaleSums:
    """Sums of the five maps of MS-SSIM: contrast times structure, with luminance in the last."""

    scales: tuple[MapSums, ...] = (MapSums(),) * len(MS_WEIGHTS)

    def __add__(self, other: "MultiScaleSums") -> "MultiScaleSums":
        """Both areas together."""
        pairs = zip(self.scales, other.scales, strict=True)
        return MultiScaleSums(tuple(a + b for a, b in pairs))

    @property
    def ms_ssim(self) -> float | None:
        """MS-SSIM, 0..1; None for images below 176 px. Negative means of a scale count as 0."""
        product = 1.0
        for sums, weight in zip(self.scales, MS_WEIGHTS, strict=True):
            if sums.mean is None:
                return None
            product *= max(sums.mean, 0.0) ** weight
        return product
