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
from train_bundled import SOURCES, Settings, draw, load, restain_to_he, restain_to_ihc

from uhrtranslate.io.files.disk import write_png
from uhrtranslate.training.run.sample_grid import sample_grid

DIRECTIONS = {"he2ihc": ("H&E", restain_to_ihc), "ihc2he": ("IHC (DAB)", restain_to_he)}


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
            for side, image in (("A", x), ("B", restain(x))):
                path = given.out / name / side / f"{number:04d}.png"
                write_png(path, sample_grid([image]), compress_level=3)
        print(f"{given.out / name}: {given.count} pairs")


if __name__ == "__main__":
    main()
