#!/usr/bin/env python3
"""What a translation costs: DN beside patch-IN, and memory beside the image's size.

    python scripts/bench_translate.py --json translate.json

Times: the 9-block ngf-64 generator (random weights, 1.51 MFLOP per pixel) over the same pixels,
each run a process of its own, interleaved, medians. Patch-IN is what the public code does: every
bare cell alone, one forward (`--norm in --pad reflect`). What a run costs whatever the image's size
(starting up, measuring the halo) is measured by a run over 16 px and subtracted.

Scaling: a tiny, small or usual generator, or one that gives 40 channels (of "stack" also takes 40,
with 8 bits or as many as its name says, in and out, by deflate), over slides of repeated
tissue in JPEG tiles, from the file to the written pyramid; peak memory of each process, and time
per pixel beyond that of 16 px. With the tiny generator it is what goes on beside a fast device; of
that the calling thread's time cannot be shared out. With `--device cuda --scaling usual --sizes
50000` it is a slide on a GPU.
"""

import os
import tempfile
import time
import zlib
from argparse import Namespace
from functools import partial
from pathlib import Path

import numpy as np
import tifffile
import torch
from bench import child, cpu_seconds, medians, parser, peak_bytes, save, start, table, turns
from imagecodecs import jpeg8_encode
from skimage.data import immunohistochemistry
from stand_ins import resnet
from torch import nn

from uhrtranslate.models import Generator, GeneratorInfo
from uhrtranslate.options import make_options
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.one_image import process_file

CELL = 512
CLOCKS = ("cpu_s", "wall_s")
METHODS = {
    "in-bare": {"norm": "in", "pad": "reflect"},  # patch-IN of bare cells
    "in": {"norm": "in"},
    "tin": {"norm": "tin"},
    "kin": {"norm": "kin"},
    "dn": {"norm": "dn"},
    "pooled": {"norm": "pooled"},
    "dn-published": {"norm": "dn", "pad": "reflect"},
}


def tissue(path: Path, side: int) -> None:
    """Write a slide of real tissue, JPEG tiles of 512 px: a few hundred that differ, repeated."""
    random = np.random.default_rng(0)
    section = immunohistochemistry()
    kinds = [
        jpeg8_encode(np.rot90(np.roll(section, random.integers(512), 1), k).copy(), 85)
        for k in random.integers(4, size=256)
    ]
    count = (-(-side // CELL)) ** 2
    tifffile.imwrite(
        path, iter(kinds[k] for k in random.integers(len(kinds), size=count)), bigtiff=True,
        shape=(side, side, 3), dtype=np.uint8, tile=(CELL, CELL), photometric="ycbcr",
        subsampling=(2, 2), compression="jpeg",
    )  # fmt: skip


def stack(path: Path, width: int, height: int, kind: type, count: int = 40) -> None:
    """Write an OME-TIFF of channels, deflate tiles of 512 px: a few dozen that differ, repeated."""
    random = np.random.default_rng(0)
    section = immunohistochemistry()
    scale = np.iinfo(kind).max // 255 if np.issubdtype(kind, np.integer) else 1 / 255
    kinds = []
    for number in range(64):
        grey = np.roll(section[..., number % 3], random.integers(512), 1).copy()
        tile = (255 - grey).astype(kind) * kind(scale)
        kinds.append(zlib.compress(tile.tobytes(), 1))
    tiles = -(-width // CELL) * -(-height // CELL) * count
    tifffile.imwrite(
        path, iter(kinds[k] for k in random.integers(len(kinds), size=tiles)), bigtiff=True,
        shape=(count, height, width), dtype=kind, tile=(CELL, CELL), photometric="minisblack",
        compression="deflate", predictor=False, metadata={"axes": "CYX"}, ome=True,
    )  # fmt: skip


def tiny(channels: int = 3, taken: int = 3) -> Generator:
    """A generator that costs next to nothing but has all parts: norm, stride 4, halo."""
    module = nn.Sequential(
        nn.Conv2d(taken, 4, 4, 4),
        nn.InstanceNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, channels, 4, 4),
    )
    info = GeneratorInfo(
        "tiny", stride=4, halo=16, cell=CELL, in_channels=taken, out_channels=channels,
        inputs=("rgb",) if taken == 3 else ("channels",),
    )  # fmt: skip
    return Generator(module, info, "tiny", "0" * 64)


# Bits of the channels in and out.
STACKS = {"stack": 8, "stack-16": 16, "stack-32": 32}
GENERATORS = {
    "tiny": tiny,
    "channels": lambda: tiny(40),
    **{name: lambda: tiny(40, 40) for name in STACKS},
    # Costs some ten times what reading and writing do.
    "small": lambda: resnet("small", CELL, ngf=16, blocks=2, halo=32),
    # That of CycleGAN and CUT.
    "usual": lambda: resnet("resnet_9blocks", CELL),
}


def run(generator: str, side: int, height: int = 0, **options: object) -> dict[str, object]:
    """Translate a slide in this process; what it took."""
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    with tempfile.TemporaryDirectory() as folder:
        bits = STACKS.get(generator)
        deep = {"bits": bits, "compression": "deflate"} if bits else {}
        chosen = make_options(options | deep)
        translator = Translator(chosen, GeneratorPool(chosen, GENERATORS[generator]()))
        # Channels are no colours, which only this format holds.
        name = "out.ome.tif" if bits or generator == "channels" else "out.tif"
        source, target = Path(folder, "source.ome.tif"), Path(folder, name)
        if bits:
            kind = {8: np.uint8, 16: np.uint16, 32: np.float32}[bits]
            stack(source, side, height or side, kind)
        else:
            tissue(source, side)
        began = time.thread_time()
        result = process_file(translator, source, target)
        serial = time.thread_time() - began
    return {
        "cpu_s": cpu_seconds(),
        "wall_s": result.seconds,
        "serial_s": serial,
        "device_s": result.device_seconds,
        "peak_mb": peak_bytes() / 2**20,
        "gpu_mb": torch.cuda.max_memory_allocated() / 2**20,
        "tile": result.tile,
        "halo": result.halo,
        "stages": result.stages,
    }


def times(side: int, repeat: int, threads: int) -> dict[str, dict[str, float]]:
    """Median seconds of every method, fixed costs subtracted, and ratios to patch-IN."""
    one = partial(child, run, "usual", threads=threads)
    runs = turns(
        {
            (name, idle): partial(one, 16, cell=16, **how) if idle else partial(one, side, **how)
            for name, how in METHODS.items()
            for idle in (False, True)
        },
        repeat,
    )
    result = {}
    for name in METHODS:
        rows = runs[name, False]
        whole, fixed = medians(rows), medians(runs[name, True])
        result[name] = {"tile": rows[0]["tile"], "halo": rows[0]["halo"]}
        result[name] |= {clock: round(whole[clock] - fixed[clock], 2) for clock in CLOCKS}
    base = result["in-bare"]
    for row in result.values():
        row["cpu_ratio"] = round(row["cpu_s"] / base["cpu_s"], 3)
        row["wall_ratio"] = round(row["wall_s"] / base["wall_s"], 3)
    return result


def scaling(given: Namespace, method: str, **how: object) -> dict[int, dict[str, object]]:
    """What images of all sizes took by one method, per px without what 16 px take."""
    job = partial(child, run, given.scaling, threads=given.threads, **how)
    idle = job(16, cell=16)
    rows: dict[int, dict[str, object]] = {}
    print(f"\n{method} with a {given.scaling} generator, whole pipeline:")
    for size in given.sizes:
        height = given.height or size
        rows[size] = row = job(size, height) if given.height else job(size)
        for clock, name in (("wall_s", "ns_per_px"), ("serial_s", "serial_ns_per_px")):
            row[name] = (row[clock] - idle[clock]) / (size * height) * 1e9
        print(
            f"{size:,} x {height:,} px: peak {row['peak_mb']:.0f} MB and {row['gpu_mb']:.0f} MB of "
            f"a GPU, {row['wall_s']:.1f} s, {row['ns_per_px']:.1f} ns per px, of the calling "
            f"thread {row['serial_ns_per_px']:.1f}, device at work "
            f"{row['device_s'] / row['wall_s']:.0%}; waited for {row['stages']}",
            flush=True,
        )
    return rows


def main() -> None:
    options = parser(
        __doc__, side=(2048, "of the timed image in px"), repeat=3, threads=os.cpu_count(),
        sizes=[10_000, 30_000], height=(0, "of the images of a stack in px; 0: square"),
        device=("cpu", "as of uhrt translate"), precision=("fp32", "likewise"),
        workers=(2, "likewise"),
    )  # fmt: skip
    options.add_argument("--scaling", choices=list(GENERATORS), default="tiny", help="generator")
    options.add_argument("--methods", choices=list(METHODS), default=["dn"], nargs="+")
    given = options.parse_args()
    report: dict[str, object] = {"torch": torch.__version__, "threads": given.threads}
    if given.repeat:
        report["times"] = rows = times(given.side, given.repeat, given.threads)
        print(f"9 blocks, ngf 64, {given.side} px square, {given.threads} threads:")
        columns = [
            ("CPU s", "cpu_s", "9.1f"), ("ratio", "cpu_ratio", "8.2f"),
            ("wall s", "wall_s", "9.1f"), ("ratio", "wall_ratio", "8.2f"),
            ("tile", "tile", "7"), ("halo", "halo", "6"),
        ]  # fmt: skip
        table(rows, 28, columns)
    how = {name: getattr(given, name) for name in ("device", "precision", "workers")}
    for method in given.methods if given.sizes else []:
        report[method] = scaling(given, method, **METHODS[method], **how)
    save(given.json, report)


os.environ["THP_MEM_ALLOC_ENABLE"] = "1"  # for the jobs, as the command line does
start(main, run)
