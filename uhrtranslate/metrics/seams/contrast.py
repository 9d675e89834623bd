"""What others measure across borders: contrast, tiling score, and blockiness with masking.

Each border of a known grid is read once, in stretches, with the few columns beside it, and once
half-way to the border before it. Grids of tiles are treated like the blocks of JPEG.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy.ndimage import correlate

from uhrtranslate.geometry import spans
from uhrtranslate.metrics.planes import Doubles, Halo, Pixels, grey, inside, levels
from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.profiles import Read
from uhrtranslate.metrics.sums import MapSums, Sums

# px on both sides of a border that boundary contrast compares, and px between the border and the
# two gradients that the tiling score takes (Madar & Fried, arXiv 2412.15185).
STRIP, AWAY = 4, 15
_REACH = AWAY + 1
# Gradients on each side that a gradient at a border is compared with (Liu & Heynderickx 2009).
_NEAR = 3
# A texture mask in their manner: Laws' kernel that feels steps along the border and not the
# border's own, the sum of its positive weights, and the power that texture is weighted with.
_SMOOTH, _EDGE = np.array([1.0, 4.0, 6.0, 4.0, 1.0]), np.array([1.0, 2.0, 0.0, -2.0, -1.0])
_TEXTURE = np.outer(_EDGE, _SMOOTH)
_TEXTURE_SUM, _MASKING = 48.0, 5
_RIM = 2  # of that kernel
_NOTHING = MapSums()
_STRETCH = 4096  # px along a border that are read together


@dataclass(frozen=True)
class Contrast:
    """Figures of one grid, in grey levels of 0..255 where not said otherwise.

    Attributes:
        boundary, interior: mean difference of two strips of 4 px at a border, pixel by pixel, and
            of two half-way to the border before it; means over borders.
        tiling_score: the largest of three gradients, at the border and 15 px on both sides of it;
            mean over borders. Blur lowers it.
        between: mean gradient of grey at borders.
        masked: mean over the borders' pixels of the gradient over the mean of the six beside it,
            weighted by how little texture hides it.
        borders: how many were measured; those within 16 px of the image's end are left out.
    """

    boundary: float
    interior: float
    tiling_score: float
    between: float
    masked: float
    borders: int

    @property
    def contrast(self) -> float:
        """Boundary contrast: |boundary - interior|, in shares of 255."""
        return abs(self.boundary - self.interior) / 255


@dataclass(frozen=True)
class BlockSums(Sums):
    """Sums of all gradients of an image's grey, for `blockiness`.

    Attributes:
        across, down: of the gradients along rows and along columns, in grey levels.
    """

    across: MapSums = _NOTHING
    down: MapSums = _NOTHING


def block_sums(pixels: Pixels, halo: Halo) -> BlockSums:
    """Sums of the gradients of an area.

    Args:
        pixels: [h, w, 3] uint8.
        halo: px on the left, top, right, bottom that belong to neighbours; a gradient belongs to
            the right or lower one of its two pixels.
    """
    shades = levels(grey(pixels))[..., 0]
    rows, columns = inside(shades, halo)
    left, top = max(columns.start, 1), max(rows.start, 1)
    across = np.abs(np.diff(shades[rows, left - 1 : columns.stop], axis=1))
    down = np.abs(np.diff(shades[top - 1 : rows.stop, columns], axis=0))
    return BlockSums(*(MapSums(one.size, float(one.sum())) for one in (across, down)))


def blockiness(sums: BlockSums, between: float, period: int) -> float | None:
    """Gradient between tiles over that within them (Wang, Sheikh & Bovik 2002: B / A).

    There, A = (P * mean - B) / (P - 1) with P = 8; here P is the tiles' period.

    Args:
        sums: of the whole image.
        between: `Contrast.between`.
        period: px between borders.

    Returns:
        1 if borders are like any other place; None of a flat image.
    """
    means = [one.mean for one in (sums.across, sums.down) if one.mean is not None]
    within = (period * float(np.mean(means)) - between) / (period - 1) if means else 0.0
    return between / within if within > 0 else None


@dataclass
class _Axis:
    """Sums over the borders of one direction."""

    boundary: list[float] = field(default_factory=list)
    interior: list[float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    between: MapSums = _NOTHING
    masked: MapSums = _NOTHING


def measure_contrast(read: Read, width: int, height: int, grid: Grid) -> Contrast | None:
    """Measure all borders of a grid; memory does not grow with the image.

    Args:
        read: gives x, y, w, h of the image as RGB, [h, w, 3].
        width, height: of the image in px.
        grid: where the borders are.

    Returns:
        None without a border 16 px or more from the image's end.
    """
    upright = _axis(read, width, height, grid.x, grid.period)
    flat = _axis(
        lambda x, y, w, h: read(y, x, h, w).swapaxes(0, 1), height, width, grid.y, grid.period
    )
    axes = [axis for axis in (upright, flat) if axis.score]
    if not axes:
        return None
    masked = sum((axis.masked for axis in axes), _NOTHING)
    return Contrast(
        boundary=float(np.mean([one for axis in axes for one in axis.boundary])),
        interior=float(np.mean([one for axis in axes for one in axis.interior])),
        tiling_score=float(np.mean([one for axis in axes for one in axis.score])),
        between=float(np.mean([axis.between.mean for axis in axes])),
        masked=masked.mean or 0.0,
        borders=sum(len(axis.score) for axis in axes),
    )


def _axis(read: Read, width: int, height: int, first: int, period: int) -> _Axis:
    """Of vertical borders."""
    found = _Axis()
    for x in range(first, width, period):
        if not _REACH <= x < width - _REACH:
            continue
        middle = max(x - period // 2, STRIP)
        boundary = interior = 0.0
        gradients = np.zeros(3)
        for block, grey_block, between in _stretches(read, x, middle, height):
            boundary += _strips(block, _REACH)
            interior += _strips(between, STRIP)
            sides = [_REACH - 1, _REACH - AWAY - 1, _REACH + AWAY]
            gradients += [
                float(np.abs(block[:, i].astype(np.int16) - block[:, i + 1]).sum()) for i in sides
            ]
            found.between += _gradients(grey_block)
            found.masked += _masked(grey_block)
        found.boundary.append(boundary / (height * STRIP * 3))
        found.interior.append(interior / (height * STRIP * 3))
        found.score.append(float(gradients.max()) / (height * 3))
    return found


def _stretches(
    read: Read, x: int, middle: int, height: int
) -> Iterator[tuple[Pixels, tuple[Doubles, slice], Pixels]]:
    """Pieces of a border: its pixels, its grey with a rim of rows, pixels half-way to the next."""
    for top, bottom in spans(height, _STRETCH):
        above, below = min(_RIM, top), min(_RIM, height - bottom)
        block = read(x - _REACH, top - above, 2 * _REACH + 1, bottom - top + above + below)
        own = slice(above, above + bottom - top)
        near = levels(grey(block[:, _REACH - _NEAR - 1 : _REACH + _NEAR + 1]))[..., 0]
        yield (
            block[own],
            (near, own),
            read(middle - STRIP, top, 2 * STRIP, bottom - top),
        )


def _strips(block: Pixels, at: int) -> float:
    """Sum of the differences of the strips before and after a column, pixel by pixel."""
    before, after = block[:, at - STRIP : at], block[:, at : at + STRIP]
    return float(np.abs(before.astype(np.int16) - after).sum())


def _gradients(near: tuple[Doubles, slice]) -> MapSums:
    shades, own = near
    steps = np.abs(shades[own, _NEAR + 1] - shades[own, _NEAR])
    return MapSums(steps.size, float(steps.sum()))


def _masked(near: tuple[Doubles, slice]) -> MapSums:
    """Local blockiness of each pixel of a border, weighted by visibility in its texture."""
    shades, own = near
    texture = correlate(shades[:, _NEAR - 1 : _NEAR + 4], _TEXTURE, mode="constant")[:, _RIM]
    visible = (1 + np.abs(texture) / (_TEXTURE_SUM * 255)) ** -_MASKING
    steps = np.abs(np.diff(shades, axis=1))
    at, beside = steps[:, _NEAR], np.delete(steps, _NEAR, axis=1).mean(axis=1)
    local = visible * np.divide(at, beside, where=beside > 0, out=at.copy())
    # Where the kernel does not fit, at the image's own ends, nothing is said.
    start, stop = max(own.start, _RIM), min(own.stop, len(shades) - _RIM)
    counted = local[start:stop]
    return MapSums(counted.size, float(counted.sum()))
