#!/usr/bin/env python3
"""How fast a generator runs, in every precision, eager and by kernels.

    python scripts/bench_speed.py --json speed.json --plot speed.png

The 9-block ngf-64 generator (random weights, 1.51 MFLOP per pixel) over tissue, through the engine
from array to array. **plain torch** is the generator as it is, called with one bare cell of 512 px
after the other, as most public code does: what `faster` refers to. **patch-IN** is one forward of
every bare cell by the engine (`--norm in --pad reflect`); **DN** is `--norm dn` with a halo of true
neighbours. All configurations take turns; medians; compiling is not timed, but told. `deviation` is
the mean difference from fp32 in grey levels.

Two flags measure something else instead, not to be compared with that; `--help` beside them tells
of their options:

    python scripts/bench_speed.py --process   whole commands, also beside other code (`--peer`)
    python scripts/bench_speed.py --startup   until a command begins to compute
"""

import copy
import dataclasses
import gc
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import bench_process
import bench_startup
import numpy as np
import torch
from bench import machine, medians, parser, save, table, timed, turns
from stand_ins import resnet, stained

from uhrtranslate.engine import (
    DTYPES,
    GeneratorRunner,
    GeneratorTransform,
    Lanes,
    choose_runner,
    stream,
)
from uhrtranslate.engine.forward.memory import ALIVE, bytes_per_pixel
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.normalizers import DN, PatchIN

CELL = 512
HALO = 64
PLAIN = "plain torch"
FLOP_PER_PIXEL = 1.512e6


@dataclass(frozen=True)
class Configuration:
    """One way to run."""

    norm: str
    precision: str
    statistics: str | None
    compiled: bool

    @property
    def name(self) -> str:
        """For the table."""
        statistics_ = f", statistics {self.statistics}" if self.statistics else ""
        return f"{self.norm} {self.precision}{statistics_}{', compiled' * self.compiled}"


class ArraySource:
    """An array as a source."""

    strip_height = 512

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.dtype = pixels, pixels.dtype
        self.height, self.width = pixels.shape[:2]

    def read(self, x: int, y: int, w: int, h: int) -> np.ndarray:
        """See `Source`."""
        return self.pixels[y : y + h, x : x + w]


class ArraySink:
    """An array as a sink."""

    def __init__(self, height: int, width: int) -> None:
        self.pixels = np.zeros((height, width, 3), np.uint8)

    def write(self, x: int, y: int, pixels: np.ndarray) -> None:
        """See `Sink`."""
        self.pixels[y : y + pixels.shape[0], x : x + pixels.shape[1]] = pixels

    def reached(self, y: int) -> None:
        """See `Sink`."""


class Bench:
    """Runs configurations over one image."""

    def __init__(self, image: np.ndarray, device: torch.device, tile: int, batch: int) -> None:
        self.image, self.device, self.batch = image, device, batch
        height, width = image.shape[:2]
        grid = CellGrid(width, height, CELL)
        self.plans = {
            "patch-IN": TilePlan(grid, CELL, 0, 4, mirrored=True),
            "DN": TilePlan(grid, tile, HALO, 4),
        }
        self.generator = resnet("bench", CELL)
        self.plain_module = copy.deepcopy(self.generator.module).to(device).eval()  # its norms stay
        self._runners: dict[tuple[str, str | None, bool], GeneratorRunner] = {}

    def runner(self, how: Configuration) -> GeneratorRunner:
        """One per setting; all share the weights."""
        key = how.precision, how.statistics, how.compiled
        if key not in self._runners:
            kind, _ = choose_runner(self.device, how.compiled, opaque=False)
            # Each its own, as kernels for a GPU change the layout of weights.
            own = copy.deepcopy(self.generator.module)
            self._runners[key] = kind(
                dataclasses.replace(self.generator, module=own),
                self.device,
                DTYPES[how.precision],
                DTYPES[how.statistics] if how.statistics else None,
            )
        return self._runners[key]

    def run(self, how: Configuration) -> tuple[np.ndarray, dict[str, float]]:
        """The result, and seconds of wall and of CPU."""
        sink = ArraySink(*self.image.shape[:2])
        gc.collect()
        with timed() as row:
            if how.norm == PLAIN:
                self._plainly(sink)
            else:
                self._by_the_engine(how, sink)
        return sink.pixels, row

    def _plainly(self, sink: ArraySink) -> None:
        """One forward of every bare cell, without any of ours."""
        grid = self.plans["patch-IN"].grid
        for box in (grid.box(row, col) for row in range(grid.rows) for col in range(grid.cols)):
            pixels = torch.from_numpy(self.image[box.y : box.y + box.h, box.x : box.x + box.w])
            x = pixels.to(self.device).permute(2, 0, 1)[None].float().div(127.5).sub(1)
            with torch.inference_mode():
                y = self.plain_module(x.contiguous())[0]
            rounded = y.add(1).mul(127.5).add(0.5).clamp(0, 255).to(torch.uint8)
            sink.write(box.x, box.y, rounded.permute(1, 2, 0).cpu().numpy())

    def _by_the_engine(self, how: Configuration, sink: ArraySink) -> None:
        normalizer = DN() if how.norm == "DN" else PatchIN()
        transform = GeneratorTransform(
            Lanes([self.runner(how)]),
            normalizer,
            self.plans[how.norm],
            lambda: self.image[:CELL, :CELL],
        )
        stream(ArraySource(self.image), transform, sink, batch=self.batch)


def configurations(device: torch.device) -> list[Configuration]:
    """What is measured on a device."""
    reduced = ["bf16", "fp16"] if device.type == "cuda" else ["bf16"]
    found = [Configuration(PLAIN, "fp32", None, compiled=False)]
    for compiled in (False, True):
        for precision in ("fp32", "bf16") if compiled else ("fp32", *reduced):
            found.append(Configuration("patch-IN", precision, None, compiled))
            found.append(Configuration("DN", precision, None, compiled))
        found.append(Configuration("DN", "fp32", "bf16", compiled))
    return found


def plot(rows: dict[str, dict[str, float]], target: Path) -> None:
    """Bars of speed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 0.45 * len(rows) + 1))
    names = list(rows)[::-1]
    colours = ["tab:blue" if name.startswith("DN") else "tab:gray" for name in names]
    axes.barh(names, [rows[name]["mp_s"] for name in names], color=colours)
    axes.set_xlabel("megapixels per second")
    figure.tight_layout()
    figure.savefig(target, dpi=110)


def main() -> None:
    options = parser(
        __doc__, side=(1536, "of the image in px"), tile=(1536, "of DN, without halo"), batch=1,
        repeat=3, device="cuda" if torch.cuda.is_available() else "cpu", threads=os.cpu_count(),
    )  # fmt: skip
    options.add_argument("--peak", type=float, help="TFLOP/s of the device, for the share of it")
    options.add_argument("--plot", type=Path)
    given = options.parse_args()
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as the command line does
    torch.set_num_threads(given.threads)
    device = torch.device(given.device)
    image = stained(given.side, given.side)
    bench = Bench(image, device, given.tile, given.batch)
    rows: dict[str, dict[str, float]] = {}
    exact: dict[str, np.ndarray] = {}
    chosen = configurations(device)
    for how in chosen:  # the first run of each compiles, and is compared
        pixels, row = bench.run(how)
        reference = exact.setdefault("DN" if how.norm == "DN" else "patch-IN", pixels)
        print(f"{how.name}: {row['wall_s']:.1f} s at first", flush=True)
        rows[how.name] = {
            "first_s": row["wall_s"],
            "deviation": float(np.abs(reference.astype(np.int16) - pixels).mean()),
        }
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            bench.run(how)
            rows[how.name]["peak_gb"] = torch.cuda.max_memory_allocated() / 1e9
    runs = turns({how.name: lambda how=how: bench.run(how)[1] for how in chosen}, given.repeat)
    middle = {name: medians(taken) for name, taken in runs.items()}
    megapixels = given.side**2 / 1e6
    base = middle[chosen[0].name]["wall_s"]
    for how in chosen:
        name, row = how.name, rows[how.name]
        wall = middle[name]["wall_s"]
        # What DN costs beside patch-IN at the precision of its dense pass.
        alike = Configuration("patch-IN", how.precision, None, how.compiled).name
        row |= middle[name] | {
            "mp_s": megapixels / wall,
            "faster": base / wall,
            "of_patch_in": wall / middle[alike]["wall_s"],
        }
        if given.peak:
            row["share_of_peak"] = (
                megapixels * FLOP_PER_PIXEL * (2 if name.startswith("DN") else 1)
                / 1e6 / wall / given.peak
            )  # fmt: skip
    print(f"{given.side} px square, cells of {CELL}, on {device}, {given.threads} threads:")
    columns = [
        ("wall s", "wall_s", "8.2f"), ("CPU s", "cpu_s", "8.2f"), ("MP/s", "mp_s", "7.3f"),
        ("faster", "faster", "8.2f"), ("x IN", "of_patch_in", "6.2f"),
        ("grey", "deviation", "6.2f"), ("of peak", "share_of_peak", "9.1%"),
        ("GPU GB", "peak_gb", "8.1f"),
    ]  # fmt: skip
    table(
        rows, 38, [column for column in columns if any(column[1] in row for row in rows.values())]
    )
    report: dict[str, object] = {"machine": machine(), "side": given.side, "rows": rows}
    per_pixel = bytes_per_pixel(bench.runner(chosen[1]))
    report["feature_bytes_per_pixel"] = per_pixel * ALIVE
    save(given.json, report)
    if given.plot:
        plot(rows, given.plot)


if __name__ == "__main__":
    others = {"--process": bench_process.main, "--startup": bench_startup.main}
    flag = next((flag for flag in others if flag in sys.argv), None)
    if flag:
        sys.argv.remove(flag)
    others.get(flag, main)()
