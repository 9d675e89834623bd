"""Maps of colours as transforms: what a pixel becomes depends on its colour alone."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.engine.rows import Pixels
from uhrtranslate.geometry import Tile, TilePlan

# From colours [n, 3] uint8 to colours [n, 3] uint8.
ColourMap = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


class ColourTable:
    """A map of colours that is computed once for each colour that occurs.

    A slide of billions of pixels has some hundred thousand colours, so the map may be as slow as it
    likes; looking one up takes nanoseconds. 80 MB, whatever the image.

    Args:
        function: the map.
    """

    def __init__(self, function: ColourMap) -> None:
        self._function = function
        self._known = np.zeros(1 << 24, bool)
        self._found = np.zeros(1 << 24, np.uint32)

    def __call__(self, pixels: Pixels) -> Pixels:
        """Map pixels [h, w, 3] uint8; a new array."""
        padded = np.zeros((*pixels.shape[:2], 4), np.uint8)
        padded[..., :3] = pixels
        index = padded.view(np.uint32)[..., 0]  # R + 256 G + 65536 B
        known = self._known[index]
        if not known.all():
            new = np.unique(index[~known])
            colours = new.view(np.uint8).reshape(-1, 4)
            result = np.zeros((len(new), 4), np.uint8)
            result[:, :3] = self._function(np.ascontiguousarray(colours[:, :3]))
            self._found[new] = result.view(np.uint32)[:, 0]
            self._known[new] = True
        mapped = self._found[index][..., None].view(np.uint8)
        return np.ascontiguousarray(mapped[..., :3])


class ColourTransform:
    """A map of pixels as a `Transform`; it needs no statistics and no halo.

    Args:
        plan: how the image is cut; without halo.
        function: maps pixels [h, w, 3] uint8.
    """

    def __init__(self, plan: TilePlan, function: Callable[[Pixels], Pixels]) -> None:
        self.plan = plan
        self._function = function

    def rows_needed(self, y0: int, y1: int) -> int:
        """See `Transform`."""
        return 0

    def first_row(self, y: int) -> int:
        """See `Transform`."""
        return 0

    def observe(self, row: int, cells: Sequence[Pixels | None]) -> None:
        """See `Transform`; never asked for."""

    def apply(self, tiles: Sequence[Tile], pixels: Sequence[Pixels]) -> list[Pixels]:
        """See `Transform`."""
        return [self._function(part[tile.crop]) for tile, part in zip(tiles, pixels, strict=True)]

    def forget_above(self, y: int) -> None:
        """See `Transform`."""
