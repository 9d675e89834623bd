#!/usr/bin/env python3
"""What group norm and batch statistics cost beside instance norm.

    python scripts/bench_norms.py --json norms.json

The 9-block generator with each kind of norm layer (random weights) over a stained section, from
array to array, DN with cells of 512 px: statistics of all cells, and then all tiles. The kinds take
turns; medians. `x IN` is the CPU time over that with instance norm.
"""

import numpy as np
import torch
from bench import medians, parser, save, table, timed, turns
from stand_ins import resnet, stained
from torch import nn

from uhrtranslate.engine import GeneratorRunner, GeneratorTransform, Lanes, stream
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.io import VirtualSlide, open_view
from uhrtranslate.normalizers import DN

CELL, HALO = 512, 64
KINDS = {
    "instance norm": None,
    "group norm, 8 groups": lambda channels: nn.GroupNorm(8, channels),
    "group norm, 1 group": lambda channels: nn.GroupNorm(1, channels),
    "batch statistics": lambda channels: nn.BatchNorm2d(channels, track_running_stats=False),
}


class Nothing:
    """A sink that keeps nothing."""

    def write(self, x: int, y: int, pixels: np.ndarray) -> None:
        """Let go of a rectangle."""

    def reached(self, y: int) -> None:
        """Nothing is saved."""


def runner_with(kind: str, ngf: int, device: str) -> GeneratorRunner:
    """The generator with one kind of norm layer."""
    generator = resnet(kind, CELL, ngf=ngf)
    if make := KINDS[kind]:
        for parent in list(generator.module.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.InstanceNorm2d):
                    setattr(parent, name, make(child.num_features))
    generator.module.eval().requires_grad_(False)
    return GeneratorRunner(generator, torch.device(device))


def work(runner: GeneratorRunner, pixels: np.ndarray) -> dict[str, float]:
    """Seconds of a translation."""
    side = len(pixels)
    view = open_view(VirtualSlide(side, side, lambda x, y, w, h: pixels[y : y + h, x : x + w]))
    plan = TilePlan(CellGrid(side, side, CELL), CELL, HALO, 4)
    transform = GeneratorTransform(Lanes([runner]), DN(), plan, lambda: pixels[:CELL, :CELL])
    with timed() as row:
        stream(view, transform, Nothing())
    return row


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, side=(1024, "px of the image"), ngf=64, repeat=3, device="cpu")
    given = options.parse_args()
    torch.set_num_threads(1)
    pixels = stained(given.side, given.side)
    runners = {kind: runner_with(kind, given.ngf, given.device) for kind in KINDS}
    for runner in runners.values():
        work(runner, pixels[:CELL, :CELL])  # warms up
    found = turns(
        {kind: lambda one=runner: work(one, pixels) for kind, runner in runners.items()},
        given.repeat,
    )
    rows = {kind: medians(each) for kind, each in found.items()}
    for row in rows.values():
        row["ratio"] = row["cpu_s"] / rows["instance norm"]["cpu_s"]
    columns = [("wall s", "wall_s", "8.2f"), ("CPU s", "cpu_s", "8.2f"), ("x IN", "ratio", "7.2f")]
    table(rows, 22, columns)
    save(given.json, rows)


if __name__ == "__main__":
    main()
