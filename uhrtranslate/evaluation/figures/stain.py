"""Whether the stain is right where it is: DAB against a registered truth."""

import numpy as np

from uhrtranslate.evaluation.figures.base import Area, Evaluated, Figure, Figures, Sums
from uhrtranslate.metrics.dab import correlation, dab_density, density_sums, tile_pair
from uhrtranslate.metrics.masks import (
    dab_mask,
    distance_scale,
    hausdorff,
    mask_counts,
    mask_piece,
)
from uhrtranslate.metrics.planes import inside
from uhrtranslate.report import Group, Measure


class Stain(Figure):
    """Masks of what is positive, densities tile by tile, and their sums."""

    group = Group(
        "Stain (DAB) against the truth",
        {
            "dice": Measure("Dice of positive masks", "higher", 4, charted=True, judged=True),
            "iou": Measure("IoU of positive masks", "higher", 4),
            "sensitivity": Measure("Sensitivity", "higher", 4, "of the truth's positive px"),
            "precision": Measure("Precision", "higher", 4, "of the result's positive px"),
            "hausdorff_95": Measure("Hausdorff distance, 95%", "lower", 1, "of outlines", "px"),
            "hausdorff": Measure("Hausdorff distance", "lower", 1, "of outlines", "px"),
            "positive": Measure("Positive area", "none", 4, "share of px"),
            "true_positive": Measure("Truth's positive area", "none", 4, "share of px"),
            "p90_correlation": Measure(
                "P90 DAB, correlation", "higher", 3, "of tiles, Pearson's", judged=True
            ),
            "p90_difference": Measure("P90 DAB, difference", "lower", 4, "of tiles, absolute"),
            "dab_kl": Measure("DAB, KL divergence", "lower", 3, "of tiles' histograms, in nats"),
            "dab_js": Measure("DAB, JS divergence", "lower", 4, "of tiles' histograms, in nats"),
            "iod_difference": Measure("Optical density, change", "zero", 4, "mean over R, G, B"),
            "fod_difference": Measure("Focal density, change", "zero", 4, "density to the 1.8"),
            "tiles": Measure("Tiles compared", "none", 0),
            "tile": None,
            "scale": None,
        },
    )
    needs = ("truth",)
    areas = "blocks"

    def sums(self, area: Area) -> Sums:
        """See `Figure`."""
        options, view = self.setup.options, area.image.view
        pictures = area.pixels, area.partners["truth"]
        core = inside(area.pixels, area.halo)
        masks = [dab_mask(pixels, self.setup.mask_recipe)[core] for pixels in pictures]
        result, truth = (pixels[core] for pixels in pictures)
        densities = dab_density(result), dab_density(truth)
        pairs = [
            tile_pair(*(density[box] for density in densities))
            for box in tile_boxes(len(result), result.shape[1], options.dab_tile)
        ]
        piece = mask_piece(masks[0], masks[1], *area.place, distance_scale(view.width, view.height))
        sums = density_sums(result), density_sums(truth)
        return (mask_counts(*masks), pairs, [piece], *sums)

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        counts, pairs, pieces, result, truth = sums
        scale = distance_scale(image.view.width, image.view.height)
        apart = hausdorff(pieces, scale)
        return {
            "dice": counts.dice,
            "iou": counts.iou,
            "sensitivity": counts.sensitivity,
            "precision": counts.precision,
            "hausdorff_95": apart and apart.most,
            "hausdorff": apart and apart.largest,
            "positive": counts.area,
            "true_positive": counts.true_area,
            "p90_correlation": correlation(pairs),
            "p90_difference": float(np.mean([abs(one.score - one.true_score) for one in pairs])),
            "dab_kl": float(np.mean([one.kl for one in pairs])),
            "dab_js": float(np.mean([one.js for one in pairs])),
            "iod_difference": (result.integrated - truth.integrated) / result.count,
            "fod_difference": (result.focal - truth.focal) / result.count,
            "tiles": len(pairs),
            "tile": self.setup.options.dab_tile,
            "scale": scale,
        }


def tile_boxes(height: int, width: int, side: int) -> list[tuple[slice, slice]]:
    """Tiles of a block; those that it cuts to less than half are left out, unless all are."""
    rows, columns = (
        [
            slice(start, min(start + side, size))
            for start in range(0, size, side)
            if min(side, size - start) >= side // 2 or not start
        ]
        for size in (height, width)
    )
    return [(row, column) for row in rows for column in columns]
