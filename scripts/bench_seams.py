#!/usr/bin/env python3
"""How much seams show by normalizer: the measure of `uhrt evaluate`, over real images.

    python scripts/bench_seams.py --json seams.json

Generators: one that ships, and a ResNet of 9 blocks with random weights (ngf 16), each on real
sections of 1024 px with cells of 256 px (so 6 borders each). `untiled` is one forward of all of it
with plain instance norm: nothing is tiled, so its ratio is what chance gives. Ratios are of the
mean step of 8 px strips at borders over that elsewhere; means over the images.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import skimage.data
import torch
from torch import nn

from uhrtranslate import load_generator, translate
from uhrtranslate.engine import GeneratorRunner
from uhrtranslate.io import OutputSpec, open_slide, open_writer
from uhrtranslate.metrics.seams.measure import measure_seams, search_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles
from uhrtranslate.models import Generator, GeneratorInfo, ResnetGenerator

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
    torch.manual_seed(0)
    network = ResnetGenerator(ngf=16, n_blocks=9)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(layer.weight, 0, 0.1)  # so that the output has contrast
    yield Generator(network, GeneratorInfo("resnet", stride=4, cell=CELL), "random", "0" * 64)


def save(pixels: np.ndarray, path: Path) -> None:
    """Lossless."""
    spec = OutputSpec(SIDE, SIDE, compression="deflate")
    with open_writer(path, spec, False, 1) as writer:
        writer.write(0, 0, pixels)
        writer.reached(SIDE)


def untiled(generator: Generator, pixels: np.ndarray) -> np.ndarray:
    """One forward of all of it."""
    runner = GeneratorRunner(generator, torch.device("cpu"))
    return runner.to_pixels(runner.plain(runner.to_input([pixels])))[0]


def measure(pixels: np.ndarray) -> dict[str, float | int | None]:
    """Ratio and p-value of the known grid, and what the blind search finds."""
    profiles = measure_profiles(
        lambda x, y, w, h: pixels[y : y + h, x : x + w], pixels.shape[1], pixels.shape[0]
    )
    known, found = measure_seams(profiles, CELL), search_seams(profiles)
    return {
        "ratio": known.ratio,
        "gradient_ratio": known.gradient_ratio,
        "p_value": known.p_value,
        "found": found.period,
    }


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", type=Path, nargs="*", default=[], help="slides besides")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    report: dict[str, dict[str, dict[str, object]]] = {}
    pictures = dict(images(given.image))
    for generator in generators():
        rows: dict[str, dict[str, object]] = {}
        for name, pixels in pictures.items():
            with tempfile.TemporaryDirectory() as folder:
                source = Path(folder, "source.tif")
                save(pixels, source)
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
        print(f"{'':24}{'ratio':>8}{'gradient':>10}{'found':>8}")
        for way, by_image in rows.items():
            ratio, gradient = (
                np.mean([one[key] for one in by_image.values()])
                for key in ("ratio", "gradient_ratio")
            )
            found = sum(one["found"] == CELL for one in by_image.values())
            print(f"{way:24}{ratio:8.3f}{gradient:10.3f}{found:5} of {len(by_image)}", flush=True)
    if given.json:
        given.json.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
