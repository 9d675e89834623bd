"""Whether seams show at a known grid, from a sample of places: a quick check of a new result.

People see a seam as a step of colour between two areas, not as a gradient of one pixel. So the mean
colours of two strips, one on each side of a border, are compared. The ratio is that of the steps at
borders to the steps between them.
"""

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.metrics.seams.profiles import SEGMENT, STRIP, Read

# Places sampled along each axis: the ratio of an image without seams then lies within about 0.1 of
# 1. With fewer places than the second number, there is no ratio. Of channels, each place costs as
# many times the decoding, so fewer are sampled.
SAMPLES = 96
FEWEST = 16
CHANNEL_SAMPLES = 32


def seam_ratio(
    read: Read, width: int, height: int, spacing: int, samples: int = SAMPLES, seed: int = 0
) -> float | None:
    """Mean colour step at the borders of a grid, divided by the mean step between them.

    Args:
        read: gives x, y, w, h of the image as RGB, [h, w, 3] uint8.
        width, height: of the image in px.
        spacing: of the grid in px; its first line is the image's edge.
        samples: most places along each axis, drawn at random.
        seed: of the draw.

    Returns:
        1 if borders are like any other place, more if they show; None if the image has too few
        borders, or no steps at all (a blank image).
    """
    found = _measured(read, width, height, spacing, samples, seed)
    if found is None:
        return None
    at_border, between = found.mean(axis=1)
    return float(at_border / between) if between > 0 else None


def channel_seam_ratios(
    read: Read, width: int, height: int, spacing: int, samples: int = CHANNEL_SAMPLES, seed: int = 0
) -> list[float] | None:
    """The ratio of each channel by itself; see `seam_ratio`, whose arguments these are.

    `read` gives [h, w, c] of any type. The ratio of a channel without any steps is 1.
    """
    found = _measured(read, width, height, spacing, samples, seed)
    if found is None:
        return None
    at_border, between = found
    ratios: list[float] = np.divide(
        at_border, between, where=between > 0, out=np.ones_like(between)
    ).tolist()
    return ratios


def _measured(
    read: Read, width: int, height: int, spacing: int, samples: int, seed: int
) -> NDArray[np.float64] | None:
    """Mean steps of each channel at the borders and between them, [2, c]."""
    if spacing < 4 * STRIP:
        return None
    random = np.random.default_rng(seed)
    steps = [
        *_steps(read, width, height, spacing, samples, random),
        *_steps(
            lambda x, y, w, h: read(y, x, h, w).transpose(1, 0, 2),
            height, width, spacing, samples, random,
        ),
    ]  # fmt: skip
    if len(steps) < FEWEST:
        return None
    means: NDArray[np.float64] = np.mean(np.asarray(steps, np.float64), axis=0)
    return means


def _steps(
    read: Read, width: int, height: int, spacing: int, samples: int, random: np.random.Generator
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Steps of each channel across vertical borders, and their means up to half-way to the next."""
    half = spacing // 2
    borders = (width - 1 - half - STRIP) // spacing
    if borders < 1:
        return []
    length = min(SEGMENT, height)
    steps = []
    # No place twice: of few borders, all are measured, so that chance has no part in it.
    places = borders * (height // length)
    for place in random.choice(places, min(samples, places), replace=False):
        x, y = spacing * (1 + int(place) % borders), length * (int(place) // borders)
        block = read(x - STRIP, y, half + 2 * STRIP, length).astype(np.float32)
        line = block.mean(axis=0)
        between = [_step(line, at) for at in range(half + STRIP, 3 * STRIP - 1, -2 * STRIP)]
        found: NDArray[np.float32] = np.mean(between, axis=0)
        steps.append((_step(line, STRIP), found))
    return steps


def _step(line: NDArray[np.float32], at: int) -> NDArray[np.float32]:
    """Difference of the means of the strips before and behind a place of a line, [n, c]."""
    left, right = line[at - STRIP : at].mean(0), line[at : at + STRIP].mean(0)
    difference: NDArray[np.float32] = np.abs(left - right)
    return difference
