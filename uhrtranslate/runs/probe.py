"""What a translation will take, from one cell in the middle of the image."""

import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.engine import GeneratorTransform
from uhrtranslate.geometry import Tile, TilePlan, reflect
from uhrtranslate.io import SlideView, can_resume, open_slide, open_view, output_bytes_per_pixel
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.events import TranslatePlan
from uhrtranslate.runs.masks import make_masking


class Probe:
    """Plans translations; one forward of each generator tells the speed of all of them."""

    def __init__(self) -> None:
        self._speeds: dict[str, float] = {}  # seconds per px that is forwarded, by generator

    def plan(self, translator: Translator, path: Path, target: Path) -> TranslatePlan:
        """Say what translating an image would take.

        Raises:
            UhrError: it cannot be translated.
        """
        options = translator.options
        with open_slide(path, sparse=options.allow_sparse) as slide:
            view = open_view(slide, options.level, options.mpp, options.region)
            translator = translator.prepared(view)
            plan = translator.plan(view.width, view.height)
            result, speed = self._forward_middle(translator, view)
            masking = make_masking(view, plan.grid, options.mask, options.background)
            tiles = [tile for band in plan.bands() for tile in masking.cut(plan, *band)[0]]
            cells = sum(sum(masking.kept(row, plan.grid)) for row in range(plan.grid.rows))
            share = output_bytes_per_pixel(result, target, options.compression, options.quality)
            return TranslatePlan(
                input=str(path),
                output=str(target),
                status="planned",
                width=view.width,
                height=view.height,
                mpp=view.mpp,
                cell=plan.grid.cell,
                tile=plan.tile,
                halo=plan.halo,
                cells=cells,
                tiles=len(tiles),
                bytes=round(share * view.width * view.height),
                seconds=round(speed * (_observed(translator, plan, cells) + _area(tiles)), 1),
                resumable=can_resume(target),
                exists=os.path.lexists(target),
            )

    def _forward_middle(
        self, translator: Translator, view: SlideView
    ) -> tuple[NDArray[np.uint8], float]:
        """The middle of the image through the bare generator, and seconds per px.

        One cell at most; the image is continued by reflection where it is smaller.
        """
        side = translator.cell
        w, h = min(side, view.width), min(side, view.height)
        middle = view.read((view.width - w) // 2, (view.height - h) // 2, w, h)
        cell = middle[reflect(0, side, h)[:, None], reflect(0, side, w)]
        runner = translator.runner
        digest = translator.generator.digest
        for _ in range(1 if digest in self._speeds else 2):  # the first warms up
            began = time.perf_counter()
            (result,) = runner.to_pixels(runner.plain(runner.to_input([cell])))
            seconds = time.perf_counter() - began
        return result[:h, :w], self._speeds.setdefault(digest, seconds / side**2)


def _observed(translator: Translator, plan: TilePlan, cells: int) -> int:
    """Pixels that go through the generator for the statistics of so many cells."""
    transform = GeneratorTransform(
        translator.lanes, translator.normalizer, plan, lambda: np.zeros((1, 1, 3), np.uint8)
    )
    if transform.reach is None:
        return 0
    return cells * (plan.grid.cell + 2 * plan.halo * plan.mirrored) ** 2


def _area(tiles: list[Tile]) -> int:
    """Pixels that go through the generator for tiles, halos included."""
    return sum(tile.shape[0] * tile.shape[1] for tile in tiles)
