"""The planes that a generator takes: made from a picture's pixels, the same wherever it is cut.

A plane's value at a pixel depends on that pixel and on histograms of whole images, so tiles, cells
and training patches get what the whole image would.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.enhance.illuminance import illuminance
from uhrtranslate.enhance.matching import Doubles, Matching, match
from uhrtranslate.enhance.tally import Tally
from uhrtranslate.tables import PLANES

Bytes = NDArray[np.uint8]
Pixels = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Plane:
    """A kind of input; each member of `tables.PLANES` is one.

    Attributes:
        channels: how many it gives; 0 for all that the source has.
        make: takes pixels [h, w, 3] of 8 or 16 bits, and the table of the inverse matching for
            this depth; returns [h, w, channels] uint8, or of channels the pixels as they are.
        matched: whether it needs that table; otherwise it may be empty.
    """

    channels: int
    make: Callable[[Pixels, Doubles], NDArray[Any]]
    matched: bool = False


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
    return any(PLANES[name].matched for name in names)


class Stack:
    """Makes the input of a generator from pixels; a function.

    Args:
        names: of the planes, in `tables.PLANES`, in the generator's order.
        source: the histogram of the whole image that the pixels are from; None if no plane needs
            it.
        target: that of the stained images which the generator was trained with; None likewise.

    Raises:
        ValueError: a histogram is missing or empty.
    """

    def __init__(
        self, names: Sequence[str], source: Tally | None = None, target: Tally | None = None
    ) -> None:
        self._planes: list[Plane] = [PLANES[name] for name in names]
        self._table: Doubles = np.empty(0)
        if are_matched(names):
            if source is None or target is None:
                raise ValueError("an enhanced plane needs two histograms")
            self._table = match(source, target, invert=True) * (255 / (target.levels - 1))

    def __call__(self, pixels: Pixels) -> Bytes:
        """Pixels [h, w, c], of 8 or 16 bits, as [h, w, channels] uint8; channels as they are."""
        # A histogram of 16 bits serves thumbnails, which have 8, too.
        table = self._table[:: 257 if len(self._table) == 65536 and pixels.itemsize == 1 else 1]
        made: list[Bytes] = [plane.make(pixels, table) for plane in self._planes]
        return made[0] if len(made) == 1 else np.concatenate(made, axis=-1)


def _narrow(pixels: Pixels) -> NDArray[Any]:
    """The nearest values of 8 bits, as readers give them."""
    if pixels.itemsize == 1:
        return pixels
    return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)


def _grey(pixels: Pixels) -> NDArray[Any]:
    luma = illuminance(pixels)
    return (luma.astype(np.uint8) if pixels.itemsize == 1 else _narrow(luma))[..., None]


# Of a source that is no colour picture.
CHANNELS = Plane(0, lambda pixels, table: pixels)
RGB = Plane(3, lambda pixels, table: _narrow(pixels))
GREY = Plane(1, lambda pixels, table: _grey(pixels))
# The z of "Digital Staining with Knowledge Distillation", as `uhrt enhance` makes it.
ENHANCED = Plane(
    1, lambda pixels, table: Matching(table).apply(illuminance(pixels)[..., None]), matched=True
)
ENHANCED_COLOUR = Plane(
    3, lambda pixels, table: Matching(table, colour=True).apply(pixels), matched=True
)
