"""What a weekend's batch costs beside the work itself: memory, saved states, waiting.

    python scripts/bench_batch.py --slides 50 --json batch.json

Memory: one process translates many slides of different sizes; its resident memory after each slide
is fitted by a line, whose slope is the growth per slide. States: a slide is translated with and
without saving states, in turns; the medians' ratio is the overhead. At once: small slides, one by
one and some at once, in turns. What a tissue mask saves is measured by scripts/bench_mask.py.
"""

import argparse
import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
import tifffile

# Slides that are worked on at once, in all.
MANY_AT_ONCE = 12


def slide(path: Path, width: int, height: int) -> Path:
    """A tiled slide with tissue's colours."""
    section = skimage.data.immunohistochemistry()
    pixels = np.tile(section, (-(-height // 512), -(-width // 512), 1))[:height, :width]
    tifffile.imwrite(
        path, pixels, tile=(256, 256), photometric="rgb", compression="jpeg",
        resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def many(folder: Path, count: int) -> dict[str, object]:
    """Translate `count` slides in this process; memory after each, in MB."""
    from uhrtranslate.io import Found
    from uhrtranslate.options import make_options
    from uhrtranslate.runs.items import Item
    from uhrtranslate.tasks.translate import translate_many

    sizes = [(600 + 37 * (i % 7), 400 + 53 * (i % 5)) for i in range(count)]
    inputs = [slide(folder / f"{i:03}.tif", *size) for i, size in enumerate(sizes)]
    memory = []

    def after(event: object) -> None:
        if getattr(event, "status", None) == "done":
            gc.collect()
            memory.append(resident() / 1e6)

    items = [Item(Found(path, folder)) for path in inputs]
    results = translate_many(items, folder / "out", make_options({"workers": 2}), after)
    failed = [result.error for result in results if result.status != "done"]
    # The first slides fill caches and pools.
    settled = memory[count // 5 :]
    slope = float(np.polyfit(range(len(settled)), settled, 1)[0])
    return {"mb": memory, "mb_per_slide": slope, "peak_mb": max(memory), "failed": failed}


def at_once(folder: Path, count: int, most: int, repeat: int) -> dict[str, float]:
    """Median seconds that `count` small slides take in this process, by how many are at work."""
    from uhrtranslate.io import Found
    from uhrtranslate.options import make_options
    from uhrtranslate.runs.items import Item
    from uhrtranslate.tasks.translate import translate_many

    inputs = [slide(folder / f"{i:03}.tif", 300, 300) for i in range(count)]
    items = [Item(Found(path, folder)) for path in inputs]
    seconds: dict[str, list[float]] = {}
    for turn in range(repeat + 1):
        for number in range(1, most + 1):
            options = make_options({"at_once": number, "overwrite": True})
            began = time.perf_counter()
            translate_many(items, folder / "out", options)
            if turn:  # the first fills caches
                seconds.setdefault(str(number), []).append(time.perf_counter() - began)
    return {number: statistics.median(taken) for number, taken in seconds.items()}


def one(source: Path, target: Path, states: bool, side: int) -> dict[str, float]:
    """Translate a slide in this process, with states or without."""
    from uhrtranslate.io.files import journal
    from uhrtranslate.io.writers import pyramid
    from uhrtranslate.tasks import translate

    saved: list[float] = []

    class Timed(journal.Journal):
        def save(self, *args):
            began = time.perf_counter()
            super().save(*args)
            saved.append(time.perf_counter() - began)

    pyramid.Journal = Timed
    if not states:
        Timed.due = False
    cpu, wall = time.process_time(), time.perf_counter()
    translate.translate(source, target, tile=side)
    return {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "states": len(saved),
        "saving_s": sum(saved),
    }


def child(*arguments: str) -> dict:
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slides", type=int, default=50)
    parser.add_argument("--side", type=int, default=2000, help="px of the slide for the states")
    parser.add_argument("--tile", type=int, default=384)
    parser.add_argument("--at-once", type=int, default=3, help="images at once, at most")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        kind, folder, *rest = args.child
        if kind == "many":
            print(json.dumps(many(Path(folder), int(rest[0]))))
        elif kind == "at-once":
            print(json.dumps(at_once(Path(folder), *map(int, rest))))
        else:
            source, target = Path(folder) / "slide.tif", Path(folder) / f"{rest[0]}.tif"
            print(json.dumps(one(source, target, kind == "states", int(rest[1]))))
        return
    report: dict = {"arguments": {k: v for k, v in vars(args).items() if k != "json"}}
    with tempfile.TemporaryDirectory() as folder:
        report["many"] = child("--child", "many", folder, str(args.slides))
    with tempfile.TemporaryDirectory() as folder:
        numbers = map(str, (MANY_AT_ONCE, args.at_once, args.repeat))
        report["at_once"] = child("--child", "at-once", folder, *numbers)
    with tempfile.TemporaryDirectory() as folder:
        slide(Path(folder) / "slide.tif", args.side, args.side)
        runs: dict[str, list[dict]] = {"states": [], "none": []}
        for number in range(args.repeat):
            for kind, taken in runs.items():
                name = f"{kind}{number}"
                taken.append(child("--child", kind, folder, name, str(args.tile)))
        report["runs"] = runs
    median = {
        kind: {key: statistics.median(run[key] for run in taken) for key in taken[0]}
        for kind, taken in runs.items()
    }
    report["overhead"] = {
        key: median["states"][key] / median["none"][key] - 1 for key in ("cpu_s", "wall_s")
    } | {"saving_of_wall": median["states"]["saving_s"] / median["states"]["wall_s"]}
    many_slides = report["many"]
    print(f"{args.slides} slides in one process: {many_slides['peak_mb']:.0f} MB at most,")
    print(f"  {many_slides['mb_per_slide']:+.2f} MB per slide (target: at most 5)")
    for number, seconds in report["at_once"].items():
        ratio = seconds / report["at_once"]["1"]
        print(f"{MANY_AT_ONCE} of 300 px square, {number} at once: {seconds:.2f} s ({ratio:.2f})")
    print(f"{args.side} px square, {median['states']['states']:.0f} states saved:")
    print(f"  saving took {report['overhead']['saving_of_wall']:.2%} of the run (target: 3%);")
    print(f"  CPU {report['overhead']['cpu_s']:+.2%}, wall {report['overhead']['wall_s']:+.2%}")
    if many_slides["failed"]:
        raise SystemExit(f"failed: {many_slides['failed']}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
