"""The non-rigid step of our own: matching everywhere at once, made smooth, from coarse to fine.

Around every node all displacements within reach are scored by local normalized cross-correlation.
Of these scores a smooth field is made by coupled convex optimisation (Heinrich, Papiez, Schnabel
and Handels 2014, Non-parametric discrete registration with convex optimisation): in turn each node
takes the displacement that is best near the field, and the field is smoothed from what they took.
As all displacements are tried, periodic tissue traps it less than a gradient would be.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates, uniform_filter

from uhrtranslate.registration.looks import Picture

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

# The pictures are halved so many times, and displacements of so many of their px tried.
LEVELS = ((8, 5), (4, 5), (2, 5), (1, 3))
# Px between nodes; correlations are measured in windows of this std, in nodes.
CELL, WINDOW = 4, 1.3
# Std in nodes of what smooths the field.
SMOOTH = 1.5
# How much it costs to be a px away from the field, as it is tightened.
COUPLING = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
# Variance (of pictures in 0..1) that is added to that of windows, so that glass matches nothing.
QUIET = 2e-4
# Share of a window that the moving picture must cover.
COVERED = 0.9


def convex_displacement(
    fixed: Picture, moving: Picture, inside: Mask, levels: Sequence[tuple[int, int]] = LEVELS
) -> tuple[Field, NDArray[np.float32]]:
    """Where the pixels of a picture are in another one, relative to their own place.

    Args:
        fixed, moving: pictures of one look and size, [h, w] float32 in 0..1.
        inside: [h, w], what the moving picture covers.
        levels: how far the pictures are shrunk, and the reach in their px, from coarse to fine.

    Returns: displacement in px in x and y, [h, w, 2]; and the correlation that the last level found
        at it, one value for each `CELL` * shrink px, 0..1, 0 where nothing is covered.
    """
    h, w = fixed.shape
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    field = np.zeros((h, w, 2), np.float32)
    scores = np.zeros((1, 1), np.float32)
    for shrink, reach in levels:
        at = [y + field[..., 1], x + field[..., 0]]
        made = map_coordinates(moving, at, order=1, mode="nearest")
        covered = map_coordinates(inside.astype(np.float32), at, order=1, mode="constant")
        volume = correlation_volume(_cells(fixed, shrink), _cells(made, shrink), reach)
        weight = gaussian_filter(_cells(covered, shrink * CELL), WINDOW, mode="nearest")
        weight = np.where(weight > COVERED, volume.max(axis=(2, 3)).clip(0), 0)
        nodes, scores = _smooth_match(volume, weight)
        found = _at_pixels(nodes * shrink, (h, w), shrink * CELL)
        # First by what was just found, then by what was known.
        at = [y + found[..., 1], x + found[..., 0]]
        for axis in (0, 1):
            found[..., axis] += map_coordinates(field[..., axis], at, order=1, mode="nearest")
        field = found
    return field, scores


def correlation_volume(fixed: Picture, moving: Picture, reach: int) -> NDArray[np.float32]:
    """Local normalized cross-correlation at every node for every displacement.

    Returns: [rows, cols, 2 * reach + 1, 2 * reach + 1], displacement in y, then in x; -1..1.
    """
    fixed = _filled(fixed, CELL)
    h, w = fixed.shape
    padded = np.pad(_filled(moving, CELL), reach, mode="edge")
    # Means of the squares that begin at each px, of which every displacement takes its own.
    means, squares = (
        uniform_filter(values, CELL, origin=-(CELL // 2)) for values in (padded, padded * padded)
    )

    def spread(of_squares: Picture, middle: Picture) -> NDArray[np.float32]:
        return np.asarray(np.sqrt(np.maximum(of_squares - middle * middle, 0) + QUIET), np.float32)

    middle = _windows(_cells(fixed, CELL))
    deviation = spread(_windows(_cells(fixed * fixed, CELL)), middle)
    size = 2 * reach + 1
    volume = np.empty((*middle.shape, size, size), np.float32)
    for row in range(size):
        for col in range(size):
            there = np.s_[row : row + h, col : col + w]
            begins = np.s_[row : row + h : CELL, col : col + w : CELL]
            other = _windows(means[begins])
            shared = _windows(_cells(fixed * padded[there], CELL)) - middle * other
            volume[:, :, row, col] = shared / (deviation * spread(_windows(squares[begins]), other))
    return volume


def _windows(values: Picture) -> NDArray[np.float32]:
    return np.asarray(gaussian_filter(values, WINDOW, mode="nearest", truncate=3), np.float32)


def _smooth_match(
    volume: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[Field, NDArray[np.float32]]:
    """A smooth field of displacements [rows, cols, 2] that correlates, and its correlations."""
    rows, cols, size, _ = volume.shape
    steps = np.arange(size, dtype=np.float32) - size // 2
    flat = volume.reshape(rows, cols, -1)
    share = gaussian_filter(weight, SMOOTH, mode="nearest") + 1e-6

    def smoothed(best: NDArray[np.intp]) -> Field:
        taken = (steps[best % size], steps[best // size])
        return np.stack(
            [gaussian_filter(one * weight, SMOOTH, mode="nearest") / share for one in taken], -1
        )

    field = smoothed(flat.argmax(axis=2))
    for coupling in COUPLING:
        away = (steps - field[..., 1, None])[..., None] ** 2
        away = away + ((steps - field[..., 0, None])[..., None, :]) ** 2
        field = smoothed((volume - coupling * away).reshape(rows, cols, -1).argmax(axis=2))
    nearest = np.rint(field).astype(np.intp) + size // 2
    scores = np.take_along_axis(flat, (nearest[..., 1] * size + nearest[..., 0])[..., None], 2)
    return field, np.where(weight > 0, scores[..., 0], 0).clip(0)


def _cells(values: Picture, side: int) -> Picture:
    """Means of squares of so many px."""
    if side == 1:
        return values
    values = _filled(values, side)
    h, w = values.shape
    lines = values.reshape(h // side, side, w).sum(axis=1)
    sums = lines.reshape(h // side, w // side, side).sum(axis=2)
    return np.asarray(sums / (side * side), np.float32)


def _filled(values: Picture, side: int) -> Picture:
    """Sides that are multiples of `side`; what is missing is filled up from the edge."""
    h, w = values.shape
    if h % side == 0 and w % side == 0:
        return values
    return np.pad(values, ((0, -h % side), (0, -w % side)), mode="edge")


def _at_pixels(nodes: Field, shape: tuple[int, int], side: int) -> Field:
    """A field between the middles of squares, at every px."""
    y, x = ((np.arange(n, dtype=np.float32) + 0.5) / side - 0.5 for n in shape)
    at = np.meshgrid(y, x, indexing="ij")
    return np.stack(
        [map_coordinates(nodes[..., axis], at, order=3, mode="nearest") for axis in (0, 1)], -1
    )
