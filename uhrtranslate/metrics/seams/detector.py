"""Find the grid of tiles in an image of unknown origin, with a p-value.

The surprise of every column and row (`profiles`), relative to that of its neighbours, is summed at
equal distances, for every distance and every first column. The same profiles in shuffled order show
how high the largest of these sums gets by chance. The pixels beyond the border distinguish seams
from the tiles of codecs, which change the pixels at their borders but leave no step.
"""

from dataclasses import dataclass, replace

import numpy as np

from uhrtranslate.metrics.seams.codec_blocks import block_pattern, find_blocks
from uhrtranslate.metrics.seams.profiles import NEAR, OWN, Floats, Profiles

# px between borders. Below the first, blocks of codecs and texture would be found.
SHORTEST, LONGEST = 64, 4096
# Least number of borders, columns and rows together.
FEWEST = 3
# A grid is found if its p-value is below this.
SIGNIFICANCE = 0.002
SHUFFLES = 40
# px that are shuffled together.
_BLOCK = 16
# Most columns of a profile that are searched: more are not needed, and take long.
_COLUMNS = 8192
# Standard deviations by which a grid must also stand out in the pixels beyond its borders.
_CONFIRMED = 1.0
# Blocks of codecs are this many px wide at most, if they were enlarged, and stand out by as many
# standard deviations together where they divide a grid of tiles evenly: real tiles by 4 at most.
_WIDEST, _NARROWEST, _BLOCKS = 30, 6, 6.0
# Limits of a single place's prominence, so that one border alone does not make a grid.
_LEAST, _MOST = -3.0, 6.0
# Most tiles begin at the image's corner, at multiples of this many px. These grids are tested
# separately, and so are those of any size that begin there: few candidates need weaker evidence.
_COMMON = 16
# Mean of Gumbel's distribution minus its location, in units of its scale.
_EULER = 0.5772156649


@dataclass(frozen=True)
class Grid:
    """Borders at equal distances.

    Attributes:
        period: px between them.
        x, y: of the first of them inside the image.
        p_value: how often an image without seams has a grid as clear.
    """

    period: int
    x: int
    y: int
    p_value: float


def find_grid(profiles: Profiles, seed: int = 0) -> Grid | None:
    """Search for tiles of unknown size.

    Args:
        profiles: of the image.
        seed: of the shuffling.

    Returns:
        The clearest grid, significant (`Grid.p_value` below `SIGNIFICANCE`) or not; None if the
        image is too small to have one.
    """
    both = profiles.columns, profiles.rows
    inner = [prominence(profile.surprise[:_COLUMNS]) for profile in both]
    beyond = [prominence(profile.beyond[:_COLUMNS]) for profile in both]
    found = _clearest(inner, seed)
    if found is None or found.p_value >= SIGNIFICANCE:
        return found
    found = _centred(found, profiles)
    if max(blocks_between(axes, found) for axes in (inner, beyond)) > _BLOCKS:
        return replace(found, p_value=1.0)
    return found if _standing(beyond, found) > _CONFIRMED else _clearest(beyond, seed)


def _clearest(axes: list[Floats], seed: int) -> Grid | None:
    found = _search(axes)
    if found is None:
        return None
    random = np.random.default_rng(seed)
    chance = [_search([_shuffled(axis, random) for axis in axes]) for _ in range(SHUFFLES)]
    grids = []
    for tier, (score, period, x, y) in enumerate(found):
        p_value = _p_value(score, np.array([other[tier][0] for other in chance if other]))
        grids.append(Grid(period, x, y, min(1.0, len(found) * p_value)))
    return min(grids, key=lambda grid: grid.p_value)


def _centred(grid: Grid, profiles: Profiles) -> Grid:
    """The grid with the largest surprise among this one and those shifted by one or two pixels."""
    firsts = []
    for profile, first in ((profiles.columns, grid.x), (profiles.rows, grid.y)):
        sums = {
            shift: np.nansum(profile.surprise[(first + shift) % grid.period :: grid.period])
            for shift in (0, -1, 1, -2, 2)
        }
        firsts.append((first + max(sums, key=lambda shift: sums[shift])) % grid.period)
    return replace(grid, x=firsts[0] or grid.period, y=firsts[1] or grid.period)


def _standing(axes: list[Floats], grid: Grid) -> float:
    """How much all borders of a grid together stand out, in standard deviations."""
    places = [
        axis[first :: grid.period] for axis, first in zip(axes, (grid.x, grid.y), strict=True)
    ]
    borders = np.concatenate(places)
    return float(borders.sum() / np.sqrt(max(len(borders), 1)))


def blocks_between(axes: list[Floats], grid: Grid) -> float:
    """How much the places stand out that divide a grid's tiles into equal blocks.

    Where an image was compressed and then enlarged by an odd factor, only every sixth block, say,
    begins at a whole pixel, and so looks like the border of a tile. The others give it away.

    Args:
        axes: `prominence` of columns and of rows.
        grid: that was found.

    Returns:
        Standard deviations, of the number of blocks for which they are the most.
    """
    most = 0.0
    for parts in range(-(-grid.period // _WIDEST), grid.period // _NARROWEST + 1):
        places = []
        for axis, first in zip(axes, (grid.x, grid.y), strict=True):
            each = np.arange(-parts, (len(axis) // grid.period + 1) * parts)
            each = first + np.rint(each[each % parts != 0] * grid.period / parts).astype(int)
            places.append(axis[each[(each >= 0) & (each < len(axis))]])
        between = np.concatenate(places)
        most = max(most, float(between.sum() / max(len(between), 1) ** 0.5))
    return most


def prominence(surprise: Floats) -> Floats:
    """How much each place stands out from those near it, in robust standard deviations.

    Args:
        surprise: as in `Profile`.

    Returns:
        [n], 0 where nothing is known; the pattern of codec blocks is removed.
    """
    steps = np.sqrt(surprise)
    padded = np.pad(steps, NEAR, constant_values=np.nan)
    away = [d for d in range(-NEAR, NEAR + 1) if abs(d) > OWN]
    near = np.stack([padded[NEAR + d : len(steps) + NEAR + d] for d in away])
    known = np.isfinite(steps) & (np.isfinite(near).sum(axis=0) >= len(away) // 2)
    found = np.zeros(len(steps))
    if known.sum() < 2 * _BLOCK:
        return found
    found[known] = steps[known] - np.nanmedian(near[:, known], axis=0)
    spread = 1.4826 * float(np.median(np.abs(found[known])))
    if not spread > 0:
        return np.zeros(len(steps))
    found = np.where(known, np.clip(found / spread, _LEAST, _MOST), 0.0)
    for _ in range(2):
        distance = find_blocks(found)
        if distance is not None:
            found -= np.where(known, block_pattern(found, distance), 0.0)
    return found


def _search(axes: list[Floats]) -> tuple[tuple[float, int, int, int], ...] | None:
    """The highest score, period, first column and row.

    Of usual grids from the corner, of grids of any size from there, and of all.
    """
    usual = corner = anywhere = (-np.inf, 0, 0, 0)
    for period in range(SHORTEST, min(max(map(len, axes)) // 2, LONGEST) + 1):
        folded = [_folded(axis, period) for axis in axes]
        borders = sum(int(counts[0]) for _, counts in folded)
        if borders >= FEWEST:
            score = float(sum(sums[0] for sums, _ in folded)) / borders**0.5
            corner = max(corner, (score, period, period, period))
            if period % _COMMON == 0:
                usual = max(usual, (score, period, period, period))
        # Each axis has the first border that suits it best.
        firsts = [int((sums / np.sqrt(np.maximum(counts, 1))).argmax()) for sums, counts in folded]
        borders = sum(int(counts[i]) for (_, counts), i in zip(folded, firsts, strict=True))
        if borders >= FEWEST:
            total = sum(sums[i] for (sums, _), i in zip(folded, firsts, strict=True))
            x, y = (first or period for first in firsts)
            anywhere = max(anywhere, (float(total) / borders**0.5, period, x, y))
    found = usual, corner, anywhere
    return found if all(period for _, period, _, _ in found) else None


def _folded(axis: Floats, period: int) -> tuple[Floats, Floats]:
    """For each first place below the period: the sum of the places at this distance, their number.

    The image's edge is not a border.
    """
    rows = -(-len(axis) // period)
    table = np.zeros(rows * period)
    table[: len(axis)] = axis
    counts = np.full(period, float(rows))
    counts[len(axis) - (rows - 1) * period :] -= 1
    counts[0] -= 1
    return table.reshape(rows, period).sum(axis=0), counts


def _shuffled(axis: Floats, random: np.random.Generator) -> Floats:
    """The axis with its blocks in random order; within a block, places stay together."""
    blocks = [axis[start : start + _BLOCK] for start in range(0, len(axis), _BLOCK)]
    return np.concatenate([blocks[i] for i in random.permutation(len(blocks))])


def _p_value(score: float, maxima: Floats) -> float:
    """How often chance gives such a score: maxima of many sums follow Gumbel's distribution."""
    scale = max(float(maxima.std()) * 6**0.5 / np.pi, 1e-9)
    location = float(maxima.mean()) - _EULER * scale
    return float(-np.expm1(-np.exp(-(score - location) / scale)))
