"""How well the score of pairs of patches tells what lies on each other from what lies beside.

    python scripts/bench_agreement.py FOLDER [--transform scans.json]

FOLDER has `he-patches`, `aperio-svs`, `serial-sections` and `scanner-pair-ki67`, on none of which
the score was chosen. Sections get another stain (a fixed function of the colours) and are bent by a
known smooth displacement; neighbouring sections and scans are compared as they were registered.
"""

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from uhrtranslate import open_slide
from uhrtranslate.engine import WarpedSlide
from uhrtranslate.recipes.transform_file import read_transform
from uhrtranslate.registration.agreement import agreement
from uhrtranslate.tissue import detect_tissue

SIDE, LIMIT, TISSUE = 256, 0.2, 0.25
# Displacements in px of a patch of 256 px: median length, smooth over about 60 px.
OFF = (0, 4, 8, 16, 32)
SECTIONS = ("he-patches/*.png", "aperio-svs/*.svs")
SERIAL = ("nonrigid_1_ihc_1.png", "nonrigid_2_ihc_3.png", "nonrigid_3_ihc_2.png")
SCANS = ("OS-2-vsi.ome.tif", "OS-2-ndpi.ome.tif")


def whole(path):
    with open_slide(path) as slide:
        return slide.read(0, 0, slide.info.width, slide.info.height)


def restained(pixels):
    """Another stain: colours changed by a fixed function, glass left white."""
    dark = 1 - pixels.astype(np.float32) / 255
    mixed = np.stack([dark @ (0.2, 0.3, 0.3), dark @ (0.5, 0.1, 0.3), dark @ (0.1, 0.6, 0.2)], -1)
    return (255 * (1 - mixed.clip(0, 1) ** 0.8)).astype(np.uint8)


def bent(pixels, off, seed):
    """A picture whose pixels come from `off` px away (median), in directions that change slowly."""
    if not off:
        return pixels
    h, w = pixels.shape[:2]
    noise = np.random.default_rng(seed).normal(size=(2, h, w))
    move = np.stack([gaussian_filter(one, 30, truncate=2) for one in noise])
    move *= off / np.median(np.hypot(*move))
    at = np.mgrid[0:h, 0:w] + move
    return np.stack(
        [map_coordinates(pixels[..., c], at, order=1, mode="reflect") for c in range(3)], -1
    )


def scores(first, second):
    """Of patches in their place, and of each with the patches a side beside it."""
    h, w = first.shape[:2]
    places = [
        (y, x)
        for y in range(0, h - SIDE + 1, SIDE)
        for x in range(0, w - SIDE + 1, SIDE)
        if detect_tissue(first[y : y + SIDE, x : x + SIDE]).mean() >= TISSUE
    ]
    part = {
        place: np.s_[place[0] : place[0] + SIDE, place[1] : place[1] + SIDE] for place in places
    }
    true = [agreement(first[part[place]], second[part[place]]) for place in places]
    beside = [
        agreement(first[part[one]], second[part[other]])
        for one in places
        for other in places
        if abs(one[0] - other[0]) + abs(one[1] - other[1]) == SIDE
    ]
    return true, beside


def line(name, off, true, beside):
    true, beside = np.array(true), np.array(beside)
    better = (true[:, None] > beside).mean() + 0.5 * (true[:, None] == beside).mean()
    print(
        f"| {name} | {off} | {len(true)} | {better:.3f} | {np.median(true):.2f} | "
        f"{(true >= LIMIT).mean():.0%} | {(beside < LIMIT).mean():.0%} |",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--transform", type=Path, help="of the scanner pair, by uhrt register")
    args = parser.parse_args()
    print("| patches | off, px | n | AUC | median | kept of true | dropped of beside |")
    print("|---|---|---|---|---|---|---|")
    paths = [path for pattern in SECTIONS for path in sorted(args.folder.glob(pattern))]
    sections = [pixels for pixels in map(whole, paths) if min(pixels.shape[:2]) >= 2 * SIDE]
    sections = [pixels[: 4 * SIDE, : 4 * SIDE] for pixels in sections]
    for off in OFF:
        found = [
            scores(section, bent(restained(section), off, number))
            for number, section in enumerate(sections)
        ]
        joined = map(np.concatenate, zip(*found, strict=True))
        line(f"{len(sections)} sections, another stain", off, *joined)
    serial = [whole(args.folder / "serial-sections" / name) for name in SERIAL]
    found = [scores(serial[a], serial[b]) for a, b in ((0, 1), (0, 2), (1, 2))]
    line("neighbouring sections", "?", *map(np.concatenate, zip(*found, strict=True)))
    if args.transform:
        moving, fixed = (open_slide(args.folder / "scanner-pair-ki67" / name) for name in SCANS)
        seen = WarpedSlide(moving, read_transform(args.transform))
        box = 0, 0, fixed.info.width, fixed.info.height
        line("one section, two scanners", "< 1", *scores(fixed.read(*box), seen.read(*box)))


if __name__ == "__main__":
    main()
