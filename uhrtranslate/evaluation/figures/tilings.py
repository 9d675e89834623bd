"""How far two tilings of one translation differ."""

from uhrtranslate.evaluation.figures.base import Area, Evaluated, Figure, Figures, Sums
from uhrtranslate.metrics.difference import differences
from uhrtranslate.report import Group, Measure


class Tilings(Figure):
    """The tile mismatch, and how much of the picture depends on its tiles."""

    group = Group(
        "Two tilings of one translation",
        {
            "mismatch": Measure(
                "Tile mismatch", "zero", 3, "mean difference", "grey levels", judged=True
            ),
            "largest": Measure("Largest difference", "zero", 0, "", "grey levels"),
            "above_one": Measure("Above one grey level", "zero", 4, "share of values"),
        },
    )
    needs = ("retiled",)
    areas = "blocks"

    def sums(self, area: Area) -> Sums:
        """See `Figure`."""
        return (differences(area.pixels, area.partners["retiled"], area.halo),)

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        (found,) = sums
        return {"mismatch": found.mean, "largest": found.largest, "above_one": found.above(1)}
