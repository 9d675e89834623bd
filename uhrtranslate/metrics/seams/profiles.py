"""The step of colour at every column and every row of an image, measured in one pass.

Two tiles with different statistics differ by a constant along their common border, which may be
very small. So colours are averaged **along** a segment of the border, which cancels texture, before
the two sides are compared. This gives four figures for every column (and every row):

- the **step** between the mean colours of the strips on both sides: what people see;
- the **gradient** between the two adjacent columns: the trace of padding at a border;
- the **surprise**: the step of the innermost pixels minus the slope on both sides, relative to the
  usual value nearby in the same segment. In smooth texture it shows steps that are too small to be
  seen, and an edge of an object counts as a few times the usual value at most;
- the surprise **beyond** the two pixels at the border. Codecs change these two where one of their
  tiles ends, as they have no neighbour to interpolate colours from; that is not a seam.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

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
# Columns within the first number of px are near; those within the second are left out.
NEAR, OWN = 16, 2
# Rows that are read together, a multiple of the segment.
_BAND = 512
_CHANNEL_BAND = 128
# Margin of a band in px, so that its first and last rows have their neighbours.
_MARGIN = NEAR + OWN + 1
# Upper limit of the squared ratio of a step to the usual one.
_MOST = 16.0
# Grey levels: how much rounding to 8 bits changes the mean of a segment; flat areas have this.
_ROUNDING = 0.05
# Brightness and two colour differences, so that the texture of one hides no step of another.
_OPPONENT = np.array([[1 / 3, 1 / 3, 1 / 3], [1, -1, 0], [0.5, 0.5, -1]], np.float32).T


@dataclass(frozen=True, eq=False)
class Profile:
    """The figures of every column (or every row), averaged over its segments.

    All are [n] float64; the i-th value is of the border between columns i - 1 and i; NaN where the
    image's edge is too near.

    Attributes:
        step: between strips of `STRIP` px, in grey levels.
        gradient: between two columns, in grey levels.
        surprise: mean square of the innermost step relative to the usual one.
        beyond: the same for the step from the pixel before the border's two to the one after them.
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
    """Profiles of an image, which is read once in bands; memory grows with its width alone.

    Args:
        read: gives x, y, w, h of the image as RGB, [h, w, 3].
        width, height: of the image in px.
    """
    gathered = _Gathered(width, height)
    for top, bottom in spans(height, _BAND):
        first, last = max(top - _MARGIN, 0), min(bottom + _MARGIN, height)
        gathered.add(read(0, first, width, last - first).astype(np.float32), first, top, bottom)
    return gathered.profiles()


def measure_channels(read: Read, width: int, height: int, count: int) -> list[Profiles]:
    """Profiles of each channel by itself; `read` gives [h, w, count]. See `measure_profiles`."""
    gathered = [_Gathered(width, height) for _ in range(count)]
    for top, bottom in spans(height, _CHANNEL_BAND):
        first, last = max(top - _MARGIN, 0), min(bottom + _MARGIN, height)
        band = read(0, first, width, last - first)
        for channel, one in enumerate(gathered):
            one.add(band[..., channel, None].astype(np.float32), first, top, bottom)
    return [one.profiles() for one in gathered]


def averaged(each: Sequence[Profiles]) -> Profiles:
    """Profiles whose figures are the means of those of several channels of one image."""

    def mean(profiles: list[Profile]) -> Profile:
        return Profile(
            *(
                np.mean([getattr(one, field.name) for one in profiles], axis=0)
                for field in fields(Profile)
            )
        )

    return Profiles(mean([one.columns for one in each]), mean([one.rows for one in each]))


class _Gathered:
    """The figures of an image of this size, band by band."""

    def __init__(self, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._columns, self._rows = np.zeros((5, width)), np.full((4, height), np.nan)

    def add(self, band: NDArray[np.float32], first: int, top: int, bottom: int) -> None:
        """Add the rows `top <= y < bottom` of a band that begins at row `first`."""
        width, columns = self._width, self._columns
        core = band[top - first : bottom - first]
        for start, end in spans(len(core), SEGMENT):
            if end - start == SEGMENT or self._height < SEGMENT:  # shorter pieces have more noise
                columns[:4] += _figures(core[start:end].mean(axis=0)[:, None])
                columns[4] += 1
        whole = width // SEGMENT * SEGMENT or width
        samples = band.shape[2]
        segments = band[:, :whole].reshape(len(band), max(width // SEGMENT, 1), -1, samples)
        found = _figures(segments.mean(axis=2))
        self._rows[:, top:bottom] = found[:, top - first : bottom - first]

    def profiles(self) -> Profiles:
        columns = self._columns
        return Profiles(Profile(*(columns[:4] / np.maximum(columns[4], 1))), Profile(*self._rows))


def _figures(lines: NDArray[np.float32]) -> Floats:
    """Figures of [n, segments, 3 or 1] mean colours, in the order of `Profile`; [4, n]."""
    n = len(lines)
    found = np.full((4, n), np.nan)
    colours = lines.astype(np.float64)
    found[1, 1:] = np.abs(np.diff(colours, axis=0)).mean(axis=(1, 2))
    if n >= 2 * STRIP:
        sums = np.concatenate([np.zeros_like(colours[:1]), np.cumsum(colours, axis=0)])
        strips = (sums[STRIP:] - sums[:-STRIP]) / STRIP
        found[0, STRIP : n - STRIP + 1] = np.abs(strips[STRIP:] - strips[:-STRIP]).mean(axis=(1, 2))
    if n > 2 * _MARGIN:
        colours = colours @ _OPPONENT if colours.shape[2] == 3 else colours
        slopes = np.diff(colours, axis=0)
        inner = slopes[1:-1] - (slopes[:-2] + slopes[2:]) / 2
        for figure, steps in ((2, inner), (3, colours[3:] - colours[:-3])):
            found[figure, 2 : n - 1] = _surprise(np.abs(steps))
        found[2:, :_MARGIN] = found[2:, n - _MARGIN + 1 :] = np.nan
    return found


def _surprise(steps: Floats) -> Floats:
    """Mean squares of [n, segments, colours] relative to the usual value near each; [n]."""
    wide, own = 2 * NEAR + 1, 2 * OWN + 1
    near = uniform_filter1d(steps, wide, axis=0) * wide - uniform_filter1d(steps, own, axis=0) * own
    # From the mean of absolute values to the standard deviation, for a normal distribution.
    usual = near / (wide - own) * np.sqrt(np.pi / 2) + _ROUNDING
    squares: Floats = np.minimum((steps / usual) ** 2, _MOST).mean(axis=(1, 2))
    return squares
