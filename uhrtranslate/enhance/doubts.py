"""Whether an image is what the enhancement is meant for: bright things on a dark background."""

import numpy as np

from uhrtranslate.enhance.matching import Doubles
from uhrtranslate.enhance.tally import Tally

# Places between the darkest and the brightest hundredth: of the median, and of the most frequent
# level. Dark-field images have 0.30 and 0.10 at most, H&E 0.55 and more, phase contrast 0.29 for
# the second (two dark-field images of cells, a field of galaxies, eight of other kinds).
MEDIAN, COMMONEST = 0.45, 0.22
# The share of the brightest and darkest pixels that is left out.
_TAIL = 0.01
# Levels of 256 around the background over which its noise is followed.
_AROUND = 6


def darkness(tally: Tally) -> tuple[bool, bool]:
    """Whether most of an image is dark, and whether hardly anything is darker than its background.

    Args:
        tally: of the image.
    """
    low, median, high = np.searchsorted(
        np.cumsum(tally.counts) / tally.total, [_TAIL, 0.5, 1 - _TAIL]
    )
    span = max(int(high - low), 1)
    common = background_of(tally)
    return (median - low) / span <= MEDIAN, (common - low) / span <= COMMONEST


def no_dark_field(tally: Tally) -> str | None:
    """Why an image is no dark field, in a few words; None if it may well be one."""
    dark, nothing_darker = darkness(tally)
    if not dark:
        return "most of it is bright"
    if not nothing_darker:
        return "much of it is darker than its background, as in phase contrast"
    return None


def background_of(tally: Tally) -> int:
    """The most frequent level, of 256 bins as wide as the tally's levels allow."""
    step = max(tally.levels // 256, 1)
    bins = tally.counts.reshape(-1, step).sum(axis=1)
    return int(np.argmax(bins)) * step + step // 2


def background_gain(tally: Tally, table: Doubles, top: int) -> float:
    """How much stronger the noise of the background becomes.

    Args:
        tally: of the image.
        table: level in -> level out, [tally.levels].
        top: highest level out.
    """
    reach = max(_AROUND * tally.levels // 256, 1)
    at = background_of(tally)
    first, last = max(at - reach, 0), min(at + reach, tally.levels - 1)
    slope = abs(float(table[last] - table[first])) / max(last - first, 1)
    return slope * (tally.levels - 1) / top


def limited(table: Doubles, gain: float, top: int) -> Doubles:
    """A table no steeper than `gain` at any level, from the darkest level on.

    Args:
        table: level in -> level out, rising or falling.
        gain: most change of the output per change of the input, both as shares of their ranges.
        top: highest level out.
    """
    step = gain * top / (len(table) - 1)
    falls = bool(table[-1] < table[0])
    ramp = step * np.arange(len(table)) * (1 if falls else -1)
    # Never below (above) what any darker level allows.
    flat = table + ramp
    follow = np.maximum.accumulate(flat) if falls else np.minimum.accumulate(flat)
    found: Doubles = np.clip(follow - ramp, 0, top)
    return found
