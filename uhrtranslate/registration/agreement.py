"""How well two patches of one place agree, whatever their stains."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from uhrtranslate.registration.looks import Picture, density

# Patches are compared at about this side in px, and blurred by this standard deviation: what
# neighbouring sections share is tissue, not cells. Of blurs of 0 to 1/8 of the side and windows of
# 1 to 1/4, these tell registered places of three pairs of stains from places beside them best.
SIDE, BLUR = 128, 4.0
# Windows a side, in each of which the patches are correlated.
WINDOWS = 2
# A window that varies less after blurring (std of a picture in 0..1) shows nothing to compare.
FLAT = 0.01


def agreement(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    """The local normalized cross-correlation of two patches: the median of 2 x 2 windows.

    Compared are optical densities, at 128 to 256 px a side and blurred by 1/32 of that. Windows in
    which either shows nothing count as 0.

    Args:
        first, second: [h, w, 3] uint8, of one size.

    Returns: -1..1; about 0 for what has nothing to do with each other.
    """
    one, other = (_blurred(patch) for patch in (first, second))
    halves = [np.array_split(np.arange(n), WINDOWS) for n in one.shape]
    places = [np.ix_(rows, columns) for rows in halves[0] for columns in halves[1]]
    return float(np.median([_correlation(one[place], other[place]) for place in places]))


def _correlation(one: Picture, other: Picture) -> float:
    spreads = float(one.std()), float(other.std())
    if min(spreads) < FLAT:
        return 0.0
    product = float(((one - one.mean()) * (other - other.mean())).mean())
    return product / (spreads[0] * spreads[1])


def _blurred(patch: NDArray[np.uint8]) -> Picture:
    """Its density by averages of boxes of pixels; what is left over at its ends is not seen."""
    factor = max(min(patch.shape[:2]) // SIDE, 1)
    h, w = (n // factor for n in patch.shape[:2])
    boxes = patch[: h * factor, : w * factor].reshape(h, factor, w, factor, -1)
    small = np.asarray(boxes.mean(axis=(1, 3), dtype=np.float32).round(), np.uint8)
    return np.asarray(gaussian_filter(density(small), BLUR * min(h, w) / SIDE), np.float32)
