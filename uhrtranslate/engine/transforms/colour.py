"""Colour maps as transforms: the result for a pixel depends only on its colour."""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.engine.stream.transform import Transform
from uhrtranslate.geometry import Tile, TilePlan
from uhrtranslate.io import Pixels

# From colours [n, 3] uint8 to colours [n, 3] uint8.
ColourMap = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
# A flag above the three bytes of a colour: it has been computed.
_KNOWN = 1 << 24
# Pixels that are looked up together: few enough for their arrays to stay in the processor's cache.
_AT_ONCE = 1 << 15


class ColourTable:
    """A map of colours whose function is computed once for each colour that occurs.

    A slide of billions of pixels has some hundred thousand colours, so the function may be slow;
    looking a colour up takes two nanoseconds. The table takes 64 MB, whatever the image.
    """

    def __init__(self, function: ColourMap) -> None:
        self._function = function
        # R + 256 G + 65536 B of a colour -> the same of its result, with the flag _KNOWN added.
        self._found = np.zeros(1 << 24, np.uint32)

    def __call__(self, pixels: Pixels) -> Pixels:
        """Map pixels [h, w, 3] uint8; a new array."""
        before = np.ascontiguousarray(pixels).reshape(-1, 3)
        after = np.empty_like(before)
        for start in range(0, len(before), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            index = _packed(before[part])
            mapped = self._found.take(index)
            if mapped.min() < _KNOWN:
                self._learn(np.unique(index[mapped < _KNOWN]))
                mapped = self._found.take(index)
            _unpack(mapped, after[part])
        return after.reshape(pixels.shape)

    def _learn(self, new: NDArray[np.uint32]) -> None:
        colours = np.empty((len(new), 3), np.uint8)
        _unpack(new, colours)
        self._found[new] = _packed(self._function(colours)) | _KNOWN


def _packed(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Colours [..., 3] as numbers [n]: four bytes are read at every third, and the last masked."""
    count = pixels.size // 3
    padded = np.empty(3 * count + 1, np.uint8)
    padded[:-1] = pixels.reshape(-1)
    padded[-1] = 0
    numbers: NDArray[np.uint32] = np.ndarray((count,), "<u4", padded, 0, (3,))
    return numbers & np.uint32(0xFFFFFF)


def _unpack(numbers: NDArray[np.uint32], colours: NDArray[np.uint8]) -> None:
    """Write numbers [n] as colours [n, 3]."""
    four = numbers.astype("<u4", copy=False).view(np.uint8).reshape(-1, 4)
    for channel in range(3):  # numpy's inner loop then runs along the pixels
        colours[:, channel] = four[:, channel]


class ColourTransform(Transform):
    """A function of pixels [h, w, 3] uint8 as a `Transform`; no statistics, a plan without halo."""

    def __init__(self, plan: TilePlan, function: Callable[[Pixels], Pixels]) -> None:
        self.plan = plan
        self._function = function

    def apply(
        self, batches: Iterable[tuple[Sequence[Tile], Sequence[Pixels]]]
    ) -> Iterator[list[Pixels]]:
        """See `Transform`."""
        for tiles, pixels in batches:
            yield [
                self._function(part[tile.crop]) for tile, part in zip(tiles, pixels, strict=True)
            ]
