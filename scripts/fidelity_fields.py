"""How bench_fidelity.py translates a picture: by the engine's own transform, or untiled."""

import numpy as np
import torch
from fidelity_tasks import Picture
from torch import Tensor

from uhrtranslate.engine import GeneratorRunner, GeneratorTransform
from uhrtranslate.engine.forward.actions import AS_TRAINED, MomentRule
from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.engine.stream.lanes import Lanes
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.geometry.cells import reflect
from uhrtranslate.geometry.tiles import Tile
from uhrtranslate.io import SlideView, open_view, thumbnail
from uhrtranslate.io.virtual import VirtualSlide
from uhrtranslate.models import Generator
from uhrtranslate.normalizers import Normalizer
from uhrtranslate.recipes.tissue_pictures import tissue_shares


class Remembering(GeneratorRunner):
    """A runner that records the statistics of the same pixels only once."""

    def __init__(self, generator: Generator) -> None:
        super().__init__(generator, torch.device("cpu"))
        self._known: dict[int, Moments] = {}

    def record(self, x: Tensor, rule: MomentRule = AS_TRAINED) -> Moments:
        """See `GeneratorRunner`."""
        key = hash((x.numpy().tobytes(), x.shape, rule))
        if key not in self._known:
            self._known[key] = super().record(x, rule)
        return self._known[key]

    def forget(self) -> None:
        """Before another picture."""
        self._known.clear()


def cut(pixels: Picture, x: int, y: int, w: int, h: int) -> Picture:
    """Pixels of a picture that is continued by reflection."""
    rows = reflect(y, y + h, pixels.shape[0])
    cols = reflect(x, x + w, pixels.shape[1])
    return np.ascontiguousarray(pixels[rows[:, None], cols])


def whole_tile(pixels: Picture, cell: int, halo: int) -> tuple[TilePlan, Tile, Picture]:
    """The whole picture as one tile, with its halo."""
    h, w = pixels.shape[:2]
    side = -(-max(h, w) // 4) * 4
    plan = TilePlan(CellGrid(w, h, cell), side, halo, 4)
    (tile,) = plan.tiles(0, h)
    box = tile.source
    return plan, tile, cut(pixels, box.x, box.y, box.w, box.h)


def view_of(pixels: Picture) -> SlideView:
    """A picture as the package's readers give it."""
    h, w = pixels.shape[:2]
    return open_view(VirtualSlide(w, h, lambda x, y, w, h: pixels[y : y + h, x : x + w]))


def small(pixels: Picture, cell: int) -> Picture:
    """The whole picture scaled to one cell, as `uhrt translate` makes it."""
    h, w = pixels.shape[:2]
    share = min(1.0, cell / max(h, w))
    return thumbnail(view_of(pixels), *(max(round(side * share / 4), 4) * 4 for side in (w, h)))


def by_normalizer(
    runner: Remembering, normalizer: Normalizer, pixels: Picture, cell: int, halo: int
) -> Picture:
    """A picture as the engine translates it."""
    plan, tile, source = whole_tile(pixels, cell, halo)
    transform = GeneratorTransform(
        Lanes([runner]), normalizer, plan, lambda: small(pixels, cell),
        shares=lambda: tissue_shares(view_of(pixels), plan.grid),
    )  # fmt: skip
    if transform.reach is not None:
        for row in range(plan.grid.rows):
            boxes = [plan.grid.box(row, col) for col in range(plan.grid.cols)]
            transform.observe(row, [[cut(pixels, b.x, b.y, b.w, b.h)] for b in boxes])
    ((result,),) = transform.apply([([tile], [source])])
    return result


def untiled(runner: GeneratorRunner, pixels: Picture) -> Picture:
    """One forward of the whole picture with plain instance norm."""
    h, w = pixels.shape[:2]
    even = cut(pixels, 0, 0, -(-w // 4) * 4, -(-h // 4) * 4)
    return runner.to_pixels(runner.plain(runner.to_input([even])))[0][:h, :w]
