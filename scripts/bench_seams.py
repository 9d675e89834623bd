#!/usr/bin/env python3
"""How much seams show by normalizer: the measure of `uhrt evaluate`, over real images.

    python scripts/bench_seams.py --json seams.json

Generators: one that ships, and a ResNet of 9 blocks with random weights (ngf 16), each on real
sections of 1024 px with cells of 256 px (so 6 borders each). `untiled` is one forward of all of it
with plain instance norm: nothing is tiled, so its ratio is what chance gives. Ratios are of the
mean step of 8 px strips at borders over that elsewhere; means over the images.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
import torch
from bench import parser, save, table
from stand_ins import resnet, write
from torch import nn

from uhrtranslate import load_generator, translate
from uhrtranslate.engine import GeneratorRunner
from uhrtranslate.io import open_slide
from uhrtranslate.metrics.planes import NO_HALO
from uhrtranslate.metrics.seams.contrast import block_sums, blockiness, measure_contrast
from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.measure import measure_seams, search_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles
from uhrtranslate.metrics.seams.rejection import measure_rejections, null_grid
from uhrtranslate.models import Generator

CELL, SIDE = 256, 1024
WAYS = {
    "patch-IN (published)": {"norm": "in", "pad": "reflect"},
    "KIN (published)": {"norm": "kin", "pad": "reflect"},
    "TIN (published)": {"norm": "tin", "pad": "reflect"},
    "DN (published)": {"norm": "dn", "pad": "reflect"},
    "in": {"norm": "in"},
    "kin": {"norm": "kin"},
    "tin": {"norm": "tin"},
    "dn": {"norm": "dn"},
    "pooled": {"norm": "pooled"},
}
# Figures that are printed, and how.
COLUMNS = {
    "ratio": "8.3f",
    "gradient_ratio": "15.3f",
    "rejected": "9.3f",
    "null": "7.3f",
    "severity_z": "11.2f",
    "contrast": "10.5f",
    "tiling_score": "13.2f",
    "blockiness": "11.3f",
    "masked": "8.3f",
    "found": ">10",
}


def images(more: list[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Real pictures of 1024 px; a smaller one is mirrored to that size."""
    section = skimage.data.immunohistochemistry()
    yield "IHC section", np.pad(section, ((0, 512), (0, 512), (0, 0)), mode="symmetric")
    yield "retina", skimage.data.retina()[190:1214, 190:1214]
    for path in more:
        with open_slide(path) as slide:
            yield path.name, slide.read(400, 600, SIDE, SIDE)


def generators() -> Iterator[Generator]:
    """One that ships, and one of random weights."""
    yield load_generator("ihc2he")
    random = resnet("random", CELL, ngf=16)
    for layer in random.module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.1)  # so that the output has contrast
    yield random


def untiled(generator: Generator, pixels: np.ndarray) -> np.ndarray:
    """One forward of all of it."""
    runner = GeneratorRunner(generator, torch.device("cpu"))
    return runner.to_pixels(runner.plain(runner.to_input([pixels])))[0]


def reader(pixels: np.ndarray):
    """Parts of an array."""
    return lambda x, y, w, h: pixels[y : y + h, x : x + w]


def measure(pixels: np.ndarray) -> dict[str, float | int | None]:
    """Figures of the known grid, ours and others', and what the blind search finds."""
    size = pixels.shape[1], pixels.shape[0]
    profiles = measure_profiles(reader(pixels), *size)
    known, found = measure_seams(profiles, CELL), search_seams(profiles)
    grid = Grid(CELL, CELL, CELL, 1.0)
    tests = measure_rejections(reader(pixels), *size, grid)
    contrast = measure_contrast(reader(pixels), *size, grid)
    return {
        "rejected": tests.rate,
        "null": measure_rejections(reader(pixels), *size, null_grid(grid)).rate,
        "severity_z": tests.severity_z,
        "contrast": contrast.contrast,
        "tiling_score": contrast.tiling_score,
        "blockiness": blockiness(block_sums(pixels, NO_HALO), contrast.between, CELL),
        "masked": contrast.masked,
        "ratio": known.ratio,
        "gradient_ratio": known.gradient_ratio,
        "p_value": known.p_value,
        "found": found.period,
    }


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--image", type=Path, nargs="*", default=[], help="slides besides")
    given = options.parse_args()
    torch.set_num_threads(1)
    report: dict[str, dict[str, dict[str, object]]] = {}
    pictures = dict(images(given.image))
    for generator in generators():
        rows: dict[str, dict[str, object]] = {}
        for name, pixels in pictures.items():
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "source.tif")
                write(source, SIDE, reader(pixels), compression="deflate")
                for way, options in WAYS.items():
                    target = Path(folder, "result.tif")
                    translate(
                        source, target, generator=generator, cell=CELL, compression="deflate",
                        overwrite=True, **options,
                    )  # fmt: skip
                    with open_slide(target) as result:
                        rows.setdefault(way, {})[name] = measure(result.read(0, 0, SIDE, SIDE))
                rows.setdefault("untiled", {})[name] = measure(untiled(generator, pixels))
                rows.setdefault("source", {})[name] = measure(pixels)
        report[generator.name] = rows
        print(f"{generator.name}, {', '.join(pictures)}:")
        shown = {}
        for way, by_image in rows.items():
            found = sum(one["found"] == CELL for one in by_image.values())
            shown[way] = {
                name: np.mean([one[name] for one in by_image.values()])
                for name in COLUMNS
                if name != "found"
            } | {"found": f"{found} of {len(by_image)}"}
        columns = list(COLUMNS.items())
        table(shown, 24, [(key, key, form) for key, form in columns])
    save(given.json, report)


main()
