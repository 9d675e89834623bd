"""What a weekend's batch costs beside the work itself: memory, saved states, waiting.

    python scripts/bench_batch.py --slides 50 --json batch.json

Memory: one process translates many slides of different sizes; its resident memory after each slide
is fitted by a line, whose slope is the growth per slide. States: a slide is translated with and
without saving states, in turns; the medians' ratio is the overhead. At once: small slides, one by
one and some at once, in turns. What a tissue mask saves is measured by scripts/bench_mask.py.
"""

import gc
import os
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import tifffile
from bench import child, medians, parser, save, start, timed, turns
from stand_ins import stained

from uhrtranslate.io import Found
from uhrtranslate.io.files import journal
from uhrtranslate.io.writers import pyramid
from uhrtranslate.options import make_options
from uhrtranslate.runs.items import Item
from uhrtranslate.tasks import translate

# Slides that are worked on at once, in all.
MANY_AT_ONCE = 12


def slide(path: Path, width: int, height: int) -> Path:
    """A tiled slide with tissue's colours."""
    tifffile.imwrite(
        path, stained(width, height), tile=(256, 256), photometric="rgb", compression="jpeg",
        resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def translation(inputs: list[Path], folder: Path, **options: object):
    """A function that translates all inputs in this process."""
    items = [Item(Found(path, folder)) for path in inputs]
    return lambda *event: translate.translate_many(
        items, folder / "out", make_options(options), *event
    )


def many(folder: str, count: int) -> dict[str, object]:
    """Translate `count` slides in this process; memory after each, in MB."""
    sizes = [(600 + 37 * (i % 7), 400 + 53 * (i % 5)) for i in range(count)]
    inputs = [slide(Path(folder, f"{i:03}.tif"), *size) for i, size in enumerate(sizes)]
    memory = []

    def after(event: object) -> None:
        if getattr(event, "status", None) == "done":
            gc.collect()
            memory.append(resident() / 1e6)

    results = translation(inputs, Path(folder), workers=2)(after)
    failed = [result.error for result in results if result.status != "done"]
    # The first slides fill caches and pools.
    settled = memory[count // 5 :]
    slope = float(np.polyfit(range(len(settled)), settled, 1)[0])
    return {"mb": memory, "mb_per_slide": slope, "peak_mb": max(memory), "failed": failed}


def at_once(folder: str, count: int, most: int, repeat: int) -> dict[str, float]:
    """Median seconds that `count` small slides take in this process, by how many are at work."""
    inputs = [slide(Path(folder, f"{i:03}.tif"), 300, 300) for i in range(count)]

    def run(number: int) -> dict[str, float]:
        with timed() as row:
            translation(inputs, Path(folder), at_once=number, overwrite=True)()
        return row

    ways = {str(number): partial(run, number) for number in range(1, most + 1)}
    rows = turns(ways, repeat + 1)
    # The first turn fills caches.
    return {number: median(row["wall_s"] for row in taken[1:]) for number, taken in rows.items()}


def one(source: str, target: str, states: bool, side: int) -> dict[str, float]:
    """Translate a slide in this process, with states or without."""
    saved: list[float] = []

    class Timed(journal.Journal):
        def save(self, *args):
            began = time.perf_counter()
            super().save(*args)
            saved.append(time.perf_counter() - began)

    pyramid.Journal = Timed
    if not states:
        Timed.due = False
    with timed() as row:
        translate.translate(source, target, tile=side, overwrite=True)
    return row | {"states": len(saved), "saving_s": sum(saved)}


def main() -> None:
    args = parser(
        __doc__, slides=50, side=(2000, "px of the slide for the states"), tile=384,
        at_once=(3, "images at once, at most"), repeat=3,
    ).parse_args()  # fmt: skip
    report: dict = {"arguments": {k: v for k, v in vars(args).items() if k != "json"}}
    with tempfile.TemporaryDirectory() as folder:
        report["many"] = child(many, folder, args.slides)
    with tempfile.TemporaryDirectory() as folder:
        report["at_once"] = child(at_once, folder, MANY_AT_ONCE, args.at_once, args.repeat)
    with tempfile.TemporaryDirectory() as folder:
        source = slide(Path(folder, "slide.tif"), args.side, args.side)
        target = Path(folder, "out.tif")
        ways = {
            kind: partial(child, one, source, target, kind == "states", args.tile)
            for kind in ("states", "none")
        }
        report["runs"] = runs = turns(ways, args.repeat)
    middle = {kind: medians(rows) for kind, rows in runs.items()}
    report["overhead"] = {
        key: middle["states"][key] / middle["none"][key] - 1 for key in ("cpu_s", "wall_s")
    } | {"saving_of_wall": middle["states"]["saving_s"] / middle["states"]["wall_s"]}
    many_slides = report["many"]
    print(f"{args.slides} slides in one process: {many_slides['peak_mb']:.0f} MB at most,")
    print(f"  {many_slides['mb_per_slide']:+.2f} MB per slide (target: at most 5)")
    for number, seconds in report["at_once"].items():
        ratio = seconds / report["at_once"]["1"]
        print(f"{MANY_AT_ONCE} of 300 px square, {number} at once: {seconds:.2f} s ({ratio:.2f})")
    print(f"{args.side} px square, {middle['states']['states']:.0f} states saved:")
    print(f"  saving took {report['overhead']['saving_of_wall']:.2%} of the run (target: 3%);")
    print(f"  CPU {report['overhead']['cpu_s']:+.2%}, wall {report['overhead']['wall_s']:+.2%}")
    if many_slides["failed"]:
        raise SystemExit(f"failed: {many_slides['failed']}")
    save(args.json, report)


start(main, many, at_once, one)
