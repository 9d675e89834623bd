#!/usr/bin/env python3
"""Whether time follows tissue: slides of which some are tissue, beside one that is tissue alone.

    python scripts/bench_mask.py --json mask.json
    python scripts/bench_mask.py --side 20000 --cell 512 --tile 2048 --repeat 1 --json mask.json

Pieces of a real stained section lie on glass, in pyramids written first, one for each share of
`--tissue`. All runs use a ResNet generator (random weights, measured halo), DN, the whole pipeline
with the pyramid written. `masked` makes its mask by detection (`--mask auto`), and that is counted;
`flat` has no mask: cells that are flat have no statistics, and what is glass alone becomes white
(`--glass white`); `both` is both. The defaults are a scale model of a usual slide at a quarter of
its size: 10,240 px with cells of 128 px and tiles of 512 px for 40,960 px with cells of 512 px and
tiles of 2048 px, and two blocks for nine, so that the halo is smaller, too. Each run is a process
of its own, they are interleaved, and medians are taken. What a run costs whatever the image's size
(starting up, measuring the halo) is measured by a run over 128 px and subtracted.

Of the slide that is tissue alone, each way takes a share: of CPU time, and of that which the
generator computed (in one thread). `over tissue` and `over cells` are the latter by the share of
the slide that is tissue, and by that of the cells that touch it; 1 is time that follows them.
"""

import os
import tempfile
import time
from functools import cache, partial
from pathlib import Path

import numpy as np
import skimage.data
import torch
from bench import child, cpu_seconds, medians, parser, save, start, table, turns
from PIL import Image
from stand_ins import resnet, write

from uhrtranslate.engine import Lanes
from uhrtranslate.io import VirtualSlide
from uhrtranslate.options import make_options
from uhrtranslate.recipes import generator_pool
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.one_image import process_file

GLASS = 243
# Centre and half axes of the pieces of tissue, in shares of the slide: together 20% of it. For more
# or less they grow or shrink.
PIECES = ((0.28, 0.30, 0.14, 0.19), (0.68, 0.40, 0.16, 0.145), (0.42, 0.80, 0.20, 0.07))


@cache
def section() -> np.ndarray:
    """Real tissue without its own glass, mirrored so that it tiles without edges."""
    image = skimage.data.immunohistochemistry()[:256, :256]
    half = np.concatenate([image, image[:, ::-1]], axis=1)
    return np.concatenate([half, half[::-1]])


@cache
def tissue(side: int, share: float) -> np.ndarray:
    """Where tissue is, at a sixteenth of the slide's size, with ragged borders; [h, w] bool."""
    least, most = 0.0, 8.0
    for _ in range(24):
        middle = (least + most) / 2
        found = pieces(side, middle)
        least, most = (middle, most) if found.mean() < share else (least, middle)
    return found if share < 1 else np.ones_like(found)


def pieces(side: int, size: float) -> np.ndarray:
    """As `tissue`, for pieces of some times their size."""
    small = side // 16 or 1
    noise = np.random.default_rng(0).random((32, 32), np.float32)
    ragged = np.asarray(Image.fromarray(noise).resize((small, small), Image.Resampling.BICUBIC))
    y, x = (np.mgrid[:small, :small] + 0.5) / small
    found = np.zeros((small, small), bool)
    for cx, cy, rx, ry in PIECES:
        far = ((x - cx) / rx / size) ** 2 + ((y - cy) / ry / size) ** 2
        found |= far + (ragged - 0.5) * 0.3 < 1
    return found


def slide(side: int, share: float) -> VirtualSlide:
    """Tissue on glass, with the grain of a camera."""

    def pixels(x: int, y: int, w: int, h: int) -> np.ndarray:
        rows, cols = np.arange(y, y + h), np.arange(x, x + w)
        grain = ((rows * 7919)[:, None] ^ (cols * 104729)) & 3
        glass = np.repeat((GLASS + grain)[..., None], 3, axis=2)
        where = tissue(side, share)
        limit = where.shape[0] - 1
        here = where[np.minimum(rows // 16, limit)][:, np.minimum(cols // 16, limit)]
        stained = section()[rows % 512][:, cols % 512]
        return np.where(here[..., None], stained, glass).astype(np.uint8)

    return VirtualSlide(side, side, pixels, mpp=(0.5, 0.5))


class _Counted(Lanes):
    """Lanes that know how much CPU time their threads have taken."""

    seconds = 0.0

    def _run(self, work, item):
        began = time.thread_time()
        try:
            return super()._run(work, item)
        finally:
            _Counted.seconds += time.thread_time() - began


def translate(path: str, ngf: int, blocks: int, **options: object) -> dict[str, float]:
    """Translate in this process; what it took."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    chosen = make_options(options)
    generator = resnet("resnet", chosen.cell, ngf, blocks)
    generator_pool.Lanes = _Counted
    with tempfile.TemporaryDirectory() as folder:
        translator = Translator(chosen, GeneratorPool(chosen, generator))
        result = process_file(translator, Path(path), Path(folder, "out.tif"))
    return {
        "cpu_s": cpu_seconds(),
        "wall_s": result.seconds,
        "computed_s": _Counted.seconds,
        "kept": 1.0 if result.tissue is None else result.tissue,
        "halo": result.halo,
    }


def main() -> None:
    given = parser(
        __doc__, side=(10240, "of the slides in px"), cell=128, tile=512,
        tissue=([10, 20, 50], "percent of the slides that are tissue"),
        ngf=(8, "width of the generator"), blocks=2, repeat=3, threads=1,
    ).parse_args()  # fmt: skip
    one = partial(
        child, translate, ngf=given.ngf, blocks=given.blocks, cell=given.cell, tile=given.tile,
        threads=given.threads,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:

        def written(percent: int, side: int = given.side) -> Path:
            path = Path(folder, f"{percent}-{side}.tif")
            write(path, side, slide(side, percent / 100).read, mpp=(0.5, 0.5))
            return path

        ways = {"idle": partial(one, written(100, 128)), "full": partial(one, written(100))}
        for percent in given.tissue:
            path = written(percent)
            ways |= {
                f"{percent}% masked": partial(one, path, mask="auto"),
                f"{percent}% flat": partial(one, path, glass="white"),
                f"{percent}% both": partial(one, path, mask="auto", glass="white"),
            }
        runs = turns(ways, given.repeat)
    rows = {name: medians(each) for name, each in runs.items()}
    for name, row in rows.items():
        if name in ("idle", "full"):
            continue
        share = float(tissue(given.side, int(name.split("%")[0]) / 100).mean())
        cells = rows[f"{name.split()[0]} masked"]["kept"]
        for clock in ("cpu", "computed"):
            own, whole = (
                rows[n][f"{clock}_s"] - rows["idle"][f"{clock}_s"] for n in (name, "full")
            )
            row[f"{clock}_share"] = own / whole
        row |= {"tissue": share, "cells": cells}
        row |= {f"over_{what}": row["computed_share"] / row[what] for what in ("tissue", "cells")}
    columns = [
        ("CPU s", "cpu_s", "8.1f"), ("computed s", "computed_s", "11.1f"),
        ("tissue", "tissue", "8.3f"), ("cells", "cells", "8.3f"), ("CPU", "cpu_share", "8.3f"),
        ("computed", "computed_share", "9.3f"), ("over tissue", "over_tissue", "12.2f"),
        ("over cells", "over_cells", "11.2f"),
    ]  # fmt: skip
    table(rows, 14, columns)
    asked = {k: v for k, v in vars(given).items() if k != "json"}
    save(given.json, {**asked, "torch": torch.__version__, "rows": rows})


start(main, translate)
