"""Macenko et al. (ISBI 2009): stains are the extreme directions in the plane of densities."""

import numpy as np

from uhrtranslate.stain.base import Colours, StainMethod
from uhrtranslate.stain.density import MOST, amounts, stained, to_density
from uhrtranslate.stain.stains import StainFit, recomposed, stain_fit

# Percentile of the angles that is taken for the extreme: alpha of the paper.
EXTREME = 1.0


class Macenko(StainMethod[StainFit]):
    """Angles of the 1st and 99th percentile in the plane of the two largest eigenvectors."""

    name = "macenko"
    fit_type = StainFit

    def fit(self, colours: Colours) -> StainFit:
        """See `StainMethod`."""
        density = stained(colours)
        _, vectors = np.linalg.eigh(np.cov(density.T))
        plane = vectors[:, [2, 1]]
        # Signs of eigenvectors are arbitrary; tissue lies where densities are positive.
        plane = plane * np.where(plane.sum(axis=0) < 0, -1, 1)
        flat = density @ plane
        angles = np.arctan2(flat[:, 1], flat[:, 0])
        extremes = np.percentile(angles, (EXTREME, 100 - EXTREME))
        stains = np.stack([plane @ (np.cos(a), np.sin(a)) for a in extremes])
        stains = stains / np.linalg.norm(stains, axis=1, keepdims=True)
        return stain_fit(stains, np.percentile(amounts(density, stains), MOST, axis=0))

    def transform(self, colours: Colours, source: StainFit, target: StainFit) -> Colours:
        """See `StainMethod`."""
        return recomposed(amounts(to_density(colours), source.stains), source, target)
