#!/usr/bin/env python3
"""What blending costs beside its overlap: CPU time per pixel of the tiles, overlapping or not.

    python scripts/bench_blend.py --json blend.json

A U-Net of pix2pix (6 halvings, ngf 64, instance norm, random weights) translates a stained section
from array to array, DN, with tiles of 512 px: side by side, and with overlaps of an eighth to half
a tile, for each kind of weights. Overlapping tiles are more pixels, which is what the overlap
costs; `beside` is the time per pixel of the tiles over that of tiles side by side, so what adding
them up costs. The ways take turns; medians.

Memory: peaks of processes that translate slides made on request, of several widths and heights,
with a generator of one layer, side by side and with tiles that overlap by half.
"""

import numpy as np
import torch
from bench import child, medians, parser, peak_bytes, save, start, table, timed, turns
from stand_ins import stained
from torch import nn

from uhrtranslate.engine import GeneratorRunner, GeneratorTransform, Lanes, stream
from uhrtranslate.geometry import BlendedPlan, CellGrid
from uhrtranslate.io import VirtualSlide, open_view
from uhrtranslate.models import Generator, GeneratorInfo
from uhrtranslate.models.unet import UnetGenerator
from uhrtranslate.normalizers import DN
from uhrtranslate.tables import BLENDS

DOWNS, TILE = 6, 512
PERIOD = 2**DOWNS


# Width and height of the slides whose translation's memory is measured.
SLIDES = ((4096, 4096), (4096, 16384), (4096, 65536), (16384, 4096))


class Nothing:
    """A sink that keeps nothing."""

    def write(self, x: int, y: int, pixels: np.ndarray) -> None:
        """Let go of a rectangle."""

    def reached(self, y: int) -> None:
        """Nothing is saved."""


class Array(Nothing):
    """A sink in memory."""

    def __init__(self, side: int) -> None:
        self.pixels = np.empty((side, side, 3), np.uint8)

    def write(self, x: int, y: int, pixels: np.ndarray) -> None:
        """Take a rectangle."""
        self.pixels[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels


def work(runner: GeneratorRunner, pixels: np.ndarray, overlap: int, blend: str) -> dict[str, float]:
    """Seconds of a translation, and the pixels of its tiles over those of the image."""
    side = len(pixels)
    view = open_view(VirtualSlide(side, side, lambda x, y, w, h: pixels[y : y + h, x : x + w]))
    plan = BlendedPlan(CellGrid(side, side, TILE), TILE, 0, PERIOD, False, overlap, blend)
    transform = GeneratorTransform(Lanes([runner]), DN(), plan, lambda: pixels[:TILE, :TILE])
    area = sum(np.prod(tile.shape) for band in plan.bands() for tile in plan.tiles(*band))
    with timed() as row:
        stream(view, transform, Array(side))
    # Every cell goes through the generator once, too, whatever the tiles.
    forwarded = area + plan.grid.rows * plan.grid.cols * TILE**2
    return {**row, "tiles": area / side**2, "per_px": row["cpu_s"] / forwarded * 1e9}


def memory(width: int, height: int, overlap: int) -> dict[str, float]:
    """Peak memory of this process after a translation by one layer."""
    torch.set_num_threads(1)
    section = stained(width + TILE, 2 * TILE)

    def read(x: int, y: int, w: int, h: int) -> np.ndarray:
        return section[(y + np.arange(h)) % len(section), x : x + w]

    info = GeneratorInfo("one layer", stride=PERIOD, cell=TILE, covariant=False)
    module = nn.Sequential(nn.InstanceNorm2d(3), nn.Conv2d(3, 3, 1))
    generator = Generator(module.eval().requires_grad_(False), info, "one layer", "0" * 64)
    runner = GeneratorRunner(generator, torch.device("cpu"))
    plan = BlendedPlan(CellGrid(width, height, TILE), TILE, 0, PERIOD, False, overlap, "linear")
    transform = GeneratorTransform(Lanes([runner]), DN(), plan, lambda: section[:TILE, :TILE])
    stream(open_view(VirtualSlide(width, height, read)), transform, Nothing())
    return {"peak_mb": peak_bytes() / 2**20}


def memories() -> dict[str, dict[str, float]]:
    """Peaks by size of the slide: tiles side by side, and overlapping by half."""
    found = {}
    for width, height in SLIDES:
        bare, half = (child(memory, width, height, overlap) for overlap in (0, TILE // 2))
        found[f"{width:,} x {height:,} px"] = {
            "bare_mb": bare["peak_mb"],
            "half_mb": half["peak_mb"],
        }
    return found


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, side=(2048, "px of the image"), ngf=64, repeat=3, device="cpu")
    given = options.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module = UnetGenerator(ngf=given.ngf, n_downs=DOWNS, norm="instance", bias=True)
    info = GeneratorInfo("unet", stride=PERIOD, cell=TILE, covariant=False)
    generator = Generator(module.eval().requires_grad_(False), info, "unet", "0" * 64)
    runner = GeneratorRunner(generator, torch.device(given.device))
    pixels = stained(given.side, given.side)
    work(runner, pixels[: 2 * TILE, : 2 * TILE], 0, "linear")  # warms up
    ways = {"side by side": (0, "linear")} | {
        f"{blend}, {overlap} px": (overlap, blend) for overlap in (64, 128, 256) for blend in BLENDS
    }
    rows = {
        name: medians(found)
        for name, found in turns(
            {name: lambda way=way: work(runner, pixels, *way) for name, way in ways.items()},
            given.repeat,
        ).items()
    }
    bare = rows["side by side"]
    for row in rows.values():
        row |= {"time": row["cpu_s"] / bare["cpu_s"], "beside": row["per_px"] / bare["per_px"]}
    columns = [("wall s", "wall_s", "8.2f"), ("CPU s", "cpu_s", "8.2f"), ("time", "time", "7.2f")]
    table(rows, 18, [*columns, ("tiles", "tiles", "7.2f"), ("beside", "beside", "8.3f")])
    peaks = memories()
    table(peaks, 22, [("bare MB", "bare_mb", "9.0f"), ("half MB", "half_mb", "9.0f")])
    save(given.json, {"times": rows, "memory": peaks})


if __name__ == "__main__":
    start(main, memory)
