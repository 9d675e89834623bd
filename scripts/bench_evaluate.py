#!/usr/bin/env python3
"""Time and memory of `uhrt evaluate`, by size: a translation with seams, and its source.

    python scripts/bench_evaluate.py --sizes 5000 20000 --json evaluate.json

Both are written as tiled JPEG TIFFs first, from a real section that is repeated; the translation is
darker, and each of its tiles of 512 px is moved by a colour of its own (standard deviation 2). Each
size is measured in a process of its own.
"""

import tempfile
from pathlib import Path

import numpy as np
import skimage.data
from bench import child, parser, peak_bytes, save, start, timed
from stand_ins import write

from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.options import validated
from uhrtranslate.tasks.evaluate import evaluate

TILE, STRENGTH = 512, 2.0


def seams(side: int, planted: bool):
    """Reads rows of a picture of `side` px square, with seams planted or without."""
    half = skimage.data.immunohistochemistry()[:500, :500]  # no tile falls on its mirror lines
    section = np.pad(half, ((0, 1100), (0, 1100), (0, 0)), mode="symmetric")
    random = np.random.default_rng(0)

    def read(_x: int, y: int, width: int, rows: int) -> np.ndarray:
        tiles = []
        for x in range(0, width, TILE):
            # Elsewhere in each tile, so that tiles do not repeat at their own distance.
            top, left = y % 1000, x % 1000
            tile = section[top : top + rows, left : left + min(TILE, width - x)].astype(np.float32)
            tiles.append(tile * 0.9 + random.normal(0, STRENGTH, 3) if planted else tile)
        return np.clip(np.rint(np.hstack(tiles)), 0, 255).astype(np.uint8)

    return read


def measure(source: str, result: str) -> dict[str, float]:
    """One evaluation; seconds, CPU seconds, MB and what was found."""
    with timed() as row:
        found = evaluate(result, validated(EvaluateOptions, {"source": source}))
    return row | {
        "peak_mb": peak_bytes() / 2**20,
        "period": found.metrics["seam"]["period"],
        "ratio": found.metrics["seam"]["ratio"],
        "ssim": found.metrics["structure"]["ssim"],
    }


def main() -> None:
    given = parser(__doc__, sizes=[5000, 20000]).parse_args()
    rows = []
    for side in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            source, result = Path(folder, "source.tif"), Path(folder, "result.tif")
            write(source, side, seams(side, False), mpp=(0.5, 0.5))
            write(result, side, seams(side, True), mpp=(0.5, 0.5))
            row = {"side": side} | child(measure, source, result, threads=1)
        rows.append(row)
        speed = side**2 / 1e6 / row["wall_s"]
        print(f"{side:,} px square: {row['wall_s']:.1f} s ({speed:.2f} MP/s)", end=", ")
        print(f"{row['cpu_s']:.1f} CPU s, {row['peak_mb']:.0f} MB", end="; ")
        print(f"tiles of {row['period']} px found, ratio {row['ratio']:.3f}", flush=True)
    save(given.json, rows)


start(main, measure)
