"""From computed tiles to the pixels of the result: as they are, or blended where they overlap."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.geometry import BlendedPlan, Box, Tile, TilePlan, spans
from uhrtranslate.io import Pixels
from uhrtranslate.tables import BLENDS

Weights = NDArray[np.float32]
# Pixels that are added up at once: few enough that their float32 values stay in the caches.
IN_CACHE = 1 << 14


@dataclass(frozen=True)
class Kept:
    """The part of a tile that is still needed.

    Attributes:
        x, y: where the tile begins, in px of the image.
        box: the part.
        pixels: of the part, [h, w, c].
    """

    x: int
    y: int
    box: Box
    pixels: Pixels

    def part(self, piece: Box) -> Pixels:
        """The pixels of a piece inside the box."""
        return self.pixels[_place(piece, self.box.x, self.box.y)]

    def below(self, y: int) -> "Kept":
        """Only the rows from `y` on; a copy, which lets go of the rest of the memory."""
        if y <= self.box.y:
            return self
        box = Box(self.box.x, y, self.box.w, self.box.y + self.box.h - y)
        return Kept(self.x, self.y, box, self.part(box).copy())


class Mosaic:
    """Takes tiles in the order of a schedule, and gives each core when it is final.

    Tiles that overlap are kept, as the pixels they are, only as far as cores still to come need
    them. A pixel that only one tile contributes to is that tile's. Others are means, weighted by
    the tiles' windows and divided by the sum of the weights; tiles are added up from top to bottom
    and from left to right, so the bytes do not depend on when they were computed.

    Args:
        plan: how the image is cut.
        start: rows above it are in the result already; tiles above it are only kept.
    """

    def __init__(self, plan: TilePlan, start: int = 0) -> None:
        self._start = start
        self._blended = plan if isinstance(plan, BlendedPlan) else None
        # Where each column of tiles begins, and the tiles of it that are still needed.
        self._columns = self._blended.starts(plan.grid.width) if self._blended else []
        self._kept: list[list[Kept]] = [[] for _ in self._columns]

    def add(self, tile: Tile, pixels: Pixels) -> Iterator[tuple[Box, Pixels]]:
        """Take a tile's pixels; yield its core and the result's pixels there, [h, w, c].

        Nothing is yielded for a tile above the start.
        """
        if self._blended is None or tile.shared is None:
            yield tile.core, pixels
            return
        core, plan = tile.core, self._blended
        column = bisect_right(self._columns, core.x) - 1
        # The columns of tiles that reach into this core.
        columns = range(bisect_right(self._columns, core.x - plan.tile), column + 1)
        self._kept[column].append(Kept(core.x, core.y, tile.shared, pixels))
        if core.y >= self._start:
            near = [one for other in columns for one in self._kept[other]]
            yield core, _blend(plan, core, sorted(near, key=lambda one: (one.y, one.x)))
        for other in columns:
            if self._columns[other] + plan.tile <= core.x + core.w:
                self._forget(other, core.y + core.h)

    def reached(self, y: int) -> None:
        """Forget what is not needed below row `y`: all cores above it are final or skipped."""
        for column in range(len(self._columns)):
            self._forget(column, y)

    def _forget(self, column: int, y: int) -> None:
        """Keep only rows from `y` on of the tiles of a column."""
        self._kept[column] = [
            one.below(y) for one in self._kept[column] if one.box.y + one.box.h > y
        ]


def _blend(plan: BlendedPlan, core: Box, tiles: Sequence[Kept]) -> Pixels:
    """The pixels of a core from the tiles that may reach into it, in the order of adding up."""
    like = tiles[0].pixels
    result = np.empty((core.h, core.w, like.shape[2]), like.dtype)
    ys = _cuts(core.y, core.h, [(one.box.y, one.box.h) for one in tiles])
    xs = _cuts(core.x, core.w, [(one.box.x, one.box.w) for one in tiles])
    for (y0, y1), (x0, x1) in product(pairwise(ys), pairwise(xs)):
        box = Box(x0, y0, x1 - x0, y1 - y0)
        over = [one for one in tiles if _contains(one.box, box)]
        if len(over) == 1:
            result[_place(box, core.x, core.y)] = over[0].part(box)
            continue
        for first, end in spans(box.h, max(1, IN_CACHE // box.w)):
            piece = Box(x0, y0 + first, box.w, end - first)
            result[_place(piece, core.x, core.y)] = _mean(plan, piece, over)
    return result


def _mean(plan: BlendedPlan, piece: Box, tiles: Sequence[Kept]) -> Pixels:
    """The weighted mean of the tiles that contain a piece, [h, w, c]."""
    samples = tiles[0].pixels.shape[2]
    # Rows of values without an axis of channels, as numpy's inner loop runs along the last axis.
    total = np.zeros((piece.h, piece.w), np.float32)
    values = np.zeros((piece.h, samples * piece.w), np.float32)
    height, width = plan.side(plan.grid.height), plan.side(plan.grid.width)
    window, wide = _windows(plan.blend, height, width, plan.overlap, samples)
    for one in tiles:
        rows, cols = _place(piece, one.x, one.y)
        total += window[rows, cols]
        weights = wide[rows, samples * cols.start : samples * cols.stop]
        values += weights * one.part(piece).reshape(values.shape)
    values *= np.repeat(1 / total, samples, axis=1)
    dtype = tiles[0].pixels.dtype
    if dtype.kind != "f":
        np.rint(values, out=values)
    return values.astype(dtype, copy=False).reshape(piece.h, piece.w, samples)


@lru_cache(maxsize=4)
def _windows(
    blend: str, height: int, width: int, overlap: int, samples: int
) -> tuple[Weights, Weights]:
    """A tile's window, [h, w], and the same with every weight once per channel, [h, cw]."""
    window = BLENDS[blend](height, width, overlap)
    return window, np.repeat(window, samples, axis=1)


def _cuts(start: int, size: int, spans: Sequence[tuple[int, int]]) -> list[int]:
    """A span's ends, and the ends of other spans inside it, in order."""
    ends = {end for first, length in spans for end in (first, first + length)}
    return sorted({start, start + size} | {end for end in ends if start < end < start + size})


def _contains(box: Box, piece: Box) -> bool:
    return (
        box.x <= piece.x
        and box.y <= piece.y
        and piece.x + piece.w <= box.x + box.w
        and piece.y + piece.h <= box.y + box.h
    )


def _place(piece: Box, x: int, y: int) -> tuple[slice, slice]:
    """Rows and columns of a piece in an array that begins at `x, y`."""
    return slice(piece.y - y, piece.y - y + piece.h), slice(piece.x - x, piece.x - x + piece.w)
