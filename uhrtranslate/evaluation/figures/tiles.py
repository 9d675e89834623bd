"""Whether tiles show, by the measures of others; of a known or found grid."""

from functools import partial
from typing import Any

from uhrtranslate.evaluation.figures.base import Area, Evaluated, Figure, Figures, Sums
from uhrtranslate.evaluation.images import read8
from uhrtranslate.io import SlideView
from uhrtranslate.metrics.seams.contrast import BlockSums, block_sums, blockiness, measure_contrast
from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.rejection import measure_rejections, null_grid
from uhrtranslate.report import Group, Measure

_NOTHING = BlockSums()


class Tiles(Figure):
    """False rejection rate, boundary contrast, tiling score, blockiness; also of the source."""

    group = Group(
        "Seams by others' measures",
        {
            "rejected": Measure(
                "False rejection rate",
                "none",
                3,
                "share of tiles whose borders a permutation test tells from what is beside them",
                judged=True,
            ),
            "null_rejected": Measure(
                "False rejection rate half-way",
                "none",
                3,
                "between borders: the rate without seams",
                judged=True,
            ),
            "source_rejected": Measure(
                "Source's false rejection rate", "none", 3, "the picture's own, at the same places"
            ),
            "severity": Measure("Severity", "lower", 4, "median divergence of a tile's borders"),
            "severity_z": Measure(
                "Standardised severity", "lower", 2, "deviations above that of chance"
            ),
            "null_severity_z": Measure("Standardised severity half-way", "none", 2),
            "source_severity_z": Measure("Source's standardised severity", "none", 2),
            "tested": Measure("Tiles tested", "none", 0),
            "boundary_contrast": Measure(
                "Boundary contrast", "zero", 5, "|boundary - interior| of strips of 4 px, of 0..1"
            ),
            "source_boundary_contrast": Measure("Source's boundary contrast", "none", 5),
            "tiling_score": Measure(
                "Tiling score",
                "none",
                2,
                "largest of three gradients; blur lowers it",
                "grey levels",
            ),
            "blockiness": Measure(
                "Blockiness", "one", 3, "gradient between tiles over that within them"
            ),
            "source_blockiness": Measure("Source's blockiness", "none", 3),
            "masked_blockiness": Measure(
                "Masked blockiness", "none", 3, "local, weighted by how little texture hides it"
            ),
            "source_masked_blockiness": Measure("Source's masked blockiness", "none", 3),
        },
    )
    areas = "blocks"
    wants = ("source",)

    def sums(self, area: Area) -> Sums:
        """See `Figure`."""
        source = area.partners.get("source")
        own = _NOTHING if source is None else block_sums(source, area.halo)
        return block_sums(area.pixels, area.halo), own

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """See `Figure`."""
        names = [name for name, measure in self.group.measures.items() if measure]
        figures: Figures = dict.fromkeys(names)
        grid = image.seams.grid
        if grid is None:
            return figures
        seed = self.setup.options.seed
        figures |= _measured(image.view, grid, sums[0], seed) | _half_way(image.view, grid, seed)
        source = image.partners.get("source")
        if source is not None:
            own = _measured(source, grid, sums[1], seed)
            figures |= {
                f"source_{name}": value
                for name, value in own.items()
                if f"source_{name}" in figures
            }
        return figures


def _half_way(view: SlideView, grid: Grid, seed: int) -> dict[str, Any]:
    """The rates of a picture without seams: those half-way between its borders."""
    read = partial(read8, view)
    chance = measure_rejections(read, view.width, view.height, null_grid(grid), seed=seed)
    return {"null_rejected": chance.rate, "null_severity_z": chance.severity_z} if chance else {}


def _measured(view: SlideView, grid: Grid, sums: BlockSums, seed: int) -> dict[str, Any]:
    """The figures of one picture; those that cannot be measured are left out."""
    read = partial(read8, view)
    figures: dict[str, Any] = {}
    if tests := measure_rejections(read, view.width, view.height, grid, seed=seed):
        figures |= {
            "rejected": tests.rate,
            "severity": tests.severity,
            "severity_z": tests.severity_z,
            "tested": tests.tiles,
        }
    if contrast := measure_contrast(read, view.width, view.height, grid):
        figures |= {
            "boundary_contrast": contrast.contrast,
            "tiling_score": contrast.tiling_score,
            "blockiness": blockiness(sums, contrast.between, grid.period),
            "masked_blockiness": contrast.masked,
        }
    return figures
