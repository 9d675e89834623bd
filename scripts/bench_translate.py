#!/usr/bin/env python3
"""What a translation costs: DN beside patch-IN, and memory beside the image's size.

    python scripts/bench_translate.py --json translate.json

Times: the 9-block ngf-64 generator (random weights, 1.51 MFLOP per pixel) over the same pixels,
each run a process of its own, interleaved, medians. Patch-IN is what the public code does: every
bare cell alone, one forward (`--norm in --pad reflect`). What a run costs whatever the image's size
(starting up, measuring the halo) is measured by a run over 16 px and subtracted.

Scaling: a tiny, small or usual generator over virtual slides that make their pixels on request, DN,
whole pipeline with the pyramid written; peak resident memory of each process, and time per pixel,
from which what a run of 16 px takes is subtracted. With the tiny generator it is what goes on
beside a fast device; of that the calling thread's time cannot be shared out among processors.
With `--device cuda --scaling usual --sizes 50000` it is a slide on a GPU.
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
from pathlib import Path

import numpy as np
import torch
from torch import nn

from uhrtranslate.io import VirtualSlide
from uhrtranslate.models import Generator, GeneratorInfo, ResnetGenerator
from uhrtranslate.options import make_options
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.one_image import process_slide

CELL = 512
METHODS = {
    "in (patch-IN, bare cells)": {"norm": "in", "pad": "reflect"},
    "in (true halo)": {"norm": "in"},
    "tin": {"norm": "tin"},
    "kin": {"norm": "kin"},
    "dn": {"norm": "dn"},
    "dn (published geometry)": {"norm": "dn", "pad": "reflect"},
}


def texture(x: int, y: int, w: int, h: int) -> np.ndarray:
    """Pixels of a virtual slide: blobs and grain that differ from cell to cell."""
    column, row = np.arange(x, x + w, dtype=np.float32), np.arange(y, y + h, dtype=np.float32)
    wave = np.sin(row / 37)[:, None] * np.cos(column / 53) + np.sin(row / 911)[:, None]
    grain = ((row.astype(np.int64) * 7919)[:, None] ^ (column.astype(np.int64) * 104729)) & 31
    base = (wave * 40 + 150).astype(np.int64) + grain
    return np.stack([base, base - 40, base - 10], axis=-1).clip(0, 255).astype(np.uint8)


def tiny() -> Generator:
    """A generator that costs next to nothing but has all parts: norm, stride 4, halo."""
    module = nn.Sequential(
        nn.Conv2d(3, 4, 4, 4), nn.InstanceNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 4)
    )
    return Generator(module, GeneratorInfo("tiny", stride=4, halo=16, cell=CELL), "tiny", "0" * 64)


def small() -> Generator:
    """A generator that costs some ten times what reading and writing do."""
    torch.manual_seed(0)
    info = GeneratorInfo("resnet", stride=4, halo=32, cell=CELL)
    return Generator(ResnetGenerator(ngf=16, n_blocks=2), info, "small", "0" * 64)


def usual() -> Generator:
    """The generator of CycleGAN and CUT."""
    torch.manual_seed(0)
    info = GeneratorInfo("resnet", stride=4, cell=CELL)
    return Generator(ResnetGenerator(), info, "resnet_9blocks", "0" * 64)


def run_one(generator: str, side: int, options: dict[str, object]) -> None:
    """The work of one process: translate, then print what it took."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with tempfile.TemporaryDirectory() as folder:
        chosen = make_options(options)
        translator = Translator(chosen, GeneratorPool(chosen, globals()[generator]()))
        slide = VirtualSlide(side, side, texture)
        began = time.thread_time()
        result = process_slide(translator, slide, Path(folder, "out.tif"))
        serial = time.thread_time() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "cpu_s": usage.ru_utime + usage.ru_stime,
                "wall_s": result.seconds,
                "serial_s": serial,
                "device_s": result.device_seconds,
                "peak_mb": usage.ru_maxrss / 1024,
                "gpu_mb": torch.cuda.max_memory_allocated() / 2**20,
                "tile": result.tile,
                "halo": result.halo,
            }
        )
    )


def measure(generator: str, side: int, threads: int, **options: object) -> dict[str, float]:
    """Run in a process of its own."""
    job = json.dumps([generator, side, options])
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "THP_MEM_ALLOC_ENABLE": "1"}
    run = subprocess.run(
        [sys.executable, __file__, "--job", job],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def times(side: int, repeat: int, threads: int) -> dict[str, dict[str, float]]:
    """Median seconds of every method, fixed costs subtracted, and ratios to patch-IN."""
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    idle: dict[str, list[dict[str, float]]] = {name: [] for name in METHODS}
    for _ in range(repeat):
        for name, options in METHODS.items():
            runs[name].append(measure("usual", side, threads, **options))
            idle[name].append(measure("usual", 16, threads, cell=16, **options))
    result = {}
    for name in METHODS:
        result[name] = {"tile": runs[name][0]["tile"], "halo": runs[name][0]["halo"]}
        for clock in ("cpu_s", "wall_s"):
            whole, fixed = (
                statistics.median(run[clock] for run in some) for some in (runs[name], idle[name])
            )
            result[name][clock] = round(whole - fixed, 2)
    base = result["in (patch-IN, bare cells)"]
    for row in result.values():
        row["cpu_ratio"] = round(row["cpu_s"] / base["cpu_s"], 3)
        row["wall_ratio"] = round(row["wall_s"] / base["wall_s"], 3)
    return result


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=2048, help="of the timed image in px")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 30_000])
    parser.add_argument(
        "--scaling", choices=["tiny", "small", "usual"], default="tiny", help="generator"
    )
    parser.add_argument("--device", default="cpu", help="as of uhrt translate")
    parser.add_argument("--precision", default="fp32", help="likewise")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        generator, side, options = json.loads(given.job)
        run_one(generator, side, options)
        return
    report: dict[str, object] = {"torch": torch.__version__, "threads": given.threads}
    if given.repeat:
        report["times"] = rows = times(given.side, given.repeat, given.threads)
        print(f"9 blocks, ngf 64, {given.side} px square, {given.threads} threads:")
        print(
            f"{'method':28}{'CPU s':>9}{'ratio':>8}{'wall s':>9}{'ratio':>8}{'tile':>7}{'halo':>6}"
        )
        for name, row in rows.items():
            print(
                f"{name:28}{row['cpu_s']:9.1f}{row['cpu_ratio']:8.2f}{row['wall_s']:9.1f}"
                f"{row['wall_ratio']:8.2f}{row['tile']:7}{row['halo']:6}"
            )
    if given.sizes:
        how = {"norm": "dn", "device": given.device, "precision": given.precision}
        idle = measure(given.scaling, 16, given.threads, cell=16, **how)
        report["memory"] = memory = {}
        print(f"\nDN with a {given.scaling} generator, whole pipeline:")
        for size in given.sizes:
            memory[size] = row = measure(given.scaling, size, given.threads, **how)
            for clock, name in (("wall_s", "ns_per_px"), ("serial_s", "serial_ns_per_px")):
                row[name] = (row[clock] - idle[clock]) / size**2 * 1e9
            print(
                f"{size:,} px square: peak {row['peak_mb']:.0f} MB and {row['gpu_mb']:.0f} MB of a "
                f"GPU, {row['wall_s']:.1f} s, "
                f"{row['ns_per_px']:.1f} ns per px, of the calling thread "
                f"{row['serial_ns_per_px']:.1f}, device at work "
                f"{row['device_s'] / row['wall_s']:.0%}",
                flush=True,
            )
        peaks = [row["peak_mb"] for row in memory.values()]
        print(f"difference between largest and smallest: {max(peaks) - min(peaks):.0f} MB")
    if given.json:
        given.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
