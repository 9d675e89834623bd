#!/usr/bin/env python3
"""Windows of the bundled generators' sections and their classical re-staining, as paired folders.

    python scripts/bundled_pairs.py --data images --out bundled-pairs
    uhrt train configs/train/bundled-he2ihc.yaml -o runs/he2ihc

Writes he2ihc/A, he2ihc/B, ihc2he/A and ihc2he/B, with equal names; windows of 512 px are drawn as
`train_bundled.py` draws them.
"""

import argparse
from pathlib import Path

import numpy as np
from bundled_sections import sections
from bundled_windows import Scanner, draw
from train_bundled import FILES

from uhrtranslate.io.files.disk import write_png
from uhrtranslate.training.run.sample_grid import sample_grid


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the source images")
    parser.add_argument("--out", type=Path, required=True, help="a new folder")
    parser.add_argument("--count", type=int, default=600, help="pairs of each direction")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for name, (domain, _) in FILES.items():
        random = np.random.default_rng(given.seed)
        found = sections(given.data, domain)
        for side in "AB":
            (given.out / name / side).mkdir(parents=True)
        for number in range(given.count):
            window = draw(found, Scanner.drawn(random), random)
            for side, image in (("A", window.x), ("B", window.goal)):
                path = given.out / name / side / f"{number:04d}.png"
                write_png(path, sample_grid([image[None]]), compress_level=3)
        print(f"{given.out / name}: {given.count} pairs")


if __name__ == "__main__":
    main()
