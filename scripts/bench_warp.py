"""What warping costs beside copying through the same reader and writer, and registering big slides.

    python scripts/bench_warp.py [--side 20000] [--height 20000] [--big 100000]

A slide of `--side` px (tiled JPEG) is copied, and warped by a turn and waves: CPU seconds, memory.
Two virtual slides of `--big` px a side, one of them the other in another place, are registered.
"""

import argparse
import json
import multiprocessing
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import skimage.data
import tifffile

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.io import VirtualSlide, open_slide
from uhrtranslate.options import ImageOptions
from uhrtranslate.recipes.coarse_place import coarse_place, evidence_of
from uhrtranslate.recipes.elastic import refine
from uhrtranslate.recipes.pictures_of_pairs import SlidePair
from uhrtranslate.recipes.warped import Warped
from uhrtranslate.registration import DisplacementGrid, Frame, Matrix, Transform
from uhrtranslate.registration.engines import ENGINES
from uhrtranslate.runs.one_image import process_slide

TISSUE = skimage.data.immunohistochemistry()


def written(path, side, height):
    """A tiled slide of real tissue."""

    def tiles():
        for _ in range(-(-side // 512) * -(-height // 512)):
            yield TISSUE

    tifffile.imwrite(
        path, tiles(), shape=(height, side, 3), dtype=np.uint8, tile=(512, 512),
        photometric="rgb", compression="jpeg",
    )  # fmt: skip


def bent(side, height):
    frame = Frame("slide.tif", side, height)
    nodes = np.random.default_rng(0).normal(0, 20, (21, 21, 2)).astype(np.float32)
    c, s = np.cos(0.1), np.sin(0.1)
    turn = np.array([[c, -s, 0.05 * height], [s, c, -0.05 * side], [0, 0, 1]])
    waves = DisplacementGrid((0, 0), (side / 20, height / 20), nodes)
    return Transform(frame, frame, (waves, Matrix(turn)))


def wrote(folder, side, height, sampling):
    found = bent(side, height)
    recipe = Warped(ImageOptions(), found, "t.json")
    with open_slide(folder / "slide.tif") as slide:
        seen = WarpedSlide(slide, found, sampling) if sampling else slide
        process_slide(recipe, seen, folder / "made.tif", lambda event: None)


class Drawn(VirtualSlide):
    """One picture of a section, enlarged, in another place; every level is drawn by itself."""

    def __init__(self, side, shift):
        super().__init__(side, side, lambda x, y, w, h: None, levels=8)
        self.picture = np.pad(TISSUE, ((150, 150), (150, 150), (0, 0)), constant_values=240)
        self.scale, self.shift = len(self.picture) / side, shift

    def read(self, x, y, w, h, level=0):
        """See `Slide.read`."""
        most = len(self.picture) - 1
        columns, rows = (
            (((np.arange(start, start + n) + 0.5) * 2**level + shift) * self.scale).astype(int)
            for start, n, shift in ((x, w, self.shift), (y, h, -self.shift))
        )
        return self.picture[np.ix_(rows.clip(0, most), columns.clip(0, most))]


def registered(side):
    moving, fixed = Drawn(side, 0), Drawn(side, side // 40)
    pair = SlidePair(moving, fixed)
    coarse = coarse_place(pair, mirror=False, seed=0)
    found = refine(moving, fixed, coarse, ENGINES["convex"], 3)
    evidence = evidence_of(pair, coarse, pair.pictures(coarse), 0)
    at = np.random.default_rng(0).uniform(0.25 * side, 0.75 * side, (200, 2))
    truth = at + np.array([1, -1]) * (side // 40)
    missed = np.median(np.linalg.norm(found.to_moving(at) - truth, axis=1))
    print(f"registered: median error {missed:.1f} px, evidence {evidence.above_chance}")


def measured(work, *arguments):
    """Seconds, CPU seconds and MB of a function in a process of its own."""

    def run(pipe):
        began, cpu = time.perf_counter(), time.process_time()
        work(*arguments)
        took = time.perf_counter() - began, time.process_time() - cpu
        pipe.send((*took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))

    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=run, args=(theirs,))
    process.start()
    process.join()
    return [round(value, 1) for value in ours.recv()]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--height", type=int, help="of the slide; as its side by default")
    parser.add_argument("--big", type=int, default=100_000)
    args = parser.parse_args()
    found = {}
    if args.side:
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            height = args.height or args.side
            written(folder / "slide.tif", args.side, height)
            for name in (None, "cubic", "linear"):
                found[name or "copied"] = measured(wrote, folder, args.side, height, name)
                (folder / "made.tif").unlink()
    if args.big:
        found["registered"] = measured(registered, args.big)
    print(
        json.dumps(
            {"side": args.side, "height": args.height, "big": args.big, "s, CPU s, MB": found}
        )
    )


if __name__ == "__main__":
    main()
