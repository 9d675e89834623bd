"""The planes that a generator takes: made from a picture's pixels, the same wherever it is cut.

A plane's value at a pixel depends on that pixel and on histograms of whole images, so tiles, cells
and training patches get what the whole image would.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.enhance.illuminance import illuminance
from uhrtranslate.enhance.matching import Doubles, Matching, inverted, standardised, toned
from uhrtranslate.enhance.tally import Tally
from uhrtranslate.pixels import Pixels, to_bits
from uhrtranslate.tables import PLANES

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Plane:
    """A kind of input; each member of `tables.PLANES` is one.

    Attributes:
        channels: how many it gives: 3 of the colours, 1 of their luma, 0 for all that the source
            has.
        table: makes what becomes of each level of luma, [levels] in 0..255, from the histograms of
            the whole image and of the target; colours are moved by as much as their luma. None:
            all levels stay.
        of_dark: whether it is made of dark fields only.
    """

    channels: int
    table: Callable[[Tally, Tally], Doubles] | None = None
    of_dark: bool = False


def channels_of(names: Sequence[str]) -> int:
    """Number of channels that planes have together; 0 if they are all that the source has.

    Raises:
        ValueError: the source's own channels are not alone.
    """
    counts = [PLANES[name].channels for name in names]
    if len(counts) > 1 and 0 in counts:
        raise ValueError(f"{names[counts.index(0)]} stands for all channels, and so by itself")
    return sum(counts)


def are_matched(names: Sequence[str]) -> bool:
    """Whether one of the planes needs histograms of the whole image and of the target."""
    return any(PLANES[name].table for name in names)


def are_of_dark(names: Sequence[str]) -> bool:
    """Whether one of the planes is made of dark fields only."""
    return any(PLANES[name].of_dark for name in names)


class Stack:
    """Makes the input of a generator from pixels; a function.

    Attributes:
        planes: in the generator's order, each with its table of levels; None: levels stay.

    Args:
        names: of the planes, in `tables.PLANES`.
        source: the histogram of the whole image that the pixels are from; None if no plane needs
            it.
        target: that of the stained images which the generator was trained with; None likewise.

    Raises:
        ValueError: a histogram is missing or empty.
    """

    def __init__(
        self, names: Sequence[str], source: Tally | None = None, target: Tally | None = None
    ) -> None:
        self.planes: list[tuple[Plane, Doubles | None]] = []
        for plane in (PLANES[name] for name in names):
            if plane.table is None:
                self.planes.append((plane, None))
            elif source is None or target is None:
                raise ValueError("an enhanced plane needs two histograms")
            else:
                self.planes.append((plane, plane.table(source, target)))

    def __call__(self, pixels: Pixels) -> Bytes:
        """Pixels [h, w, c], of 8 or 16 bits, as [h, w, channels] uint8; channels as they are."""
        made = [_made(plane.channels, table, pixels) for plane, table in self.planes]
        return made[0] if len(made) == 1 else np.concatenate(made, axis=-1)


def _made(channels: int, table: Doubles | None, pixels: Pixels) -> Bytes:
    if channels == 0:
        return pixels
    if table is None:
        chosen = illuminance(pixels)[..., None].astype(pixels.dtype) if channels == 1 else pixels
        return to_bits(chosen, 8 * pixels.itemsize).astype(np.uint8, copy=False)
    # A histogram of 16 bits serves thumbnails, which have 8, too.
    levels = Matching(table[:: 257 if len(table) == 65536 and pixels.itemsize == 1 else 1])
    if channels == 1:
        return np.asarray(levels.apply(illuminance(pixels)[..., None]), np.uint8)
    return np.asarray(Matching(levels.table, colour=True).apply(pixels), np.uint8)


# Of a source that is no colour picture.
CHANNELS = Plane(0)
RGB = Plane(3)
GREY = Plane(1)
# The z of "Digital Staining with Knowledge Distillation", as `uhrt enhance` makes it.
ENHANCED = Plane(1, inverted, of_dark=True)
ENHANCED_COLOUR = Plane(3, inverted, of_dark=True)
# What that paper compares it with: grey with the target's mean and contrast.
STANDARDISED = Plane(1, standardised, of_dark=True)
# Grey of any stained slide, as dense as what the generator learned to colour.
TONED = Plane(1, toned)
