"""Tiles whose borders are told from their surroundings by a permutation test, and how clearly.

For each tile, the gradients across its borders are compared with those parallel to them, 1 to
`STRIPS` px away on both sides. If the borders are like any other place, it does not matter which
gradients are called the borders': so blocks of `BLOCK` gradients are dealt anew `DRAWS` times, and
the p-value is the share of deals with a divergence as large as the one that was measured.

The share of tiles with a p-value below `ALPHA` is the false rejection rate (SWITi, arXiv
2607.18990); it should be `ALPHA` where nothing shows, were all blocks independent. But smooth
texture makes neighbouring gradients alike, and blocks of JPEG or a generator's stride lie where
borders do; so the null is what the same picture has half-way between its borders (`null_grid`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.metrics.planes import grey, levels
from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.profiles import Floats, Read

Divergence = Literal["kl", "js"]

STRIPS, BLOCK, DRAWS, BINS, ALPHA = 4, 3, 1000, 32, 0.05
# Tiles that are tested at most, drawn by seed: 1000 tell a rate of 0.05 to within 0.007.
MOST = 1000
# A tile at the end of a single row has one border, too few to say anything.
_FEWEST = 2
_EPSILON, _SPREAD = 1e-12, 1e-8
_LATTICE = 8
_AT_ONCE = 1 << 22  # random numbers at a time


@dataclass(frozen=True)
class TileTest:
    """What became of one tile.

    Attributes:
        divergence: of the histogram of the borders' gradients from that of those beside them.
        p_value: how often blocks that are dealt at random diverge as much.
        standard: the divergence in standard deviations above the mean of the random ones.
    """

    divergence: float
    p_value: float
    standard: float


@dataclass(frozen=True)
class Rejections:
    """All tested tiles of an image.

    Attributes:
        rate: share of them with a p-value below `ALPHA`.
        severity: median divergence.
        severity_z: median of `TileTest.standard`, which does not depend on the tiles' size.
        tiles: how many were tested.
    """

    rate: float
    severity: float
    severity_z: float
    tiles: int


def measure_rejections(
    read: Read,
    width: int,
    height: int,
    grid: Grid,
    divergence: Divergence = "kl",
    seed: int = 0,
    most: int = MOST,
) -> Rejections | None:
    """Test the tiles of a grid; only the pixels near their borders are read, tile by tile.

    Args:
        read: gives x, y, w, h of the image as RGB, [h, w, 3]; Rec. 601 grey is compared.
        width, height: of the image in px.
        grid: where the borders are; tiles at the image's end count, with fewer borders.
        divergence: Kullback and Leibler's, as first described, or Jensen and Shannon's.
        seed: of the choice of tiles and of the deals.
        most: tiles that are tested at most.

    Returns:
        None if no tile has two borders far enough from the image's end.
    """
    tiles = list(_tiles(width, height, grid))
    if len(tiles) > most:
        chosen = np.random.default_rng(seed).choice(len(tiles), most, replace=False)
        tiles = [tiles[i] for i in sorted(chosen)]
    tests = []
    for tile in tiles:
        lines = [_across(read, *border) for border in tile]
        borders = [line[:, STRIPS] for line in lines]
        beside = [line[:, i] for line in lines for i in range(2 * STRIPS + 1) if i != STRIPS]
        tests.append(tile_test(borders, beside, divergence, seed=seed))
    if not tests:
        return None
    return Rejections(
        rate=float(np.mean([test.p_value < ALPHA for test in tests])),
        severity=float(np.median([test.divergence for test in tests])),
        severity_z=float(np.median([test.standard for test in tests])),
        tiles=len(tests),
    )


def null_grid(grid: Grid) -> Grid:
    """The same grid about half-way between its borders, where there are none.

    It is moved by a multiple of 8 px, so that what repeats every 8 px there too, as blocks of JPEG
    and the pattern of a generator's stride do, is no sign of tiles.
    """
    shift = max(grid.period // 2 // _LATTICE, 1) * _LATTICE
    x, y = ((first + shift) % grid.period or grid.period for first in (grid.x, grid.y))
    return Grid(grid.period, x, y, grid.p_value)


def tile_test(
    borders: Sequence[Floats],
    beside: Sequence[Floats],
    divergence: Divergence = "kl",
    draws: int = DRAWS,
    seed: int = 0,
) -> TileTest:
    """Whether gradients at borders differ from those beside them.

    Args:
        borders, beside: lines of gradients, [n] each; blocks do not go beyond a line.
        divergence: "kl" or "js".
        draws: deals of the blocks.
        seed: of the deals.

    The histograms have 32 equal bins from the least to the largest gradient of both together. The
    p-value is (1 + deals that diverge as much) / (1 + deals) (Phipson & Smyth 2010).
    """
    values = np.concatenate([*borders, *beside])
    low, high = float(values.min()), float(values.max())
    low, high = (low, high) if high > low else (low - 0.5, low + 0.5)
    counts = np.concatenate([_blocks(line, low, high) for line in (*borders, *beside)])
    ours = sum(-(-len(line) // BLOCK) for line in borders)
    chosen = deals(len(counts), ours, draws, seed)
    observed = _diverge(counts[:ours].sum(axis=0)[None], counts.sum(axis=0), divergence)[0]
    chance = np.concatenate(
        [
            _diverge(some.astype(np.float32) @ counts, counts.sum(axis=0), divergence)
            for some in np.array_split(chosen, max(1, chosen.size // _AT_ONCE))
        ]
    )
    p_value = (1 + int((chance >= observed).sum())) / (1 + draws)
    standard = float(observed - chance.mean()) / max(float(chance.std()), _SPREAD)
    return TileTest(float(observed), p_value, standard)


@lru_cache(maxsize=4)
def deals(blocks: int, ours: int, draws: int, seed: int) -> NDArray[np.bool_]:
    """Which blocks are called the borders' in each deal, [draws, blocks].

    Tiles of one shape share them: each tile's p-value is as good, and a slide's take less time.
    """
    random = np.random.default_rng(seed)
    chosen = np.zeros((draws, blocks), bool)
    step = max(1, _AT_ONCE // blocks)
    for first in range(0, draws, step):
        some = chosen[first : first + step]
        keys = random.random((len(some), blocks), np.float32)
        places = np.argpartition(keys, ours - 1, axis=1)[:, :ours]
        np.put_along_axis(some, places, True, axis=1)
    return chosen


def _blocks(line: Floats, low: float, high: float) -> NDArray[np.float32]:
    """Histograms of the blocks of a line, [blocks, bins]; counts, so that sums are exact."""
    bins = np.minimum(((line - low) / (high - low) * BINS).astype(np.int64), BINS - 1)
    blocks = -(-len(line) // BLOCK)
    index = np.arange(len(line)) // BLOCK * BINS + bins
    counts = np.bincount(index, minlength=blocks * BINS).reshape(blocks, BINS)
    return counts.astype(np.float32)


def _diverge(ours: NDArray[np.float32], all_of: NDArray[np.float32], divergence: str) -> Floats:
    """Divergence of each of [n, bins] from what it leaves of all."""
    p, q = ours.astype(np.float64), (all_of - ours).astype(np.float64)
    p, q = p / p.sum(axis=1, keepdims=True), q / q.sum(axis=1, keepdims=True)
    if divergence == "kl":
        return _kl(p, q)
    middle = (p + q) / 2
    return (_kl(p, middle) + _kl(q, middle)) / 2


def _kl(p: Floats, q: Floats) -> Floats:
    found: Floats = (p * np.log((p + _EPSILON) / (q + _EPSILON))).sum(axis=1)
    return found


# A border of a tile: whether it is horizontal, where it is, and its first and last px along it.
_Side = tuple[bool, int, int, int]


def _tiles(width: int, height: int, grid: Grid) -> Iterator[list[_Side]]:
    """The borders of each tile that has enough of them."""
    columns = [0, *range(grid.x, width, grid.period), width]
    rows = [0, *range(grid.y, height, grid.period), height]
    for top, bottom in pairwise(rows):
        for left, right in pairwise(columns):
            sides = [(False, x, top, bottom) for x in (left, right) if _inside(x, width)]
            sides += [(True, y, left, right) for y in (top, bottom) if _inside(y, height)]
            if len(sides) >= _FEWEST:
                yield sides


def _inside(place: int, size: int) -> bool:
    return STRIPS < place < size - STRIPS


def _across(read: Read, flat: bool, place: int, start: int, end: int) -> Floats:
    """Gradients across a border and beside it, [length, 2 * STRIPS + 1]."""
    first, count, length = place - STRIPS - 1, 2 * STRIPS + 2, end - start
    if flat:
        block = read(start, first, length, count).swapaxes(0, 1)
    else:
        block = read(first, start, count, length)
    return np.diff(levels(grey(block))[..., 0], axis=1)
