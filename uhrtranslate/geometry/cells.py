"""The statistics grid: square cells over an image that is continued by reflection.

All coordinates are pixels of the translated level, with the origin at the top left. The image has
pixels 0 <= x < width. Beyond its ends it continues as its own mirror image, so that the last cell
of a row is as large as any other, whatever the image's size.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels; `x, y` is its first pixel, which may lie outside the image."""

    x: int
    y: int
    w: int
    h: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, of an array whose corner is the origin."""
        return slice(self.y, self.y + self.h), slice(self.x, self.x + self.w)


@dataclass(frozen=True)
class CellGrid:
    """Cells of `cell` px that cover an image of `width` x `height` px.

    Attributes:
        width, height: size of the image in px, at least 1.
        cell: side of a cell in px.
    """

    width: int
    height: int
    cell: int

    @property
    def rows(self) -> int:
        """Rows of cells; the last may reach beyond the image."""
        return -(-self.height // self.cell)

    @property
    def cols(self) -> int:
        """Columns of cells; the last may reach beyond the image."""
        return -(-self.width // self.cell)

    def box(self, row: int, col: int) -> Box:
        """The whole cell, including any part beyond the image."""
        return Box(col * self.cell, row * self.cell, self.cell, self.cell)

    def rows_within(self, y0: int, y1: int, reach: int) -> tuple[int, int]:
        """First and end of the rows of cells within `reach` cells of pixels `y0 <= y < y1`."""
        return _within(y0, y1, self.cell, self.rows, reach)

    def cols_within(self, x0: int, x1: int, reach: int) -> tuple[int, int]:
        """First and end of the columns of cells within `reach` cells of pixels `x0 <= x < x1`."""
        return _within(x0, x1, self.cell, self.cols, reach)


def _within(start: int, stop: int, cell: int, cells: int, reach: int) -> tuple[int, int]:
    last = cells - 1
    first_cell = min(max(start // cell, 0), last)
    last_cell = min(max((stop - 1) // cell, 0), last)
    return max(first_cell - reach, 0), min(last_cell + reach, last) + 1


def reflect(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """The pixels at positions `start <= p < stop` of a line that is continued by reflection.

    The end pixels are not repeated (numpy's and torch's "reflect"). A line shorter than the padding
    is reflected several times, and a line of one pixel is repeated.

    Args:
        start, stop: positions, which may lie outside `0 <= p < size`.
        size: length of the line, at least 1.

    Returns:
        Indices in `0 <= i < size`, [stop - start].
    """
    position = np.arange(start, stop)
    if size == 1:
        return np.zeros(len(position), dtype=np.intp)
    period = 2 * (size - 1)
    folded = position % period
    return np.minimum(folded, period - folded).astype(np.intp)
