"""Blocks of codecs, such as those of JPEG, in a profile of an image.

They are 8 or 16 px apart, or at some distance near that if the image was resampled afterwards.
"""

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.metrics.seams.profiles import Floats

# Distances in px that are tried, in how fine steps, and how many robust standard deviations the
# score of a distance must be above the median score.
_SHORTEST, _LONGEST = 6.0, 30.0
_FINENESS = 4
_CERTAIN = 8.0
# Least power of the pattern of medians, as a share of that of the pattern of means.
_TYPICAL = 0.4
# Steps on each side of the best distance that are tried afterwards.
_FINER = 16
# Phases per px, as a period such as 8.9 px is not a whole number of px.
_SUBPIXEL = 3


def find_blocks(places: Floats) -> float | None:
    """Period of a profile in px, not always a whole number; None if it has none.

    Args:
        places: [n], about 0 on average, with a standard deviation of about 1.
    """
    steps = int(_FINENESS * len(places) * (1 / _SHORTEST - 1 / _LONGEST))
    distances = 1 / np.linspace(1 / _SHORTEST, 1 / _LONGEST, steps)
    scores = np.empty(len(distances))
    for i, distance in enumerate(distances):
        number = round(distance)
        phase = _phases(len(places), distance, number)
        counts = np.bincount(phase, minlength=number)
        sums = np.bincount(phase, places, minlength=number)
        scores[i] = ((sums**2 / np.maximum(counts, 1)).sum() - number) / (2 * number) ** 0.5
    best, usual = int(scores.argmax()), np.median(scores)
    spread = 1.4826 * np.median(np.abs(scores - usual))
    if scores[best] < usual + _CERTAIN * spread:
        return None
    distance = _refined(places, float(distances[best]))
    # A few high places, such as the borders of a grid of tiles, change a mean but not a median.
    phase = _phases(len(places), distance, round(distance))
    medians = _medians(places, phase)
    means = np.bincount(phase, places) / np.maximum(np.bincount(phase), 1)
    typical = float((medians[phase] ** 2).mean()) > _TYPICAL * float((means[phase] ** 2).mean())
    return distance if typical else None


def _refined(places: Floats, near: float) -> float:
    """The distance near one, at which the pattern is sharpest from the first block to the last.

    An error of a hundredth of a block adds up to a whole px over the image, and blurs the pattern.
    """
    reach = 1 / (_FINENESS * len(places))
    distances = 1 / (1 / near + np.linspace(-reach, reach, 2 * _FINER + 1))
    powers = []
    for distance in distances:
        number = round(distance) * _SUBPIXEL
        phase = _phases(len(places), distance, number)
        counts = np.bincount(phase, minlength=number)
        sums = np.bincount(phase, places, minlength=number)
        powers.append(float((sums**2 / np.maximum(counts, 1)).sum()))
    return float(distances[int(np.argmax(powers))])


def block_pattern(places: Floats, distance: float) -> Floats:
    """The periodic part of a profile, [n].

    It consists of medians, so a grid of tiles, which has few borders at each phase, is not in it.
    """
    number = round(distance) * _SUBPIXEL
    phase = _phases(len(places), distance, number)
    return _medians(places, phase)[phase]


def _medians(places: Floats, phase: NDArray[np.int64]) -> Floats:
    medians = np.zeros(int(phase.max()) + 1)
    for i in np.unique(phase):
        medians[i] = np.median(places[phase == i])
    return medians


def _phases(n: int, distance: float, number: int) -> NDArray[np.int64]:
    return ((np.arange(n) / distance) % 1 * number).astype(np.int64)
