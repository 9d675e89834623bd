"""Pooled normalization: the mean and std of all that lies around a pixel, taken together."""

import math
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor

from uhrtranslate.errors import OptionError
from uhrtranslate.normalizers.base import Normalizer, linear
from uhrtranslate.normalizers.pooling import Pool
from uhrtranslate.options import TranslateOptions

# What `auto` stands for, in cells.
AUTO_BANDWIDTH = 2.0
# Beyond so many bandwidths a Gaussian is at 1% of its height, and is cut off.
CUT = 3.0
# Added to a cell's share of tissue, so that glass far from tissue is not without statistics.
LEAST_SHARE = 0.01
# If the cells around hold less tissue than so many cells full of it, the fallback makes up for it.
ENOUGH_TISSUE = 0.25


@dataclass(frozen=True)
class Pooled(Normalizer):
    """Statistics pooled from cells by the law of total variance, weighted by distance and tissue.

    A cell's entry is the mean and variance of the cells around it taken together: the variance
    within cells, which all other normalizers average, and that between their means, which they
    drop. So contrasts between areas are kept as in a translation of the whole image at once. A
    cell counts by a Gaussian of its distance, by its share of tissue, as bare glass says nothing of
    stains, and by its part inside the image. Entries are interpolated linearly between the centres
    of cells, so the field is continuous.

    As the bandwidth goes to 0, entries become those of DN; as it goes to infinity, the statistics
    of the whole image. Where cells hold hardly any tissue, the thumbnail's statistics take over.

    Attributes:
        bandwidth: standard deviation of the Gaussian in cells; above 0; may be infinite.
        micrometres: the same in micrometres, until `at` knows the cells' size; None if the
            bandwidth was chosen in cells.
    """

    averages_rstd = False
    weighs = True
    bandwidth: float = AUTO_BANDWIDTH
    micrometres: float | None = None

    @classmethod
    def chosen(cls, options: TranslateOptions) -> Self:
        """See `Normalizer`."""
        text = options.bandwidth
        if text.endswith("um"):
            return cls(micrometres=float(text.removesuffix("um")))
        return cls(bandwidth=AUTO_BANDWIDTH if text == "auto" else float(text))

    def at(self, cell_um: float | None, image: str) -> Self:
        """See `Normalizer`; a bandwidth in micrometres becomes one in cells."""
        if self.micrometres is None:
            return self
        if cell_um is None:
            raise OptionError(
                f"{image}: does not say its mpp, which --bandwidth {self.micrometres:g}um needs; "
                "give a number of cells instead."
            )
        return replace(self, bandwidth=self.micrometres / cell_um, micrometres=None)

    def facts(self) -> dict[str, Any]:
        """See `Normalizer`."""
        known = math.isfinite(self.bandwidth)
        return {"bandwidth": round(self.bandwidth, 4) if known else "inf"}

    @property
    def reach(self) -> int:
        """One entry, as a pixel lies between the centres of adjacent cells."""
        return 0 if self.uniform else 1

    @property
    def around(self) -> int | None:
        """Cells within the reach of the Gaussian; None if it is infinitely wide."""
        return math.ceil(CUT * self.bandwidth) if math.isfinite(self.bandwidth) else None

    def weights(self, position: Tensor, cells: int) -> Tensor:
        """Linear between the two nearest entries; see `Normalizer.weights`."""
        return linear(position, cells)

    def counts(self, shares: Tensor) -> Tensor:
        """See `Normalizer`."""
        return shares + LEAST_SHARE

    def pool(self, rows: Tensor, weights: Tensor, tissue: Tensor) -> Pool:
        """See `Normalizer`."""
        cols = weights.shape[1]
        column = torch.arange(cols, dtype=torch.float64)
        if self.uniform:
            down, across = torch.ones_like(rows), torch.ones(1, cols, dtype=torch.float64)
        else:
            down, across = self._gaussian(rows), self._gaussian(column - column[:, None])
        lack = (ENOUGH_TISSUE - across @ (down @ tissue)).clamp(min=0)
        return Pool(down, across, weights, lack)

    def _gaussian(self, distance: Tensor) -> Tensor:
        """How much a cell counts at a distance in cells; 1 at none."""
        height = torch.exp(-0.5 * (distance / self.bandwidth) ** 2)
        return height * (distance.abs() <= CUT * self.bandwidth)
