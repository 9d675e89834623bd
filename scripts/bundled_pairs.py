#!/usr/bin/env python3
"""Patches of the bundled generators' sections and their classical re-staining, as paired folders.

    python scripts/bundled_pairs.py --data images --out bundled-pairs
    uhrt train configs/train/bundled-he2ihc.yaml -o runs/he2ihc

Writes he2ihc/A, he2ihc/B, ihc2he/A and ihc2he/B, with equal names; patches are drawn as
`train_bundled.py` draws them, the script that made the weights that ship.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor
from train_bundled import SOURCES, Settings, draw, load, restain_to_he, restain_to_ihc

DIRECTIONS = {"he2ihc": ("H&E", restain_to_ihc), "ihc2he": ("IHC (DAB)", restain_to_he)}


def write(path: Path, x: Tensor) -> None:
    """Write [1, 3, h, w] in -1..1 as PNG."""
    pixels = ((x[0] + 1) * 127.5).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    Image.fromarray(pixels).save(path, compress_level=3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the source images")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--count", type=int, default=600, help="pairs of each direction")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for name, (domain, restain) in DIRECTIONS.items():
        random = np.random.default_rng(given.seed)
        images = [load(given.data, picture) for picture in SOURCES[domain]]
        for side in "AB":
            (given.out / name / side).mkdir(parents=True)
        for number in range(given.count):
            x = draw(images, Settings(), random)
            write(given.out / name / "A" / f"{number:04d}.png", x)
            write(given.out / name / "B" / f"{number:04d}.png", restain(x))
        print(f"{given.out / name}: {given.count} pairs")


if __name__ == "__main__":
    main()
