"""Tiles that overlap and are blended, for generators whose output depends on where a tile begins.

Examples are U-Nets that reduce a tile to one pixel, and attention within windows. Tiles begin at
multiples of the generator's period, so neighbours at least agree on its inner grid, and where they
overlap a window says how much each counts. At the image's end the last tile is moved inwards, so
that it sees true pixels; an image smaller than a tile is one smaller tile.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from uhrtranslate.geometry.cells import Box
from uhrtranslate.geometry.tiles import Tile, TilePlan

# In px: reflection padding inside a generator needs something to reflect.
LEAST_SIDE = 64


@dataclass(frozen=True)
class BlendedPlan(TilePlan):
    """How an image is cut into tiles that overlap; see `TilePlan`.

    A tile's core is what no later tile (to the right or below) contributes to, so it is final as
    soon as the tile is computed. Cores cover the image once.

    Attributes:
        tile: side of a tile in px, overlap included; a multiple of `stride`.
        halo: 0.
        stride: the generator's period.
        overlap: px that neighbouring tiles share at least, less than `tile`; a multiple of
            `stride`.
        blend: a name of `tables.BLENDS`.
    """

    overlap: int = 0
    blend: str = "linear"

    @property
    def spacing(self) -> int:
        """See `TilePlan`."""
        return self.tile - self.overlap

    @property
    def margin(self) -> int:
        """See `TilePlan`."""
        return self.tile

    def starts(self, size: int) -> list[int]:
        """Where the tiles along an axis of `size` px begin."""
        last = max(-(-size // self.stride) * self.stride - self.tile, 0)
        return [*range(0, last, self.spacing), last]

    def side(self, size: int) -> int:
        """Side in px of the tiles along an axis of `size` px."""
        return min(self.tile, -(-max(size, LEAST_SIDE) // self.stride) * self.stride)

    def first_band(self, start: int) -> int:
        """See `TilePlan`: the first band of tiles that contribute to row `start`."""
        return next(y for y in self.starts(self.grid.height) if y + self.tile > start)

    def bands(self, start: int = 0) -> Iterator[tuple[int, int]]:
        """See `TilePlan`; a band is the rows of the cores of a row of tiles."""
        edges = [*self.starts(self.grid.height), self.grid.height]
        if start not in edges:
            raise ValueError(f"no band of tiles begins at row {start}")
        return ((y0, y1) for y0, y1 in pairwise(edges) if y0 >= start)

    def tiles(self, y0: int, y1: int) -> Iterator[Tile]:
        """See `TilePlan`."""
        for x0, x1 in pairwise([*self.starts(self.grid.width), self.grid.width]):
            yield self.tile_over(Box(x0, y0, x1 - x0, y1 - y0), y0, y1)

    def tile_over(self, core: Box, y0: int, y1: int) -> Tile:
        """See `TilePlan`; the core must be that of a tile."""
        grid = self.grid
        source = Box(core.x, core.y, self.side(grid.width), self.side(grid.height))
        width, height = min(source.w, grid.width - core.x), min(source.h, grid.height - core.y)
        return Tile(core, source, 0, source, Box(core.x, core.y, width, height))

    def rows_read(self, y0: int, y1: int) -> tuple[int, int]:
        """See `TilePlan`."""
        starts = self.starts(self.grid.height)
        first = starts[max(bisect_right(starts, y0) - 1, 0)]
        return first, first + self.side(self.grid.height)
