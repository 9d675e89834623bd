"""How much of local brightness, contrast and hue is kept, cell by cell."""

import dataclasses
from typing import ClassVar

from uhrtranslate.evaluation.figures.base import Area, Evaluated, Figure, Figures, Sums
from uhrtranslate.evaluation.images import Partner
from uhrtranslate.metrics.preservation import (
    cell_facts,
    compare_cells,
    histogram,
    histogram_correlation,
)
from uhrtranslate.report import Direction, Group, Measure


def _group(title: str, zero: Direction, one: Direction) -> Group:
    """The same figures for two groups, with different directions.

    Args:
        title: of the group.
        zero, one: direction of figures that are 0, or 1, if nothing changes.
    """
    return Group(
        title,
        {
            "mean_correlation": Measure("Brightness, correlation", "higher", 3, "of cells' means"),
            "mean_rank_correlation": Measure("Brightness, ranks", "higher", 3, "Spearman's"),
            "mean_difference": Measure("Brightness, change", zero, 1, "in grey levels"),
            "contrast_correlation": Measure("Contrast, ranks", "higher", 3, "busy stays busy"),
            "contrast_ratio": Measure("Contrast, ratio", one, 3, "median over cells"),
            "contrast_low": Measure("Contrast, ratio, 5%", "none", 3),
            "contrast_high": Measure("Contrast, ratio, 95%", "none", 3),
            "contrast_spread": Measure(
                "Contrast, spread",
                "lower",
                3,
                "of the change from cell to cell: uneven changes are artefacts",
                judged=True,
            ),
            "hue_shift": Measure("Hue, change", zero, 1, "circular mean", "°"),
            "hue_spread": Measure("Hue, spread", "lower", 1, "circular deviation", "°"),
            "colour_distance": Measure("Colour distance", zero, 2, "of cells' means, CIE Lab"),
            "over_coloured": Measure("Over-coloured", zero, 3, "share of cells"),
            "under_coloured": Measure("Under-coloured", zero, 3, "share of cells"),
            "saturated": Measure("Saturated", "none", 3, "share of pixels"),
            "saturated_other": Measure("Saturated there", "none", 3, "share of pixels"),
            "histogram_correlation": Measure("Histograms, correlation", "higher", 3),
            "cell": None,
        },
    )


class Colour(Figure):
    """Against the source; from one domain to another, brightness and hue change on purpose."""

    group = _group("Colour and contrast against the source", "none", "none")
    needs: ClassVar[tuple[Partner, ...]] = ("source",)
    areas = "cells"

    def sums(self, area: Area) -> Sums:
        """See `Figure`."""
        pair = area.partners[self.needs[0]], area.pixels
        return (*([cell_facts(pixels)] for pixels in pair), *(histogram(pixels) for pixels in pair))

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        *facts, there, here = sums
        found = dataclasses.asdict(compare_cells(*facts))
        likeness = histogram_correlation(there, here)
        return {"cell": image.cell, **found, "histogram_correlation": likeness}


class Baseline(Colour):
    """Against the same generator with plain IN of each cell: any change counts."""

    group = _group("Colour and contrast against plain IN of each cell", "zero", "one")
    needs = ("baseline",)
