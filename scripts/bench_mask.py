#!/usr/bin/env python3
"""What a tissue mask saves: a slide of which 20% are tissue, translated with and without.

    python scripts/bench_mask.py --json mask.json

Pieces of a real stained section lie on glass, in a pyramid written first. Both runs use a ResNet
generator (random weights, measured halo), DN, the whole pipeline with the pyramid written; the
masked one also makes its mask by detection (`--mask auto`), and that is counted. The defaults are
a scale model of a usual slide at a quarter of its size: 10,240 px with cells of 128 px and tiles of
512 px for 40,960 px with cells of 512 px and tiles of 2048 px, and two blocks for nine, so that the
halo is smaller, too. Each run is a process of its own, they are interleaved, and medians are taken.
What a run costs whatever the image's size (starting up, measuring the halo) is measured by a run
over 128 px and subtracted.
"""

import json
import os
import tempfile
from functools import cache, partial
from pathlib import Path

import numpy as np
import skimage.data
import torch
from bench import child, cpu_seconds, medians, parser, save, start, turns
from PIL import Image
from stand_ins import resnet, write

from uhrtranslate.io import VirtualSlide
from uhrtranslate.options import make_options
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.one_image import process_file

GLASS = 243
# Centre and half axes of the pieces of tissue, in shares of the slide: together 20% of it.
PIECES = ((0.28, 0.30, 0.14, 0.19), (0.68, 0.40, 0.16, 0.145), (0.42, 0.80, 0.20, 0.07))


@cache
def section() -> np.ndarray:
    """Real tissue without its own glass, mirrored so that it tiles without edges."""
    image = skimage.data.immunohistochemistry()[:256, :256]
    half = np.concatenate([image, image[:, ::-1]], axis=1)
    return np.concatenate([half, half[::-1]])


@cache
def tissue(side: int) -> np.ndarray:
    """Where tissue is, at a sixteenth of the slide's size, with ragged borders; [h, w] bool."""
    small = side // 16 or 1
    noise = np.random.default_rng(0).random((32, 32), np.float32)
    ragged = np.asarray(Image.fromarray(noise).resize((small, small), Image.Resampling.BICUBIC))
    y, x = (np.mgrid[:small, :small] + 0.5) / small
    found = np.zeros((small, small), bool)
    for cx, cy, rx, ry in PIECES:
        found |= ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + (ragged - 0.5) * 0.3 < 1
    return found


def slide(side: int) -> VirtualSlide:
    """Tissue on glass, with the grain of a camera."""

    def pixels(x: int, y: int, w: int, h: int) -> np.ndarray:
        rows, cols = np.arange(y, y + h), np.arange(x, x + w)
        grain = ((rows * 7919)[:, None] ^ (cols * 104729)) & 3
        glass = np.repeat((GLASS + grain)[..., None], 3, axis=2)
        limit = tissue(side).shape[0] - 1
        here = tissue(side)[np.minimum(rows // 16, limit)][:, np.minimum(cols // 16, limit)]
        stained = section()[rows % 512][:, cols % 512]
        return np.where(here[..., None], stained, glass).astype(np.uint8)

    return VirtualSlide(side, side, pixels, mpp=(0.5, 0.5))


def translate(path: str, ngf: int, blocks: int, **options: object) -> dict[str, float]:
    """Translate in this process; what it took."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    chosen = make_options(options)
    generator = resnet("resnet", chosen.cell, ngf, blocks)
    with tempfile.TemporaryDirectory() as folder:
        translator = Translator(chosen, GeneratorPool(chosen, generator))
        result = process_file(translator, Path(path), Path(folder, "out.tif"))
    return {
        "cpu_s": cpu_seconds(),
        "wall_s": result.seconds,
        "kept": 1.0 if result.tissue is None else result.tissue,
        "halo": result.halo,
    }


def main() -> None:
    given = parser(
        __doc__, side=(10240, "of the slide in px"), cell=128, tile=512,
        ngf=(8, "width of the generator"), blocks=2, repeat=3, threads=1,
    ).parse_args()  # fmt: skip
    one = partial(
        child, translate, ngf=given.ngf, blocks=given.blocks, cell=given.cell, tile=given.tile,
        threads=given.threads,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.tif"), Path(folder, "large.tif")
        for path, side in ((small, 128), (large, given.side)):
            write(path, side, slide(side).read, mpp=(0.5, 0.5))

        ways = {
            "idle": partial(one, small),
            "full": partial(one, large),
            "masked": partial(one, large, mask="auto"),
        }
        runs = turns(ways, given.repeat)
    middle = {name: medians(rows) for name, rows in runs.items()}
    report: dict[str, object] = {
        **{k: v for k, v in vars(given).items() if k != "json"},
        "torch": torch.__version__,
        "tissue": round(float(tissue(given.side).mean()), 4),
        "kept_cells": round(runs["masked"][0]["kept"], 4),
        "halo": runs["masked"][0]["halo"],
    }
    for clock in ("cpu_s", "wall_s"):
        full, masked = (middle[name][clock] - middle["idle"][clock] for name in ("full", "masked"))
        report[clock] = {"full": round(full, 2), "masked": round(masked, 2)}
        report[f"{clock[:-2]}_ratio"] = round(masked / full, 3)
    print(json.dumps(report, indent=1))
    save(given.json, report)


start(main, translate)
