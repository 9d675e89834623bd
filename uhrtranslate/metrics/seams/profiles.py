"""How much the colour steps at every column and every row of an image: one pass, few numbers.

Tiles that came out in colours of their own differ by a constant along their common border, however
small. So colours are averaged **along** a segment of the border, where texture cancels, before the
two sides are compared. These figures come of that for every column (and row):

- the **step**, from the mean of the strip on one side to that on the other: what people see;
- the **gradient**, between the two columns alone: what padding leaves at a border, and no more;
- the **surprise**: the step of the innermost pixels less the slope on both sides of it, over what
  is usual near it in the same segment. A step far below what is seen shows in it where texture is
  calm, and edges of objects count no more than a few times what is usual;
- the surprise **beyond** the two pixels at the border: codecs disturb those where a tile of theirs
  ends, as they have no neighbour to interpolate colours from, and that is no seam.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from uhrtranslate.geometry import spans

Read = Callable[[int, int, int, int], NDArray[np.uint8]]
Floats = NDArray[np.float64]

# px of the strips on both sides of a border that are compared.
STRIP = 8
# px along a border over which colours are averaged.
SEGMENT = 64
# Reach in px of what is near a column, and of a step's own slopes, which are not.
NEAR, OWN = 16, 2
# Rows that are read together, a multiple of the segment.
_BAND = 512
# Margin of a band, so that its first rows know those near them.
_MARGIN = NEAR + OWN + 1
# Squares of a step over the usual one count up to this.
_MOST = 16.0
# Grey levels: what rounding to 8 bits makes of the mean of a segment; flat areas have no more.
_ROUNDING = 0.05
# Brightness, and two differences of colours: their textures do not hide each other's steps.
_OPPONENT = np.array([[1 / 3, 1 / 3, 1 / 3], [1, -1, 0], [0.5, 0.5, -1]], np.float32).T


@dataclass(frozen=True, eq=False)
class Profile:
    """What every column (or every row) steps, on average over its segments.

    All are [n] float64; the i-th value is of the border between columns i - 1 and i; NaN where the
    image's edge is too near.

    Attributes:
        step: between strips of `STRIP` px, in grey levels.
        gradient: between two columns, in grey levels.
        surprise: mean square of the innermost step over the usual one.
        beyond: likewise, of the step from the pixel before the border's two to the one behind them.
    """

    step: Floats
    gradient: Floats
    surprise: Floats
    beyond: Floats


@dataclass(frozen=True, eq=False)
class Profiles:
    """The profiles of an image: of its columns (vertical borders) and of its rows."""

    columns: Profile
    rows: Profile


def measure_profiles(read: Read, width: int, height: int) -> Profiles:
    """Profiles of an image, read once in bands, in memory that grows with its width alone.

    Args:
        read: gives x, y, w, h of the image as RGB, [h, w, 3].
        width, height: of the image in px.
    """
    columns, rows = np.zeros((5, width)), np.full((4, height), np.nan)
    for top, bottom in spans(height, _BAND):
        first, last = max(top - _MARGIN, 0), min(bottom + _MARGIN, height)
        band = read(0, first, width, last - first).astype(np.float32)
        core = band[top - first : bottom - first]
        for start, end in spans(len(core), SEGMENT):
            if end - start == SEGMENT or height < SEGMENT:  # short rests have noise of their own
                columns[:4] += _figures(core[start:end].mean(axis=0)[:, None])
                columns[4] += 1
        whole = width // SEGMENT * SEGMENT or width
        segments = band[:, :whole].reshape(len(band), max(width // SEGMENT, 1), -1, 3)
        found = _figures(segments.mean(axis=2))
        rows[:, top:bottom] = found[:, top - first : bottom - first]
    return Profiles(Profile(*(columns[:4] / np.maximum(columns[4], 1))), Profile(*rows))


def _figures(lines: NDArray[np.float32]) -> Floats:
    """Figures of [n, segments, 3] mean colours, in the order of `Profile`; [4, n]."""
    n = len(lines)
    found = np.full((4, n), np.nan)
    colours = lines.astype(np.float64)
    found[1, 1:] = np.abs(np.diff(colours, axis=0)).mean(axis=(1, 2))
    if n >= 2 * STRIP:
        sums = np.concatenate([np.zeros_like(colours[:1]), np.cumsum(colours, axis=0)])
        strips = (sums[STRIP:] - sums[:-STRIP]) / STRIP
        found[0, STRIP : n - STRIP + 1] = np.abs(strips[STRIP:] - strips[:-STRIP]).mean(axis=(1, 2))
    if n > 2 * _MARGIN:
        colours = colours @ _OPPONENT
        slopes = np.diff(colours, axis=0)
        inner = slopes[1:-1] - (slopes[:-2] + slopes[2:]) / 2
        for figure, steps in ((2, inner), (3, colours[3:] - colours[:-3])):
            found[figure, 2 : n - 1] = _surprise(np.abs(steps))
        found[2:, :_MARGIN] = found[2:, n - _MARGIN + 1 :] = np.nan
    return found


def _surprise(steps: Floats) -> Floats:
    """Mean squares of [n, segments, colours] over what is usual near each; [n]."""
    wide, own = 2 * NEAR + 1, 2 * OWN + 1
    near = uniform_filter1d(steps, wide, axis=0) * wide - uniform_filter1d(steps, own, axis=0) * own
    # The mean of a normal distribution's absolute values, as its standard deviation.
    usual = near / (wide - own) * np.sqrt(np.pi / 2) + _ROUNDING
    squares: Floats = np.minimum((steps / usual) ** 2, _MOST).mean(axis=(1, 2))
    return squares
