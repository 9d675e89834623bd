"""How much more the borders of a grid step than the source does at the same places."""

from dataclasses import dataclass

import numpy as np

from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.measure import relative_steps
from uhrtranslate.metrics.seams.profiles import Profiles

# Of the bootstrap; with fewer borders than the second number there is no interval.
DRAWS, FEWEST = 1000, 3


@dataclass(frozen=True)
class Excess:
    """Mean step at the borders, relative to that elsewhere, over the same of the source.

    Attributes:
        ratio: 1 if the image steps there as its source does.
        low, high: ends of the 95% interval over the choice of borders; None with too few.
    """

    ratio: float
    low: float | None
    high: float | None


def seam_excess(image: Profiles, source: Profiles, grid: Grid, seed: int = 0) -> Excess | None:
    """Compare the steps at borders with those of the source at the same places.

    A picture has steps of its own, which may be more or fewer at the borders than elsewhere; so
    the source, and not 1, is what an image without seams is like.

    Args:
        image, source: of images of one size.
        grid: where the borders are.
        seed: of the bootstrap, in which borders are drawn together with their source's.

    Returns:
        None if there are no borders, or no steps in the source.
    """
    here, there = relative_steps(image, grid), relative_steps(source, grid)
    if here is None or there is None:
        return None
    known = np.isfinite(here) & np.isfinite(there)
    here, there = here[known], there[known]
    if not len(here) or not there.mean() > 0:
        return None
    ratio = float(here.mean() / there.mean())
    if len(here) < FEWEST:
        return Excess(ratio, None, None)
    drawn = np.random.default_rng(seed).integers(0, len(here), (DRAWS, len(here)))
    above, below = here[drawn].mean(axis=1), there[drawn].mean(axis=1)
    ratios = np.divide(above, below, where=below > 0, out=np.full(DRAWS, np.inf))
    low, high = np.quantile(ratios, [0.025, 0.975])
    return Excess(ratio, float(low), float(high) if np.isfinite(high) else None)
