"""Where the borders of a grid of tiles show most, for heat maps and crops."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.geometry import spans
from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.profiles import STRIP, Read

# px along a border over which its step is averaged.
LENGTH = 128
# The step of a border is compared with the steps so many px away from it, on both sides.
_AWAY = 2 * STRIP
_REACH = _AWAY + STRIP
# px along borders that are read together.
_STRETCH = 4096


@dataclass(frozen=True)
class Border:
    """A piece of the border between two tiles.

    Attributes:
        axis: the coordinate that steps: "x" for a vertical border.
        x, y: of its centre, in px of the image.
        length: px along the border.
        step: difference of the mean colours of its two sides (strips of 8 px) in grey levels, minus
            the mean step 16 px away; below 0 if it steps less than that.
    """

    axis: Literal["x", "y"]
    x: int
    y: int
    length: int
    step: float


def measure_borders(read: Read, width: int, height: int, grid: Grid) -> list[Border]:
    """All borders of a grid, in pieces; only the pixels near them are read.

    Args:
        read: gives x, y, w, h of the image as RGB, [h, w, 3].
        width, height: of the image in px.
        grid: where the borders are.
    """
    found = [
        Border("x", at, along + length // 2, length, step)
        for at, along, length, step in _pieces(read, width, height, grid.x, grid.period)
    ]
    turned = _pieces(
        lambda x, y, w, h: read(y, x, h, w).swapaxes(0, 1), height, width, grid.y, grid.period
    )
    found += [
        Border("y", along + length // 2, at, length, step) for at, along, length, step in turned
    ]
    return found


def worst_borders(borders: list[Border], count: int = 10) -> tuple[Border, ...]:
    """Those with the largest steps, the largest first."""
    return tuple(sorted(borders, key=lambda border: -border.step)[:count])


def heat_map(
    borders: list[Border], width: int, height: int, grid: Grid
) -> NDArray[np.float32] | None:
    """The mean step of the borders of each tile.

    Args:
        borders: all of them.
        width, height: of the image in px.
        grid: where they are.

    Returns:
        [rows, columns] of tiles, mean step of the pieces around each in grey levels, at least 0;
        None without borders.
    """
    if not borders:
        return None
    columns, rows = (
        -(-(size - first) // grid.period) + 1 if size > first else 1
        for size, first in ((width, grid.x), (height, grid.y))
    )
    sums, counts = np.zeros((rows, columns)), np.zeros((rows, columns))
    for border in borders:
        column, row = _tile(border.x, grid.x, grid.period), _tile(border.y, grid.y, grid.period)
        sides = [(row, column - 1), (row, column)]
        if border.axis == "y":
            sides = [(row - 1, column), (row, column)]
        for side in sides:
            sums[side] += border.step
            counts[side] += 1
    mean = np.divide(sums, counts, where=counts > 0, out=np.full_like(sums, np.nan))
    return np.maximum(mean, 0).astype(np.float32)


def _tile(place: int, first: int, period: int) -> int:
    return (place - first) // period + 1


def _pieces(
    read: Read, width: int, height: int, first: int, period: int
) -> Iterator[tuple[int, int, int, float]]:
    """Of vertical borders: x, top, length, step."""
    for x in range(first, width, period):
        if x < _REACH or x + _REACH > width:
            continue
        for top, bottom in spans(height, _STRETCH):
            block = read(x - _REACH, top, 2 * _REACH, bottom - top).astype(np.float32)
            for start, end in spans(bottom - top, LENGTH):
                if end - start == LENGTH or height < LENGTH:
                    yield x, top + start, end - start, _step(block[start:end].mean(axis=0))


def _step(line: NDArray[np.float32]) -> float:
    """Of a border in the middle of [2 * reach, 3] mean colours."""
    at = [_REACH - _AWAY, _REACH, _REACH + _AWAY]
    steps = [
        float(np.abs(line[i - STRIP : i].mean(axis=0) - line[i : i + STRIP].mean(axis=0)).mean())
        for i in at
    ]
    return steps[1] - (steps[0] + steps[2]) / 2
