"""Registration of pairs with landmarks: errors, verdicts, seconds, memory.

    python scripts/bench_register.py FOLDER [--engine convex|simpleitk|elastix|none]
    python scripts/bench_register.py FOLDER --compare convex simpleitk elastix

FOLDER holds images and tables of landmarks as BIRL and CIMA have them (see docs/register.md).
"""

import argparse
import csv
import itertools
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from uhrtranslate import open_slide
from uhrtranslate.recipes.coarse_place import coarse_place
from uhrtranslate.recipes.elastic import refine
from uhrtranslate.recipes.pictures_of_pairs import SlidePair
from uhrtranslate.registration.engines import ENGINES
from uhrtranslate.registration.quality import landmark_errors

# Image, its landmarks, and by what these are divided to be px of the image.
SETS = (
    (
        ("lung-lesion_HE.jpg", "lung-lesion_HE.landmarks.csv", 1),
        ("lung-lesion_proSPC.jpg", "lung-lesion_proSPC.landmarks.csv", 1),
    ),
    tuple(
        (f"lung-lesion-3_{name}.jpg", f"lung-lesion-3_{name}.landmarks-50pc.csv", 10)
        for name in ("He", "CD31-3", "Ki67-7")
    ),
)


def scaled(source, target, divisor):
    with source.open() as file:
        rows = list(csv.reader(file))[1:]
    lines = [f"{number},{float(x) / divisor},{float(y) / divisor}" for number, x, y in rows]
    target.write_text("\n".join([" ,X,Y", *lines]) + "\n")
    return target


def measured(folder, work, moving, fixed, engine):
    tables = [
        scaled(folder / one[1], work / f"{end}.csv", one[2])
        for end, one in (("moving", moving), ("fixed", fixed))
    ]
    command = [
        sys.executable, "-m", "uhrtranslate", "register", folder / moving[0], folder / fixed[0],
        "-o", work / "t.json", "--overwrite", "--engine", engine, "--json", "--landmarks", *tables,
    ]  # fmt: skip
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    return json.loads(done.stdout)


def compared(folder, engines):
    """A table of engines, all from the same coarse place."""
    print(f"| moving | fixed | coarse | {' | '.join(engines)} |")
    print(f"|---|---|---|{'---|' * len(engines)}")
    for images in SETS:
        for pair in itertools.permutations(images, 2):
            slides = [open_slide(folder / one[0]) for one in pair]
            landmarks = [points(folder / one[1], one[2]) for one in pair]
            began = time.process_time()
            coarse = coarse_place(SlidePair(*slides), mirror=False, seed=0)
            cells = [cell(coarse, landmarks, began)]
            for name in engines:
                began = time.process_time()
                cells.append(cell(refine(*slides, coarse, ENGINES[name], 3), landmarks, began))
            names = [Path(one[0]).stem for one in pair]
            print(f"| {' | '.join([*names, *cells])} |", flush=True)


def points(path, divisor):
    with path.open() as file:
        return np.array([row[1:3] for row in list(csv.reader(file))[1:]], float) / divisor


def cell(found, landmarks, began):
    """Median and 90th percentile of rTRE, robustness, CPU seconds."""
    took = time.process_time() - began
    errors = landmark_errors(found, *landmarks)
    median, high = errors["rtre_median"], errors["rtre_p90"]
    return f"{median:.4f} ({high:.4f}), {errors['robustness']:.2f}, {took:.1f} s"


def turned_over(folder, work, one):
    """The image seen from the other side, with its landmarks."""
    image = Image.open(folder / one[0]).convert("RGB")
    image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(work / f"mirrored-{one[0]}", quality=95)
    with (folder / one[1]).open() as file:
        rows = list(csv.reader(file))[1:]
    lines = [f"{n},{image.width * one[2] - float(x)},{y}" for n, x, y in rows]
    (work / one[1]).write_text("\n".join([" ,X,Y", *lines]) + "\n")
    return (str(work / f"mirrored-{one[0]}"), str(work / one[1]), one[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--engine", default="convex")
    parser.add_argument("--compare", nargs="+", metavar="ENGINE", help="from one coarse place")
    args = parser.parse_args()
    if args.compare:
        compared(args.folder, args.compare)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(f"\nMemory at most {peak / 1024:.0f} MB.")
        return
    print("| moving | fixed | before | median | p90 | max | robustness | evidence | verdict | s |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        pairs = [pair for images in SETS for pair in itertools.permutations(images, 2)]
        # Sections of different lesions, and some turned over: none of these may be called good.
        pairs += [(SETS[0][0], SETS[1][0]), (SETS[1][1], SETS[0][1])]
        turned = [turned_over(args.folder, Path(work), one) for one in (SETS[0][0], *SETS[1][::2])]
        pairs += list(zip(turned, (SETS[0][1], SETS[1][1], SETS[1][0]), strict=True))
        for moving, fixed in pairs:
            found = measured(args.folder, Path(work), moving, fixed, args.engine)
            errors, evidence = found["quality"]["landmarks"], found["quality"]["evidence"]
            names = [Path(one[0]).stem for one in (moving, fixed)]
            figures = [errors[f"rtre_{key}"] for key in ("before", "median", "p90", "max")]
            cells = [*names, *figures, errors["robustness"], evidence["above_chance"]]
            print(
                f"| {' | '.join(map(str, cells))} | {found['verdict']} | {found['seconds']} |",
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"\nMemory at most {peak / 1024:.0f} MB.")


if __name__ == "__main__":
    main()
