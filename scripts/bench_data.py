#!/usr/bin/env python3
"""Patches per second that a training draws from a real slide, by number of workers.

    python scripts/bench_data.py CMU-1-Small-Region.svs --patch 512

Reads, picks tissue, turns, jitters and stacks exactly as `uhrt train` does, for both domains. The
slide's decoder works outside Python's lock, so threads help as far as there are cores.
"""

import os
import time
from contextlib import closing
from pathlib import Path

from bench import parser, save

from uhrtranslate.training.data.batches import batches
from uhrtranslate.training.data.patches import open_patches
from uhrtranslate.training.options import DataOptions


def patches_per_second(slide: Path, patch: int, workers: int, seconds: float, mpp: float | None):
    """Patches of both domains together, after a short start."""
    options = DataOptions(
        a=slide, b=slide, patch=patch, workers=workers, mpp=mpp, rotate=True, jitter=0.05
    )
    with closing(open_patches(options, False, 0)) as patches:
        drawn, began = 0, 0.0
        for number, _ in enumerate(batches(patches.sample, 0, 1_000_000, 1, workers)):
            if number == 2 * workers:  # queues are full now
                drawn, began = 0, time.monotonic()
            drawn += 2
            if began and time.monotonic() - began > seconds:
                return drawn / (time.monotonic() - began)
    raise AssertionError("unreachable")


def main() -> None:
    options = parser(
        __doc__, patch=[256, 512], workers=[1, 2, 4, 8], seconds=(5.0, "per measurement")
    )
    options.add_argument("slide", type=Path)
    options.add_argument("--mpp", type=float, help="resample to this resolution")
    given = options.parse_args()
    print(f"{given.slide.name}, {os.cpu_count()} cores")
    print("| patch | " + " | ".join(f"{n} workers" for n in given.workers) + " |")
    print("|---" * (len(given.workers) + 1) + "|")
    report = {}
    for patch in given.patch:
        report[patch] = rates = [
            patches_per_second(given.slide, patch, n, given.seconds, given.mpp)
            for n in given.workers
        ]
        print(f"| {patch} px | " + " | ".join(f"{rate:.0f}" for rate in rates) + " |", flush=True)
    save(given.json, report)


main()
