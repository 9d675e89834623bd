"""Whether a fit can be right: what a result by it would look like, and what stains can be."""

from collections.abc import Callable, Sequence

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
# Of densities, what two stains leave unexplained: 0.13 at most there.
MOST_ERROR = 0.25
# It is also too much if it is far beyond that of the run's other slides, as of a third stain or pen
# marks among slides of two stains: by so many standard deviations, which are estimated from the
# median deviation, so that odd slides do not widen them. Of 26 slides of many laboratories in one
# run, the farthest is 6.5 away; of 6 to 12 drawn of them at random, one is named in 3 runs of 100.
# Less than the second number is said of no slide, as slides that are alike differ by little; fewer
# slides than the third do not say what is usual.
FAR, LEAST_FAR_ERROR, FEWEST_SLIDES = 10.0, 0.1, 6
# Standard deviations of a normal distribution in one median absolute deviation.
_DEVIATION = 1.4826
# Colours that are looked at.
SAMPLE = 20_000


def doubts(
    fit: Fit,
    colours: Colours,
    mapping: Callable[[Colours], Colours],
    others: Sequence[float] = (),
) -> list[str]:
    """Why a fit is implausible, in a few words each; empty for good fits.

    Args:
        fit: of a slide.
        colours: of the slide's tissue, [n, 3] uint8, at least one.
        mapping: of its colours to the reference's.
        others: what `unexplained` is of the run's slides, this one may be among them.
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
    if len(fit.stains) == 2:
        found += _of_stains(fit.stains)
        error = unexplained(fit, colours)
        if error is not None and error > (most := most_unexplained(others)):
            told = f"two stains leave {error:.0%} of its densities unexplained"
            typical = f", of the run's slides {np.median(others):.0%}" if most < MOST_ERROR else ""
            found.append(told + typical)
    return found


def unexplained(fit: Fit, colours: Colours) -> float | None:
    """The share of densities that a fit's two stains do not explain: the error of reconstruction.

    Args:
        fit: of a slide.
        colours: of its tissue, [n, 3] uint8.

    Returns:
        Of stained pixels, the norm of what is left beside that of their densities, 0 to 1; None
        without such pixels, or if the fit has no two stains.
    """
    density = to_density(colours[:: max(len(colours) // SAMPLE, 1)])
    density = density[(density > TISSUE_DENSITY).all(axis=1)]
    if len(fit.stains) != 2 or not len(density):
        return None
    left = np.linalg.norm(density - amounts(density, fit.stains) @ fit.stains)
    return float(left / np.linalg.norm(density))


def most_unexplained(others: Sequence[float]) -> float:
    """From which share on a slide is doubted, given those of a run's slides; see `FAR`."""
    if len(others) < FEWEST_SLIDES:
        return MOST_ERROR
    middle = float(np.median(others))
    spread = _DEVIATION * float(np.median(np.abs(np.array(others) - middle)))
    return float(np.clip(middle + FAR * spread, LEAST_FAR_ERROR, MOST_ERROR))


def _of_stains(stains: Doubles) -> list[str]:
    found = []
    between = angle(*stains)
    if not ANGLES[0] <= between <= ANGLES[1]:
        found.append(f"its stains are {between:.0f} degrees apart")
    if stains.min() < LEAST_DENSITY:
        found.append("one of its stains would make light")
    return found


def _clipped(colours: Colours) -> float:
    return float(((colours == 0) | (colours == 255)).any(axis=1).mean())
