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

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import skimage.data
import torch
from PIL import Image

from uhrtranslate.engine import (
    GeneratorRunner,
    GeneratorTransform,
    Lanes,
    Masking,
    measure_halo,
    stream,
)
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.io import (
    OutputSpec,
    VirtualSlide,
    open_slide,
    open_view,
    open_writer,
    thumbnail,
)
from uhrtranslate.models import Generator, GeneratorInfo, ResnetGenerator
from uhrtranslate.normalizers import DN
from uhrtranslate.runs.masks import make_masking

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


def write_slide(side: int, path: Path) -> None:
    """The slide as a pyramid of JPEG tiles."""
    virtual = slide(side)
    spec = OutputSpec(width=side, height=side, mpp=virtual.info.mpp)
    with open_writer(path, spec) as writer:
        for y in range(0, side, 512):
            h = min(512, side - y)
            writer.write(0, y, virtual.read(0, y, side, h))
            writer.reached(y + h)


def run_one(path: str, cell: int, tile: int, ngf: int, blocks: int, mask: str) -> None:
    """The work of one process: translate, then print what it took."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    info = GeneratorInfo("resnet", stride=4, cell=cell)
    generator = Generator(ResnetGenerator(ngf=ngf, n_blocks=blocks), info, "resnet", "0" * 64)
    runner = GeneratorRunner(generator, torch.device("cpu"))
    halo = measure_halo(runner)
    started = time.perf_counter()
    view = open_view(open_slide(path))
    side = view.width
    grid = CellGrid(side, side, cell)
    plan = TilePlan(grid, tile, halo, 4)
    masking: Masking = make_masking(view, grid, mask, "white")
    transform = GeneratorTransform(Lanes([runner]), DN(), plan, lambda: thumbnail(view, cell, cell))
    with tempfile.TemporaryDirectory() as folder:
        spec = OutputSpec(width=side, height=side, mpp=view.mpp)
        with open_writer(Path(folder, "out.tif"), spec) as writer:
            stream(view, transform, writer, masking=masking)
    wall = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    kept = 1.0 if masking.cells is None else masking.cells.share
    cpu = usage.ru_utime + usage.ru_stime
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "kept": kept, "halo": halo}))


def measure(threads: int, *job: object) -> dict[str, float]:
    """Run in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, "--job", json.dumps(job)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=10240, help="of the slide in px")
    parser.add_argument("--cell", type=int, default=128)
    parser.add_argument("--tile", type=int, default=512)
    parser.add_argument("--ngf", type=int, default=8, help="width of the generator")
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        run_one(*json.loads(given.job))
        return
    runs: dict[str, list[dict[str, float]]] = {"none": [], "auto": []}
    idle = []
    how = (given.cell, given.tile, given.ngf, given.blocks)
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small.tif"), Path(folder, "large.tif")
        write_slide(128, small)
        write_slide(given.side, large)
        for _ in range(given.repeat):
            idle.append(measure(given.threads, str(small), *how, "none"))
            for mask, some in runs.items():
                some.append(measure(given.threads, str(large), *how, mask))
    report: dict[str, object] = {
        **{k: v for k, v in vars(given).items() if k not in ("json", "job")},
        "torch": torch.__version__,
        "tissue": round(float(tissue(given.side).mean()), 4),
        "kept_cells": round(runs["auto"][0]["kept"], 4),
        "halo": runs["auto"][0]["halo"],
    }
    for clock in ("cpu_s", "wall_s"):
        fixed = statistics.median(run[clock] for run in idle)
        full, masked = (
            statistics.median(run[clock] for run in some) - fixed for some in runs.values()
        )
        report[clock] = {"full": round(full, 2), "masked": round(masked, 2)}
        report[f"{clock[:-2]}_ratio"] = round(masked / full, 3)
    print(json.dumps(report, indent=1))
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
