"""Whether seams show, and how much: a few figures from the profiles of an image."""

from dataclasses import dataclass

import numpy as np

from uhrtranslate.metrics.seams.detector import SIGNIFICANCE, Grid, find_grid
from uhrtranslate.metrics.seams.profiles import STRIP, Floats, Profiles

# A known grid needs weaker evidence than one that was found by a search.
KNOWN_SIGNIFICANCE = 0.05


@dataclass(frozen=True)
class Seams:
    """Figures of one grid of tiles; without arguments, those of an image that has no borders.

    Attributes:
        grid: where the borders are, significant or not; None if no grid fits into the image.
        period: px between borders, None if none show.
        ratio: mean step at the borders divided by the mean step elsewhere; 1 if borders are like
            any other place, None if none were found or measured.
        ratio_x, ratio_y: the same for vertical and for horizontal borders alone; None without any.
        gradient_ratio: the same for the gradient, which shows the trace of padding.
        p_value: how often places that are not borders step as much; None if nothing could be
            searched or measured.
        borders: how many were measured.
    """

    grid: Grid | None = None
    period: int | None = None
    ratio: float | None = None
    ratio_x: float | None = None
    ratio_y: float | None = None
    gradient_ratio: float | None = None
    p_value: float | None = None
    borders: int = 0


def search_seams(profiles: Profiles, seed: int = 0) -> Seams:
    """Search for a grid of tiles, and measure it if one is found.

    Args:
        profiles: of the image.
        seed: see `find_grid`.
    """
    grid = find_grid(profiles, seed)
    if grid is None:
        return Seams()
    if grid.p_value >= SIGNIFICANCE:
        return Seams(p_value=grid.p_value)
    return _figures(profiles, grid, grid.period)


def measure_seams(profiles: Profiles, period: int, x: int = 0, y: int = 0) -> Seams:
    """Measure a known grid.

    The p-value is by permutation: the share of other offsets of the same grid whose steps are as
    large. Offsets that touch the borders are left out.

    Args:
        profiles: of the image.
        period: px between borders.
        x, y: of any border; by default, the grid begins at the image's corner.
    """
    grid = Grid(period, x % period or period, y % period or period, 1.0)
    axes = _axes(profiles, grid)
    usual = [_elsewhere(step, period, first) for step, _, first in axes]
    sums, counts = np.zeros(period), np.zeros(period)
    for (step, _, first), value in zip(axes, usual, strict=True):
        if value > 0:
            total, number = _folded(np.roll(step / value, -first), period)
            sums, counts = sums + total, counts + number
    if not counts[0]:
        return Seams()
    offsets = np.divide(sums, counts, where=counts > 0, out=np.zeros(period))
    others = offsets[2 * STRIP : period - 2 * STRIP + 1]
    p_value = (1 + int((others >= offsets[0]).sum())) / (1 + len(others))
    grid = Grid(period, grid.x, grid.y, p_value)
    seams = _figures(profiles, grid, period if p_value < KNOWN_SIGNIFICANCE else None)
    return seams if seams.borders else Seams()


def relative_steps(profiles: Profiles, grid: Grid) -> Floats | None:
    """Step at each border, the vertical ones first, divided by the axis's mean step elsewhere.

    NaN where it is not known; None if nowhere steps.
    """
    parts = []
    for step, _, first in _axes(profiles, grid):
        usual, at_borders = _elsewhere(step, grid.period, first), step[first :: grid.period]
        parts.append(at_borders / usual if usual > 0 else np.full(len(at_borders), np.nan))
    steps = np.concatenate(parts)
    return steps if np.isfinite(steps).any() else None


def _figures(profiles: Profiles, grid: Grid, period: int | None) -> Seams:
    axes = _axes(profiles, grid)
    steps = [_ratio(step, grid.period, first) for step, _, first in axes]
    gradients = [_ratio(gradient, grid.period, first) for _, gradient, first in axes]
    ratio, borders = _mean(steps)
    each = [value if number else None for value, number in steps]
    return Seams(grid, period, ratio, each[0], each[1], _mean(gradients)[0], grid.p_value, borders)


def _axes(profiles: Profiles, grid: Grid) -> list[tuple[Floats, Floats, int]]:
    columns, rows = profiles.columns, profiles.rows
    return [(columns.step, columns.gradient, grid.x), (rows.step, rows.gradient, grid.y)]


def _ratio(profile: Floats, period: int, first: int) -> tuple[float, int]:
    """Mean at the borders divided by that elsewhere, and the number of borders; 1, 0 if none."""
    at_borders = profile[first::period]
    at_borders = at_borders[np.isfinite(at_borders)]
    usual = _elsewhere(profile, period, first)
    if not len(at_borders) or not usual > 0:
        return 1.0, 0
    return float(at_borders.mean()) / usual, len(at_borders)


def _elsewhere(profile: Floats, period: int, first: int) -> float:
    """Mean of the places that are far from any border; 0 without any."""
    offset = (np.arange(len(profile)) - first) % period
    clear = (offset >= 2 * STRIP) & (offset <= period - 2 * STRIP) & np.isfinite(profile)
    return float(profile[clear].mean()) if clear.any() else 0.0


def _folded(profile: Floats, period: int) -> tuple[Floats, Floats]:
    """Sum and number of the known values at each offset."""
    padded = np.full(-(-len(profile) // period) * period, np.nan)
    padded[: len(profile)] = profile
    table = padded.reshape(-1, period)
    return np.nansum(table, axis=0), np.isfinite(table).sum(axis=0).astype(np.float64)


def _mean(ratios: list[tuple[float, int]]) -> tuple[float | None, int]:
    borders = sum(number for _, number in ratios)
    if not borders:
        return None, 0
    return sum(value * number for value, number in ratios) / borders, borders
