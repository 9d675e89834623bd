#!/usr/bin/env python3
"""Time and memory of `uhrt evaluate`, by size: a translation with seams, and its source.

    python scripts/bench_evaluate.py --sizes 5000 20000 --json evaluate.json

Both are written as tiled JPEG TIFFs first, from a real section that is repeated; the translation is
darker, and each of its tiles of 512 px is moved by a colour of its own (standard deviation 2). Each
size is measured in a process of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data

TILE, STRENGTH = 512, 2.0


def write(path: Path, side: int, seams: bool) -> None:
    """A pyramid of `side` px square."""
    from uhrtranslate.io import OutputSpec, open_writer

    half = skimage.data.immunohistochemistry()[:500, :500]  # no tile falls on its mirror lines
    section = np.pad(half, ((0, 1100), (0, 1100), (0, 0)), mode="symmetric")
    random = np.random.default_rng(0)
    with open_writer(path, OutputSpec(side, side, mpp=(0.5, 0.5)), False, 2) as writer:
        for y in range(0, side, TILE):
            rows = min(TILE, side - y)
            for x in range(0, side, TILE):
                columns = min(TILE, side - x)
                # Elsewhere in each tile, so that tiles do not repeat at their own distance.
                top, left = y % 1000, x % 1000
                tile = section[top : top + rows, left : left + columns].astype(np.float32)
                if seams:
                    tile = tile * 0.9 + random.normal(0, STRENGTH, 3)
                writer.write(x, y, np.clip(np.rint(tile), 0, 255).astype(np.uint8))
            writer.reached(y + rows)


def measure(source: str, result: str) -> None:
    """One evaluation; prints seconds, CPU seconds, MB and what was found."""
    from uhrtranslate.evaluation.options import EvaluateOptions
    from uhrtranslate.options import validated
    from uhrtranslate.tasks.evaluate import evaluate

    began, cpu = time.perf_counter(), time.process_time()
    found = evaluate(result, validated(EvaluateOptions, {"source": source}))
    print(
        json.dumps(
            {
                "wall_s": time.perf_counter() - began,
                "cpu_s": time.process_time() - cpu,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                "period": found.metrics["seam"]["period"],
                "ratio": found.metrics["seam"]["ratio"],
                "ssim": found.metrics["structure"]["ssim"],
            }
        )
    )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 20000])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        measure(*given.job)
        return
    rows = []
    for side in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            source, result = Path(folder, "source.tif"), Path(folder, "result.tif")
            write(source, side, seams=False)
            write(result, side, seams=True)
            run = subprocess.run(
                [sys.executable, __file__, "--job", str(source), str(result)],
                env=os.environ | {"OMP_NUM_THREADS": "1"},
                capture_output=True,
                text=True,
                check=True,
            )
        row = {"side": side} | json.loads(run.stdout)
        rows.append(row)
        speed = side**2 / 1e6 / row["wall_s"]
        print(f"{side:,} px square: {row['wall_s']:.1f} s ({speed:.2f} MP/s)", end=", ")
        print(f"{row['cpu_s']:.1f} CPU s, {row['peak_mb']:.0f} MB", end="; ")
        print(f"tiles of {row['period']} px found, ratio {row['ratio']:.3f}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
