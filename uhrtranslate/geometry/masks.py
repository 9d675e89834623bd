"""Masks of cells: which cells are computed, and how they blend into the background.

A cell that is kept is computed whole. Around it, the result changes smoothly from the generator's
output into the background within a **ramp** of some pixels, so those pixels are computed, too. All
of this depends only on the kept cells and on pixel coordinates, never on tiles.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.geometry.cells import Box, CellGrid

Mask = NDArray[np.bool_]
Ranges = tuple[NDArray[np.intp], NDArray[np.intp]]  # first, and end


@dataclass(frozen=True, eq=False)
class CellMask:
    """Which cells of a grid are kept.

    Attributes:
        grid: the image and its cells.
        kept: [rows, cols] bool; the others are skipped.
    """

    grid: CellGrid
    kept: Mask

    def __post_init__(self) -> None:
        if self.kept.shape != (self.grid.rows, self.grid.cols) or self.kept.dtype != np.bool_:
            raise ValueError(
                f"a mask of {self.kept.dtype} {self.kept.shape} for "
                f"{self.grid.rows} x {self.grid.cols} cells"
            )

    @property
    def share(self) -> float:
        """Share of the cells that are kept."""
        return float(self.kept.mean())

    @cached_property
    def digest(self) -> str:
        """A hexadecimal digest, equal for equal cells of equal grids."""
        facts = repr((self.grid, self.kept.shape)).encode()
        return hashlib.sha256(facts + np.packbits(self.kept).tobytes()).hexdigest()

    def near(self, box: Box, reach: int) -> bool:
        """Whether a kept cell lies within `reach` px of a box, along both axes."""
        rows = np.array([box.y, box.y + box.h])
        cols = np.array([box.x, box.x + box.w])
        return bool(self.near_each(rows, cols, reach)[0, 0])

    def near_each(self, ys: NDArray[np.intp], xs: NDArray[np.intp], reach: int) -> Mask:
        """`near` for each rectangle between consecutive coordinates.

        Args:
            ys, xs: increasing, [n + 1] and [m + 1] px.
            reach: in px.

        Returns:
            [n, m] bool.
        """
        cell = self.grid.cell
        rows = _cells(ys, reach, cell, self.grid.rows)
        cols = _cells(xs, reach, cell, self.grid.cols)
        return _any_within(self._total, rows, cols)

    def ramps(
        self, box: Box, width: int, inside: bool = False
    ) -> Iterator[tuple[Box, NDArray[np.float32]]]:
        """The generator's share of the result at each pixel of a box, where it is less than 1.

        It is a smooth step (3t^2 - 2t^3) of the pixel centre's distance from the border between
        kept and skipped cells.

        Args:
            box: inside the image.
            width: of the ramp in px, at most half the side of a cell.
            inside: whether the ramp lies within kept cells or within skipped ones.

        Yields:
            Disjoint rectangles of the box with their shares, [h, w] in 0..1; elsewhere it is 1.
        """
        cell = self.grid.cell
        ys, xs = (
            _edges(start, size, cell, (-width, 0, width))
            for start, size in ((box.y, box.h), (box.x, box.w))
        )
        # Cells beyond the image do not count as a border.
        others = np.pad(~self.kept if inside else self.kept, 1)
        for y0, y1 in pairwise(ys.tolist()):
            for x0, x1 in pairwise(xs.tolist()):
                row, col = y0 // cell, x0 // cell
                if self.kept[row, col] and not inside:
                    continue
                far = np.full((y1 - y0, x1 - x0), np.inf, np.float32)
                up_down = _distances(y0 - row * cell, y1 - row * cell, cell)
                left_right = _distances(x0 - col * cell, x1 - col * cell, cell)
                for dr, dc in np.argwhere(others[row : row + 3, col : col + 3]).tolist():
                    np.minimum(far, up_down[dr][:, None] + left_right[dc], out=far)
                t = (np.sqrt(far) / width).clip(0, 1)
                step = t * t * (3 - 2 * t)
                share = step if inside else 1 - step
                if float(share.min()) < 1:
                    yield Box(x0, y0, x1 - x0, y1 - y0), share

    @cached_property
    def _total(self) -> NDArray[np.int64]:
        """Kept cells above and left of each corner of the grid, [rows + 1, cols + 1]."""
        return _summed(self.kept)


def _summed(mask: Mask) -> NDArray[np.int64]:
    """How many values are true above and to the left of each corner, [rows + 1, cols + 1]."""
    return np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))


def _any_within(total: NDArray[np.int64], rows: Ranges, cols: Ranges) -> Mask:
    """Whether any value is true in each range of rows and columns; total is that of `_summed`."""
    return np.asarray(_count_within(total, rows, cols) > 0)


def _count_within(total: NDArray[np.int64], rows: Ranges, cols: Ranges) -> NDArray[np.int64]:
    """How many values are true in each range of rows and columns."""
    (r0, r1), (c0, c1) = rows, cols
    return np.asarray(total[r1][:, c1] - total[r0][:, c1] - total[r1][:, c0] + total[r0][:, c0])


def _cells(edges: NDArray[np.intp], reach: int, cell: int, cells: int) -> Ranges:
    """The cells within reach of each span between consecutive edges."""
    first = ((edges[:-1] - reach) // cell).clip(0, cells)
    end = (-(-(edges[1:] + reach) // cell)).clip(0, cells)
    return first, np.maximum(first, end)


def _distances(start: int, stop: int, cell: int) -> list[NDArray[np.float32]]:
    """Squared distances of a cell's pixel centres from the previous, their own and the next cell.

    The pixels `start <= p < stop` are counted from the first of their cell.
    """
    within = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    return [within**2, np.zeros_like(within), (cell - within) ** 2]


def cells_with_tissue(
    mask: Mask, grid: CellGrid, window: tuple[float, float, float, float], margin: float
) -> CellMask:
    """The cells of a grid that have tissue according to a mask of lower resolution.

    Args:
        mask: [h, w] bool.
        grid: the image and its cells.
        window: x, y, w, h of the image in pixels of the mask; usually not whole numbers.
        margin: px of the mask by which each cell is widened on all sides, so that tissue on the
            border of two cells counts for both.
    """
    x, y, w, h = window
    rows = _span(grid.rows, grid.cell, grid.height, y, h, margin, mask.shape[0])
    cols = _span(grid.cols, grid.cell, grid.width, x, w, margin, mask.shape[1])
    return CellMask(grid, _any_within(_summed(mask), rows, cols))


def shares_of_tissue(
    mask: Mask, grid: CellGrid, window: tuple[float, float, float, float]
) -> NDArray[np.float64]:
    """How much of each cell of a grid is tissue, [rows, cols] in 0..1; see `cells_with_tissue`."""
    x, y, w, h = window
    rows = _span(grid.rows, grid.cell, grid.height, y, h, 0.0, mask.shape[0])
    cols = _span(grid.cols, grid.cell, grid.width, x, w, 0.0, mask.shape[1])
    area = np.outer(rows[1] - rows[0], cols[1] - cols[0])
    return np.asarray(_count_within(_summed(mask), rows, cols) / area)


def _span(
    cells: int, cell: int, size: int, start: float, length: float, margin: float, limit: int
) -> Ranges:
    """The pixels of a mask that each cell of one axis overlaps, at least one for each."""
    edges = start + np.minimum(np.arange(cells + 1) * cell, size) * (length / size)
    # An overlap this small is a rounding error.
    first = np.floor(edges[:-1] - margin + 1e-6).clip(0, limit - 1).astype(np.intp)
    end = np.ceil(edges[1:] + margin - 1e-6).clip(1, limit).astype(np.intp)
    return first, np.maximum(end, first + 1)


# In px; smaller cells are grouped before a band is cut, since finer cuts save nothing.
FINEST_CUT = 64
# The fixed cost of a forward (starting layers, fields, allocation), expressed in pixels.
FORWARD_COST = 128 * 128


def cut_band(mask: CellMask, band: Box, ramp: int, halo: int) -> Iterator[tuple[Box, bool]]:
    """Cut a band into rectangles that are computed and rectangles of background.

    Together they cover the band once. The computed ones contain every pixel within `ramp` px of a
    kept cell, and have as few pixels (including the halo around each) as straight cuts from edge to
    edge can achieve.

    Args:
        mask: kept cells.
        band: inside the image.
        ramp: px around kept cells that are computed; 0 for none.
        halo: px that must be computed in addition around each rectangle.

    Yields:
        Rectangles, and whether any of it comes from the generator; else all of it is background.
    """
    cell = mask.grid.cell
    step = cell * -(-FINEST_CUT // cell)
    # Rectangles begin and end where ramps do.
    ys, xs = (
        _edges(start, size, step, (-ramp, ramp))
        for start, size in ((band.y, band.h), (band.x, band.w))
    )
    needed = mask.near_each(ys, xs, ramp)

    def box(y0: int, y1: int, x0: int, x1: int) -> Box:
        top, left = int(ys[y0]), int(xs[x0])
        return Box(left, top, int(xs[x1]) - left, int(ys[y1]) - top)

    todo = [(0, len(ys) - 1, 0, len(xs) - 1)]
    while todo:
        y0, y1, x0, x1 = todo.pop()
        if y0 == y1 or x0 == x1:
            continue
        here = needed[y0:y1, x0:x1]
        rows, cols = np.flatnonzero(here.any(1)), np.flatnonzero(here.any(0))
        if len(rows) == 0:
            yield box(y0, y1, x0, x1), False
            continue
        top, bottom = y0 + int(rows[0]), y0 + int(rows[-1]) + 1
        left, right = x0 + int(cols[0]), x0 + int(cols[-1]) + 1
        # The background that frames the needed part.
        todo += [(y0, top, x0, x1), (bottom, y1, x0, x1)]
        todo += [(top, bottom, x0, left), (top, bottom, right, x1)]
        inner = needed[top:bottom, left:right]
        y_cost, y_cut = _best_cut(inner, ys[top : bottom + 1], xs[left : right + 1], halo)
        x_cost, x_cut = _best_cut(inner.T, xs[left : right + 1], ys[top : bottom + 1], halo)
        if min(x_cost, y_cost) >= _cost(ys[bottom] - ys[top], xs[right] - xs[left], halo):
            yield box(top, bottom, left, right), True
        elif x_cost <= y_cost:
            todo += [(top, bottom, left, left + x_cut), (top, bottom, left + x_cut, right)]
        else:
            todo += [(top, top + y_cut, left, right), (top + y_cut, bottom, left, right)]


def _edges(start: int, size: int, step: int, offsets: tuple[int, ...]) -> NDArray[np.intp]:
    """A span's ends, and between them all multiples of a step, shifted by each offset."""
    stop = start + size
    multiples = np.arange(start // step, stop // step + 2) * step
    edges = np.concatenate([multiples + offset for offset in offsets])
    return np.unique(np.concatenate([[start], edges[(edges > start) & (edges < stop)], [stop]]))


def _cost(h: NDArray[np.intp], w: NDArray[np.intp], halo: int) -> NDArray[np.float64]:
    """The cost of computing rectangles, in pixels."""
    return (h + 2.0 * halo) * (w + 2.0 * halo) + FORWARD_COST


def _best_cut(
    needed: Mask, ys: NDArray[np.intp], xs: NDArray[np.intp], halo: int
) -> tuple[float, int]:
    """The cheapest cut across the first axis: the cost of both sides, trimmed, and its place."""
    if len(needed) < 2:
        return np.inf, 0
    before = _trimmed(needed, ys, xs, halo)[:-1]
    # The same from the other end.
    after = _trimmed(needed[::-1], -ys[::-1], xs, halo)[-2::-1]
    both = before + after
    best = int(np.argmin(both))
    return float(both[best]), best + 1


def _trimmed(
    needed: Mask, ys: NDArray[np.intp], xs: NDArray[np.intp], halo: int
) -> NDArray[np.float64]:
    """Cost of the first 1, 2, ... rows, without columns and last rows that are not needed."""
    rows = needed.any(axis=1)
    last = np.maximum.accumulate(np.where(rows, np.arange(len(needed)), 0))
    cols = np.logical_or.accumulate(needed, axis=0)
    left = xs[np.argmax(cols, axis=1)]
    right = xs[cols.shape[1] - np.argmax(cols[:, ::-1], axis=1)]
    return _cost(ys[last + 1] - ys[0], right - left, halo)
