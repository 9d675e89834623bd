"""Whether a fit can be right: what a result by it would look like, and what stains can be."""

from collections.abc import Callable

import numpy as np

from uhrtranslate.stain.base import Colours, Doubles, Fit
from uhrtranslate.stain.density import TISSUE_DENSITY, amounts, angle, to_density

# By 24 patches of H&E, IHC and photos, and pale copies of one: of well-stained tissue, contrast
# grows 1.5-fold at most, of a copy at half strength twofold (which shows as static).
MOST_GAIN = 1.8
# At least 0.11 of the pixels are stained in good patches, 0.01 in the copy at half strength.
FEWEST_STAINED = 0.04
# Pixels that become black or white in a channel: up to 0.1 of them in good results.
MOST_CLIPPED = 0.25
# Degrees between two stains: 8 to 41 there.
ANGLES = (5.0, 60.0)
# A stain cannot make light; rounding and noise make small negative densities.
LEAST_DENSITY = -0.1
# Of densities, what two stains leave unexplained: 0.11 at most there.
MOST_ERROR = 0.25
# Colours that are looked at.
SAMPLE = 20_000


def doubts(fit: Fit, colours: Colours, mapping: Callable[[Colours], Colours]) -> list[str]:
    """Why a fit is implausible, in a few words each; empty for good fits.

    Args:
        fit: of a slide.
        colours: of the slide's tissue, [n, 3] uint8, at least one.
        mapping: of its colours to the reference's.
    """
    colours = colours[:: max(len(colours) // SAMPLE, 1)]
    density = to_density(colours)
    stained = (density > TISSUE_DENSITY).all(axis=1)
    found = []
    if stained.mean() < FEWEST_STAINED:
        found.append(f"only {stained.mean():.1%} of its tissue is stained")
    after = mapping(colours)
    gain = float(after.std(axis=0).mean() / max(colours.std(axis=0).mean(), 1e-6))
    if gain > MOST_GAIN:
        found.append(f"its contrast, and its noise, would grow {gain:.1f}-fold")
    clipped = _clipped(after) - _clipped(colours)
    if clipped > MOST_CLIPPED:
        found.append(f"{clipped:.0%} of its pixels would become black or white in a channel")
    stains = fit.stains
    if len(stains) == 2:
        found += _of_stains(stains, density[stained])
    return found


def _of_stains(stains: Doubles, density: Doubles) -> list[str]:
    found = []
    between = angle(*stains)
    if not ANGLES[0] <= between <= ANGLES[1]:
        found.append(f"its stains are {between:.0f} degrees apart")
    if stains.min() < LEAST_DENSITY:
        found.append("one of its stains would make light")
    if len(density):
        error = np.linalg.norm(density - amounts(density, stains) @ stains)
        share = float(error / np.linalg.norm(density))
        if share > MOST_ERROR:
            found.append(f"two stains leave {share:.0%} of its densities unexplained")
    return found


def _clipped(colours: Colours) -> float:
    return float(((colours == 0) | (colours == 255)).any(axis=1).mean())
