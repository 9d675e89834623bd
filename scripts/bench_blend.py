#!/usr/bin/env python3
"""What blending costs beside its overlap: CPU time per pixel of the tiles, overlapping or not.

    python scripts/bench_blend.py --json blend.json

A U-Net of pix2pix (6 halvings, ngf 64, instance norm, random weights) translates a stained section
from array to array, DN, with tiles of 512 px: side by side, and with overlaps of an eighth to half
a tile, for each kind of weights. Overlapping tiles are more pixels, which is what the overlap
costs; `beside` is the time per pixel of the tiles over that of tiles side by side, so what adding
them up costs. The ways take turns; medians.
"""

import numpy as np
import torch
from bench import medians, parser, save, table, timed, turns
from stand_ins import stained

from uhrtranslate.engine import GeneratorRunner, GeneratorTransform, Lanes, stream
from uhrtranslate.geometry import BlendedPlan, CellGrid
from uhrtranslate.io import VirtualSlide, open_view
from uhrtranslate.models import Generator, GeneratorInfo
from uhrtranslate.models.unet import UnetGenerator
from uhrtranslate.normalizers import DN
from uhrtranslate.tables import BLENDS

DOWNS, TILE = 6, 512
PERIOD = 2**DOWNS


class Array:
    """A sink in memory."""

    def __init__(self, side: int) -> None:
        self.pixels = np.empty((side, side, 3), np.uint8)

    def write(self, x: int, y: int, pixels: np.ndarray) -> None:
        """Take a rectangle."""
        self.pixels[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels

    def reached(self, y: int) -> None:
        """Nothing is saved."""


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
    save(given.json, rows)


if __name__ == "__main__":
    main()
