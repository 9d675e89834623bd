"""The light enhancement of digital staining: z with c_b(z) = 1 - c_d(x) (equation 1).

c_d is the cumulative distribution of a dark-field image's illuminance, c_b that of bright-field
images. The brightest pixels of the dark-field image become the darkest of the result.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.enhance.illuminance import illuminance
from uhrtranslate.enhance.tally import Tally
from uhrtranslate.pixels import GLASS

# Most that densities grow or shrink: of slides paler than that, noise would be all that is seen.
MOST_TONING = 4.0

Doubles = NDArray[np.float64]


def match(source: Tally, target: Tally, invert: bool = False) -> Doubles:
    """The target's level at each level's quantile of the source, [source.levels] float64.

    As `skimage.exposure.match_histograms`: between levels that the target has, values are
    interpolated, so that 16 bits made from 8 have no gaps. Levels that the source does not have get
    values between those of their neighbours.

    Args:
        source: the histogram of the image.
        target: the histogram that it gets.
        invert: take one minus the quantile. Quantiles are then of mid-rank (half of a level's own
            pixels count as below it), so that inverting twice changes nothing.

    Raises:
        ValueError: a tally is empty.
    """
    have, quantiles = _distribution(source, invert)
    goal, wanted = _distribution(target, invert)
    found = np.interp(1 - quantiles if invert else quantiles, wanted, goal)
    table: Doubles = np.interp(np.arange(source.levels), have, found)
    return table


def inverted(source: Tally, target: Tally) -> Doubles:
    """What inverse matching makes of each level of the source, [source.levels] in 0..255."""
    return match(source, target, invert=True) * (255 / (target.levels - 1))


def standardised(source: Tally, target: Tally) -> Doubles:
    """The source's levels with the target's mean and standard deviation, [source.levels] in 0..255.

    Bright stays bright. A source of one level gets the target's mean.
    """
    (mean, std), (goal, spread) = _moments(source), _moments(target)
    levels = np.linspace(0, 255, source.levels)
    return np.clip((levels - mean) * (spread / std if std > 0 else 0) + goal, 0, 255)


def toned(source: Tally, target: Tally) -> Doubles:
    """The source's levels, as dense as the target, [source.levels] in 0..255.

    Optical densities are multiplied by the ratio of the mean densities of tissue, which makes a
    section as thick and as strongly stained as the target's (Beer and Lambert); white stays white.
    A source or target without tissue is left as it is.
    """
    mine, theirs = _mean_density(source), _mean_density(target)
    ratio = theirs / mine if mine > 0 and theirs > 0 else 1
    ratio = min(max(ratio, 1 / MOST_TONING), MOST_TONING)
    table: Doubles = 255 * np.linspace(0, 1, source.levels) ** ratio
    return table


def _mean_density(tally: Tally) -> float:
    """Of tissue, which is what is darker than glass, -ln of 0..1; 0 if there is none."""
    low, high = GLASS
    levels = np.linspace(0, 255, tally.levels)
    counts = tally.counts * ((high - levels) / (high - low)).clip(0, 1)
    if not counts.any():
        return 0.0
    return float(counts @ -np.log(levels.clip(1) / 255) / counts.sum())


def _moments(tally: Tally) -> tuple[float, float]:
    """Mean and standard deviation in 0..255."""
    if tally.total == 0:
        raise ValueError("a histogram of no pixels")
    levels, shares = np.linspace(0, 255, tally.levels), tally.counts / tally.total
    mean = float(levels @ shares)
    return mean, float(((levels - mean) ** 2 @ shares) ** 0.5)


def _distribution(tally: Tally, middle: bool) -> tuple[Doubles, Doubles]:
    """Levels that occur, and the share of pixels up to each."""
    if tally.total == 0:
        raise ValueError("a histogram of no pixels")
    have = np.flatnonzero(tally.counts)
    counts = tally.counts[have]
    upto = np.cumsum(counts) - (counts / 2 if middle else 0)
    return have.astype(np.float64), upto / tally.total


@dataclass(frozen=True, eq=False)
class Matching:
    """A table of levels, ready to be applied.

    Attributes:
        table: level in -> level out, [256] or [65536] float64.
        top: highest level out, 255 or 65535.
        colour: keep the source's chroma and replace only its luminance; otherwise grey.
    """

    table: Doubles
    top: int = 255
    colour: bool = False

    def apply(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Enhance pixels.

        Args:
            pixels: [..., 3] RGB or [...] grey, of 8 or 16 bits, as the table's length says.

        Returns:
            The same shape, uint8 or uint16 as `top` says.
        """
        kind = np.uint8 if self.top == 255 else np.uint16
        if not (self.colour and pixels.shape[-1] == 3):
            table = (self.table + 0.5).clip(0, self.top).astype(kind)
            grey = table[illuminance(pixels)]
            return np.repeat(grey[..., None], 3, axis=-1) if pixels.shape[-1:] == (3,) else grey
        scale = self.top / (len(self.table) - 1)
        shift = (self.table - np.arange(len(self.table)) * scale).astype(np.float32)
        moved = pixels.astype(np.float32) * scale + shift[illuminance(pixels)][..., None]
        return (moved + 0.5).clip(0, self.top).astype(kind)
