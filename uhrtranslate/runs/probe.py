"""What a translation will cost, estimated from one cell in the middle of the image."""

import os
import time
from pathlib import Path

from uhrtranslate.engine import Clock, GeneratorRunner
from uhrtranslate.geometry import reflect
from uhrtranslate.io import (
    Pixels,
    SlideView,
    can_resume,
    open_slide,
    open_view,
    output_bytes_per_pixel,
    stated_by,
)
from uhrtranslate.recipes.recipe import ImagePlan
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.events import Forecast
from uhrtranslate.runs.masks import make_masking
from uhrtranslate.runs.prepared import warnings_of


class Probe:
    """Forecasts translations; a generator's speed is measured once, and used for all images."""

    def __init__(self) -> None:
        self._speeds: dict[str, float] = {}  # seconds per px through the generator, by digest

    def plan(self, translator: Translator, path: Path | str, target: Path) -> Forecast:
        """Estimate the cost of translating an image.

        Raises:
            UhrError: it cannot be translated.
        """
        options = translator.options
        deep, channels = translator.bits_in > 8, translator.takes_channels
        stated = stated_by(options)
        with open_slide(path, deep, options.allow_sparse, channels, stated) as slide:
            view = open_view(slide, options.level, options.mpp, options.region)
            plan = translator.plan(view)
            grid = plan.tiles.grid
            result, speed = self._forward_middle(translator, plan, view)
            masking = make_masking(view, grid, options.mask, options.background, translator)
            tiles = [
                tile for band in plan.tiles.bands() for tile in masking.cut(plan.tiles, *band)[0]
            ]
            cells = sum(sum(masking.kept(row, grid)) for row in range(grid.rows))
            area = sum(
                tile.shape[0] * tile.shape[1] for tile in tiles
            )  # halos and overlaps included
            share = output_bytes_per_pixel(result, target, options.compression, options.quality)
            return Forecast(
                input=slide.info.path,
                output=str(target),
                status="planned",
                width=view.width,
                height=view.height,
                mpp=view.mpp,
                cell=grid.cell,
                tile=plan.tiles.tile,
                halo=plan.provenance.get("halo"),
                overlap=plan.provenance.get("overlap"),
                cells=cells,
                tiles=len(tiles),
                bytes=round(share * view.width * view.height),
                seconds=round(speed * (_observed(plan, cells) + area), 1),
                resumable=can_resume(target),
                exists=os.path.lexists(target),
                warnings=plan.warnings | warnings_of(view),
            )

    def _forward_middle(
        self, translator: Translator, plan: ImagePlan, view: SlideView
    ) -> tuple[Pixels, float]:
        """Run one cell in the middle through the bare generator; result, and seconds per px.

        An image smaller than a cell is continued by reflection.
        """
        side = translator.cell
        w, h = min(side, view.width), min(side, view.height)
        middle = view.read((view.width - w) // 2, (view.height - h) // 2, w, h)
        cell = translator.inputs(view)(middle[reflect(0, side, h)[:, None], reflect(0, side, w)])
        digest = translator.generator.digest

        def forward(runner: GeneratorRunner) -> tuple[Pixels, float]:
            for _ in range(1 if digest in self._speeds else 2):  # the first warms up
                began = time.perf_counter()
                made = runner.plain(runner.to_input([cell]))
                (result,) = runner.to_pixels(made, translator.bits_out)
                seconds = time.perf_counter() - began
            return result, seconds

        result, seconds = translator.pool.at(plan.provenance["precision"]).ask(forward)
        return result[:h, :w], self._speeds.setdefault(digest, seconds / side**2)


def _observed(plan: ImagePlan, cells: int) -> int:
    """Pixels that go through the generator to collect the statistics of some cells."""
    tiles = plan.tiles
    if plan.transform(Clock()).reach is None:
        return 0
    return cells * (tiles.grid.cell + 2 * tiles.halo * tiles.mirrored) ** 2
