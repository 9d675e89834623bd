"""Vahadane et al. (IEEE TMI 2016): stains by sparse non-negative matrix factorisation."""

import numpy as np

from uhrtranslate.stain.base import Colours, Doubles, StainMethod
from uhrtranslate.stain.density import MOST, sparse_amounts, stained, to_density
from uhrtranslate.stain.stains import StainFit, recomposed, stain_fit

PENALTY = 0.1  # lambda of the paper
# Enough for stains that move less than a hundredth of a degree; pixels that are looked at.
ROUNDS = 200
SAMPLE = 20_000
# Haematoxylin and eosin of Ruifrok & Johnston (2001), where the search begins.
START = np.array([[0.650, 0.704, 0.286], [0.072, 0.990, 0.105]])


class Vahadane(StainMethod[StainFit]):
    """Dictionary of two stains, of unit length and non-negative, and sparse non-negative codes."""

    name = "vahadane"
    fit_type = StainFit

    def fit(self, colours: Colours) -> StainFit:
        """See `StainMethod`: exact codes, and block coordinate descent of the dictionary."""
        density = stained(colours)
        density = density[:: max(len(density) // SAMPLE, 1)]
        stains = START / np.linalg.norm(START, axis=1, keepdims=True)
        for _ in range(ROUNDS):
            found = sparse_amounts(density, stains, PENALTY)
            new = _dictionary(density, found, stains)
            if np.abs(new - stains).max() < 1e-5:
                break
            stains = new
        found = sparse_amounts(density, stains, PENALTY)
        return stain_fit(stains, np.percentile(found, MOST, axis=0))

    def transform(self, colours: Colours, source: StainFit, target: StainFit) -> Colours:
        """See `StainMethod`."""
        # The penalty finds the stains; it would make pale tissue paler, so amounts go without.
        return recomposed(sparse_amounts(to_density(colours), source.stains, 0.0), source, target)


def _dictionary(density: Doubles, codes: Doubles, stains: Doubles) -> Doubles:
    """Stains that explain densities best with these codes: Mairal et al. (2010), algorithm 2."""
    a, b = codes.T @ codes, codes.T @ density
    new = stains.copy()
    for j in range(len(new)):
        if a[j, j] <= 0:
            continue
        row = ((b[j] - a[j] @ new) / a[j, j] + new[j]).clip(min=0)
        length = np.linalg.norm(row)
        if length > 0:
            new[j] = row / length
    return new
