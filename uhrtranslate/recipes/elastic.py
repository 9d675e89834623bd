"""The non-rigid step: from coarse to fine, in blocks that overlap."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.geometry import spans
from uhrtranslate.io import Slide, open_view, resized
from uhrtranslate.recipes.pictures_of_pairs import inside
from uhrtranslate.registration import DisplacementGrid, Transform
from uhrtranslate.registration.engines import Engine
from uhrtranslate.registration.field import NODES
from uhrtranslate.registration.looks import density
from uhrtranslate.tissue import detect_tissue

# Longest side in px of the picture of each round; blocks are larger than the first, so that it is
# one piece, and reach so many px into their neighbours.
ROUNDS = (1024, 2048, 4096, 8192)
BLOCK, OVERLAP = 1024, 128
# Least share of tissue in a block; others keep what was found in the round before.
TISSUE = 0.05


def sides_of_rounds(width: int, height: int, rounds: int) -> list[int]:
    """Longest side of the picture of each round, for a fixed slide of so many px.

    A round much finer than the slide itself would find nothing new.
    """
    first, *finer = ROUNDS[:rounds]
    return [first, *(side for side in finer if max(width, height) >= side * 0.75)]


def refine(
    moving: Slide,
    fixed: Slide,
    transform: Transform,
    engine: Engine,
    rounds: int,
    tell: Callable[[int, float], None] = lambda number, done: None,
) -> Transform:
    """A transform with a displacement that makes the moving slide fit the fixed one.

    Blocks are blended by weights that fall to zero at their ends, so there are no steps or gaps.

    Args:
        moving, fixed: the slides.
        transform: what is known, made of matrices.
        engine: finds the displacement in a block.
        rounds: how fine: 1 of 1024 px, each further one twice as fine, as far as the slide goes.
        tell: called with the round at work, from 0, and the share of it that is done.

    Raises:
        MissingExtraError: the engine is not installed.
    """
    found: DisplacementGrid | None = None
    for number, side in enumerate(sides_of_rounds(fixed.info.width, fixed.info.height, rounds)):
        found = _round(moving, fixed, transform, found, engine, side, partial(tell, number))
    assert found is not None
    return Transform(transform.moving, transform.fixed, (found, *transform.steps))


def _round(
    moving: Slide,
    fixed: Slide,
    transform: Transform,
    before: DisplacementGrid | None,
    engine: Engine,
    side: int,
    tell: Callable[[float], None],
) -> DisplacementGrid:
    """One round over all blocks at a resolution; adds to what the round before has found."""
    steps = transform.steps if before is None else (before, *transform.steps)
    known = Transform(transform.moving, transform.fixed, steps)
    info = fixed.info
    shrink = min(side / max(info.width, info.height), 1.0)
    w, h = max(round(info.width * shrink), 1), max(round(info.height * shrink), 1)
    one = resized(open_view(fixed), w, h)
    other = resized(open_view(WarpedSlide(moving, known)), w, h)
    rows, columns = -(-h // NODES) + 1, -(-w // NODES) + 1
    total = np.zeros((rows, columns, 2), np.float64)
    weights = np.full((rows, columns, 1), 1e-6)
    for y0, y1 in spans(h, BLOCK):
        for x0, x1 in spans(w, BLOCK):
            tell((y0 * w + x0 * (y1 - y0)) / (w * h))
            left, top = max(x0 - OVERLAP, 0), max(y0 - OVERLAP, 0)
            right, bottom = min(x1 + OVERLAP, w), min(y1 + OVERLAP, h)
            box = left, top, right - left, bottom - top
            pixels = one.read(*box)
            tissue = detect_tissue(pixels)
            if tissue.mean() < TISSUE:
                continue
            xs = (np.arange(left, right) + 0.5) * info.width / w
            ys = (np.arange(top, bottom) + 0.5) * info.height / h
            looks = density(pixels), density(other.read(*box))
            values = engine(*looks, tissue, inside(known, xs, ys))
            weight = _window(values.shape[0], top > 0, bottom < h)[:, None]
            weight = weight * _window(values.shape[1], left > 0, right < w)
            row, column = top // NODES, left // NODES
            part = np.s_[row : row + values.shape[0], column : column + values.shape[1]]
            fitting = values[: rows - row, : columns - column]
            kept = weight[: rows - row, : columns - column, None]
            total[part] += fitting * kept
            weights[part] += kept
    scale = np.array([info.width / w, info.height / h])
    added = total / weights * scale
    origin = (0.5 * scale[0], 0.5 * scale[1])
    spacing = (NODES * float(scale[0]), NODES * float(scale[1]))
    grid = DisplacementGrid(origin, spacing, added.astype(np.float32))
    if before is None:
        return grid
    # First by what was just found, then by what was known: T(p) = known(p + added(p)).
    nodes = grid.nodes().reshape(-1, 2)
    joined = before.apply(grid.apply(nodes)) - nodes
    return DisplacementGrid(origin, spacing, joined.reshape(added.shape).astype(np.float32))


def _window(count: int, before: bool, after: bool) -> NDArray[np.float64]:
    """Weights of a block's nodes along an axis: ramps where it has neighbours."""
    ramp = 2 * OVERLAP // NODES
    position = np.arange(count) + 0.5
    weight = np.ones(count)
    if before:
        weight = np.minimum(weight, position / ramp)
    if after:
        weight = np.minimum(weight, position[::-1] / ramp)
    return weight.clip(0, 1)
