"""Whether an image has seams, where, and whether its source has them too."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.evaluation.images import read8
from uhrtranslate.evaluation.verdict import seam_verdict
from uhrtranslate.io import SlideView
from uhrtranslate.metrics.seams.borders import Border, heat_map, measure_borders, worst_borders
from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.excess import seam_excess
from uhrtranslate.metrics.seams.measure import measure_seams, search_seams
from uhrtranslate.metrics.seams.profiles import (
    Profiles,
    averaged,
    measure_channels,
    measure_profiles,
)


@dataclass(frozen=True, eq=False)
class SeamReport:
    """Figures of seams, the worst borders, a map of all, and the grid that was measured."""

    figures: dict[str, Any]
    borders: tuple[Border, ...]
    heat: NDArray[np.float32] | None
    grid: Grid | None

    @property
    def period(self) -> int | None:
        """Px between the borders that were measured."""
        return self.grid.period if self.grid else None


def evaluate_seams(
    view: SlideView, source: SlideView | None, grid: int | None, seed: int
) -> SeamReport:
    """Measure the seams of a known grid, or search for one.

    Args:
        view: of the evaluated image; read twice, the second time only near borders. Of channels,
            the figures are those of all together, and the worst channel is named.
        source: of the same size; shows the picture's own steps in these places.
        grid: px between borders, counted from the image's left and upper edge; None to search.
        seed: of the search.
    """
    each = _profiles(view)
    profiles = averaged(each)
    seams = search_seams(profiles, seed) if grid is None else measure_seams(profiles, grid)
    shown = seams.grid if seams.period else None
    figures: dict[str, Any] = {
        "grid": grid or "auto",
        "period": seams.period,
        "x": shown and shown.x,
        "y": shown and shown.y,
        **{name: value for name, value in vars(seams).items() if name not in ("grid", "period")},
        "source_ratio": None,
        "excess": None,
        "excess_low": None,
        "excess_high": None,
    }
    measured = seams.grid if seams.borders else None
    if measured is None:
        return SeamReport(figures | {"verdict": seam_verdict(figures)}, (), None, None)
    if source is not None:
        own = averaged(_profiles(source))
        figures["source_ratio"] = measure_seams(own, measured.period, measured.x, measured.y).ratio
        if excess := seam_excess(profiles, own, measured, seed):
            figures |= {"excess": excess.ratio, "excess_low": excess.low}
            figures["excess_high"] = excess.high
    if view.info.channels:
        again = [measure_seams(one, measured.period, measured.x, measured.y) for one in each]
        ratios = [seams.ratio or 0.0 for seams in again]
        worst = int(np.argmax(ratios))
        figures["worst_channel"] = view.info.channels[worst].name
        figures["worst_channel_ratio"] = ratios[worst]
    figures["verdict"] = seam_verdict(figures)
    borders = measure_borders(_reader(view), view.width, view.height, measured)
    heat = heat_map(borders, view.width, view.height, measured)
    return SeamReport(figures, worst_borders(borders), heat, measured)


def _profiles(view: SlideView) -> list[Profiles]:
    """Those of each channel, or of the colours together."""
    if view.info.channels:
        return measure_channels(_reader(view), view.width, view.height, view.samples)
    return [measure_profiles(_reader(view), view.width, view.height)]


def _reader(view: SlideView) -> Any:
    return lambda x, y, w, h: read8(view, x, y, w, h)
