"""Whether there are seams, and where; needs only the image itself."""

from uhrtranslate.evaluation.figures.base import Evaluated, Figure, Figures, Sums
from uhrtranslate.evaluation.verdict import FEW
from uhrtranslate.report import Group, Measure


class Seam(Figure):
    """Steps at the borders of tiles, measured beforehand because other figures use them."""

    group = Group(
        "Seams",
        {
            "verdict": Measure("Seams"),
            "excess": Measure(
                "Seams over the source's",
                "one",
                3,
                "the seam ratio over the source's, at the same borders",
                charted=True,
                judged=True,
                interval=True,
                fewest=FEW,
            ),
            "excess_low": Measure("Seams over the source's, from", "none", 3, "95% interval"),
            "excess_high": Measure("Seams over the source's, to", "none", 3, "95% interval"),
            "ratio": Measure(
                "Seam ratio",
                "none",
                3,
                "colour step at tile borders over the step off them",
                missing="not measured",
            ),
            "p_value": Measure(
                "p-value", "none", 4, "chance that a grid without seams would score as much"
            ),
            "period": Measure("Tile period", "none", 0, "of the grid that was measured", "px"),
            "gradient_ratio": Measure(
                "Gradient ratio", "none", 3, "one-pixel gradient at borders over elsewhere: padding"
            ),
            "source_ratio": Measure("Source's ratio", "none", 3, "the same figure of the source"),
            "borders": Measure("Borders measured", "none", 0),
            "ratio_x": Measure("Seam ratio, vertical borders", "none", 3),
            "ratio_y": Measure("Seam ratio, horizontal borders", "none", 3),
            "worst_channel_ratio": Measure("Worst channel's seam ratio", "none", 3),
            "worst_channel": None,
            "worst_ratio": Measure("Worst image's seam ratio", "none", 3),
            "tile_mismatch": Measure(
                "Tile mismatch",
                "zero",
                2,
                "difference of two tilings, told by translations whose tiles are blended",
                "grey levels",
            ),
            "grid": None,
            "x": None,
            "y": None,
        },
    )

    of_channels = True

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        return image.seams.figures | {"tile_mismatch": image.made.mismatch}
