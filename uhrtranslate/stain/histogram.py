"""Histogram matching of each channel (Gonzalez & Woods, chapter 3)."""

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.stain.base import Colours, Fit, StainMethod, enough, rounded


class HistogramFit(Fit):
    """How many pixels have each grey level.

    Attributes:
        counts: of R, G and B, 256 each.
    """

    counts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    def facts(self) -> dict[str, float]:
        """Means and standard deviations."""
        levels = np.arange(256)
        found = {}
        for name, counts in zip("rgb", self.counts, strict=True):
            mean = float(np.average(levels, weights=counts))
            found[f"mean_{name}"] = mean
            found[f"std_{name}"] = float(np.average((levels - mean) ** 2, weights=counts) ** 0.5)
        return found


class Histogram(StainMethod[HistogramFit]):
    """Each channel gets the distribution of the target's."""

    name = "histogram"
    fit_type = HistogramFit

    def fit(self, colours: Colours) -> HistogramFit:
        """See `StainMethod`."""
        colours = enough(colours)
        counts = [np.bincount(colours[:, c], minlength=256).tolist() for c in range(3)]
        return HistogramFit(counts=(counts[0], counts[1], counts[2]))

    def transform(self, colours: Colours, source: HistogramFit, target: HistogramFit) -> Colours:
        """See `StainMethod`."""
        tables = [
            match(np.array(s), np.array(t))
            for s, t in zip(source.counts, target.counts, strict=True)
        ]
        mapped = np.stack([tables[c][colours[:, c]] for c in range(3)], axis=1)
        return rounded(mapped)


def match(source: NDArray[np.int64], target: NDArray[np.int64]) -> NDArray[np.float64]:
    """The level of the target at each level's quantile of the source, [256] float64.

    Between levels that the target has, values are interpolated. Levels that the source does not
    have lie between their neighbours.

    Args:
        source, target: counts of 256 levels.
    """
    levels = np.arange(len(source))
    have, wanted = source > 0, target > 0
    quantiles = np.cumsum(source)[have] / source.sum()
    goals = np.interp(quantiles, np.cumsum(target)[wanted] / target.sum(), levels[wanted])
    table: NDArray[np.float64] = np.interp(levels, levels[have], goals)
    return table
