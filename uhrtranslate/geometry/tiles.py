"""Tiles: what the device computes at once. Their size is a matter of memory, not of the method.

There are three geometries. **Context** (the default): a tile is computed with a halo of its true
neighbours, and the field of statistics is evaluated at the true coordinates of every feature pixel,
so the result does not depend on the tiles. **Mirrored** (the published one): every tile is one
cell, padded by its own mirror image, and the cell's field is stretched over the padded cell. The
third, for generators whose output depends on where a tile begins, is in `blended.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from uhrtranslate.geometry.cells import Box, CellGrid

# With fewer stride steps per side, the reflection padding inside a generator (3 px at full size,
# 1 px after all downsampling) would be wider than what it pads.
MIN_STEPS = 4


@dataclass(frozen=True)
class Tile:
    """One tile.

    Attributes:
        core: the part of the result that it contributes; inside the image.
        source: the pixels it is computed from, before mirroring; may reach beyond the image.
        mirror: px by which the source is padded with its own mirror image.
        field: where the field of statistics is evaluated: the source in the context geometry, the
            cell without padding in the mirrored one.
        shared: the part of the result that it contributes to together with other tiles, which
            contains the core; None if nothing beside the core.
    """

    core: Box
    source: Box
    mirror: int
    field: Box
    shared: Box | None = None

    @property
    def crop(self) -> tuple[slice, slice]:
        """Rows and columns of what it contributes to within the computed tile."""
        part = self.shared or self.core
        top = part.y - self.source.y + self.mirror
        left = part.x - self.source.x + self.mirror
        return slice(top, top + part.h), slice(left, left + part.w)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in px of the computed tile."""
        return self.source.h + 2 * self.mirror, self.source.w + 2 * self.mirror


@dataclass(frozen=True)
class TilePlan:
    """How an image is cut into tiles, in bands from top to bottom.

    Attributes:
        grid: the image and its cells.
        tile: side of a tile's core in px; a multiple of `stride`.
        halo: px of true neighbours (context) or of mirroring (mirrored); a multiple of `stride`.
        stride: total downsampling inside the generator.
        mirrored: whether the geometry is the published one; then `tile` is the side of a cell.
    """

    grid: CellGrid
    tile: int
    halo: int
    stride: int
    mirrored: bool = False

    @property
    def spacing(self) -> int:
        """Px between the borders that a bad result would show."""
        return self.grid.cell

    @property
    def margin(self) -> int:
        """Px around a pixel of the result that are read to compute it, at most."""
        return self.halo

    def first_band(self, start: int) -> int:
        """Where the first band begins that must be computed to know the rows from `start` on."""
        return start

    def bands(self, start: int = 0) -> Iterator[tuple[int, int]]:
        """Pixel rows `y0, y1` of each band from `start` on; together they cover the image once.

        Raises:
            ValueError: no band begins at `start`.
        """
        if start % self.tile:
            raise ValueError(f"no band of {self.tile} px begins at row {start}")
        return ((y0, y1) for y0, y1 in spans(self.grid.height, self.tile) if y0 >= start)

    def tiles(self, y0: int, y1: int) -> Iterator[Tile]:
        """The tiles of the band `y0 <= y < y1`, from left to right."""
        for x0, x1 in spans(self.grid.width, self.tile):
            yield self.tile_over(Box(x0, y0, x1 - x0, y1 - y0), y0, y1)

    def tile_over(self, core: Box, y0: int, y1: int) -> Tile:
        """The tile of a core inside the band `y0 <= y < y1`; a whole cell in mirrored geometry."""
        if self.mirrored:
            cell = Box(core.x, core.y, self.tile, self.tile)
            return Tile(core, cell, self.halo, cell)
        left, right = with_halo(core.x, core.x + core.w, self.halo, self.stride)
        top, bottom = with_halo(core.y, core.y + core.h, self.halo, self.stride)
        # A core too low to be a tile by itself must not reach further down than its band does.
        beyond = max(bottom - self.rows_read(y0, y1)[1], 0)
        source = Box(left, top - beyond, right - left, bottom - top)
        return Tile(core, source, 0, source)

    def rows_read(self, y0: int, y1: int) -> tuple[int, int]:
        """Pixel rows that the tiles of a band are computed from; may reach beyond the image."""
        if self.mirrored:
            return y0, y0 + self.tile
        return with_halo(y0, y1, self.halo, self.stride)


def spans(size: int, step: int) -> Iterator[tuple[int, int]]:
    """Cut `0 <= p < size` into pieces of `step`; the last may be shorter."""
    for start in range(0, size, step):
        yield start, min(start + step, size)


def with_halo(start: int, stop: int, halo: int, stride: int) -> tuple[int, int]:
    """Widen `start <= p < stop` by the halo, to multiples of the stride on both sides.

    Thus a generator that downsamples by `stride` sees the same grid in every tile. The result has
    at least `MIN_STEPS * stride` pixels.
    """
    first = (start - halo) // stride * stride
    last = -(-(stop + halo) // stride) * stride
    return first, max(last, first + MIN_STEPS * stride)
