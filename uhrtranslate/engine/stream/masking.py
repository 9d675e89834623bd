"""Computing only some of an image's cells, and replacing the others by a background."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from uhrtranslate.engine.stream.rows import RowBuffer
from uhrtranslate.geometry import (
    BlendedPlan,
    Box,
    CellGrid,
    CellMask,
    Tile,
    TilePlan,
    cut_band,
    spans,
)
from uhrtranslate.io import Pixels, to_bits

# Px over which the generator's output changes into the background; at most half a cell.
RAMP = 16


@dataclass(frozen=True, eq=False)
class Masking:
    """Which cells are computed, and what replaces the others.

    In the context geometry kept cells are computed whole, and the ramp into the background lies
    outside them. In the mirrored one a cell is computed without its surroundings, so the ramp lies
    within kept cells, along their borders with skipped ones.

    Attributes:
        cells: kept and skipped cells; None keeps all.
        background: 8-bit values, such as RGB, that replace skipped cells; None leaves the image's
            own pixels.
        bits: depth of the result: 8, 16 or (float32) 32.
    """

    cells: CellMask | None = None
    background: tuple[int, ...] | None = (255, 255, 255)
    bits: int = 8

    def __post_init__(self) -> None:
        if self.cells is not None and bool(self.cells.kept.all()):
            object.__setattr__(self, "cells", None)

    def kept(self, row: int, grid: CellGrid) -> Sequence[bool]:
        """For every column of a row of cells, whether it is computed."""
        if self.cells is None:
            return [True] * grid.cols
        return [bool(keep) for keep in self.cells.kept[row]]

    def cut(self, plan: TilePlan, y0: int, y1: int) -> tuple[Iterable[Tile], Iterable[Box]]:
        """The tiles and background boxes that together cover the band `y0 <= y < y1` once."""
        if self.cells is None:
            return plan.tiles(y0, y1), ()
        if self.cells.grid != plan.grid:
            raise ValueError("the mask is for another grid of cells")
        tiles: list[Tile] = []
        background: list[Box] = []
        if plan.mirrored:
            for tile in plan.tiles(y0, y1):
                if self.cells.near(tile.core, 0):
                    tiles.append(tile)
                else:
                    background.append(tile.core)
            return tiles, background
        if isinstance(plan, BlendedPlan):
            # All tiles that contribute to a pixel in the reach of a kept cell are near that cell.
            for tile in plan.tiles(y0, y1):
                if self.cells.near(tile.shared or tile.core, self._ramp(plan.grid)):
                    tiles.append(tile)
                else:
                    background.append(tile.core)
            return tiles, background
        band = Box(0, y0, plan.grid.width, y1 - y0)
        for box, computed in cut_band(self.cells, band, self._ramp(plan.grid), plan.halo):
            # Tiles have equal widths, so that no narrow one is left that would be mostly halo.
            step = -(-box.w // -(-box.w // plan.tile))
            step = -(-step // plan.stride) * plan.stride
            for x0, x1 in spans(box.w, step):
                piece = Box(box.x + x0, box.y, x1 - x0, box.h)
                if computed:
                    tiles.append(plan.tile_over(piece, y0, y1))
                else:
                    background.append(piece)
        # Equal shapes are put together so that they can be batched.
        tiles.sort(key=lambda tile: (tile.shape, tile.core.y, tile.core.x))
        return tiles, background

    def reads(self, box: Box, plan: TilePlan) -> bool:
        """Whether any pixel of a box of the image may be needed."""
        if self.cells is None or self.background is None:
            return True
        # Beyond the image's end, a cell or halo mirrors the pixels before it.
        margin = plan.grid.cell + plan.margin + self._ramp(plan.grid) + 8 * plan.stride
        return self.cells.near(box, margin)

    def backdrop(self, box: Box, rows: RowBuffer) -> Pixels:
        """The pixels that replace skipped cells in a box, [h, w, c]."""
        if self.background is None:
            pixels = rows.view(box)
            return to_bits(pixels, 8 * pixels.itemsize, self.bits)
        colour = to_bits(np.array(self.background, np.uint8), 8, self.bits)
        return np.broadcast_to(colour, (box.h, box.w, len(colour))).copy()

    def joined(self, plan: TilePlan, core: Box, pixels: Pixels, rows: RowBuffer) -> Pixels:
        """A tile's result with the ramps into the background, [h, w, 3]."""
        if self.cells is None:
            return pixels
        result = pixels.copy()
        for box, share in self.cells.ramps(core, self._ramp(plan.grid), plan.mirrored):
            top, left = box.y - core.y, box.x - core.x
            part = result[top : top + box.h, left : left + box.w]
            behind = self.backdrop(box, rows)
            mixed = behind + (part.astype(np.float32) - behind) * share[..., None]
            part[:] = mixed if self.bits == 32 else np.rint(mixed)
        return result

    @staticmethod
    def _ramp(grid: CellGrid) -> int:
        return min(RAMP, grid.cell // 2)
