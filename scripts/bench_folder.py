#!/usr/bin/env python3
"""Many small images: a folder through `uhrt translate`'s own code, beside a plain loop.

    python scripts/bench_folder.py --images 40 --json folder.json
    python scripts/bench_folder.py --images 1000 --generators tiny --json folder.json

The plain loop has the model loaded, reads a PNG, computes it in one forward with instance
normalization, and writes a PNG with Pillow's defaults: no pyramid, record, lock, sync or check.
The run is `--norm in --pad reflect`, one forward of each image, too, in fp32. Generators: the
bundled one and a tiny one that costs next to nothing, with which the rest shows. Loop and run are
in one process, in turns, after two images of each; `share` is images per second of the run over
those of the loop. The images are PNGs of real tissue, each shifted by some px.
"""

import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import torch
from bench import medians, parser, save, table, timed, turns
from PIL import Image
from skimage.data import immunohistochemistry
from torch import nn

from uhrtranslate.io import Found
from uhrtranslate.models import Generator, GeneratorInfo, load_generator
from uhrtranslate.options import make_options
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.items import Item
from uhrtranslate.runs.many_images import run_recipe

SIDE = 512


def tiny() -> Generator:
    """A generator that costs next to nothing, with a norm layer."""
    module = nn.Sequential(
        nn.Conv2d(3, 4, 4, 4), nn.InstanceNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 3, 4, 4)
    )
    return Generator(module, GeneratorInfo("tiny", stride=4, halo=16, cell=SIDE), "tiny", "0" * 64)


GENERATORS = {"tiny": tiny, "bundled": lambda: load_generator("he2ihc")}


def plainly(module: nn.Module, inputs: list[Path], folder: Path) -> None:
    """Every image by one forward."""
    folder.mkdir(exist_ok=True)
    for path in inputs:
        pixels = torch.from_numpy(np.array(Image.open(path).convert("RGB")))
        with torch.inference_mode():
            y = module(pixels.permute(2, 0, 1)[None].float().div(127.5).sub(1))[0]
        made = y.add(1).mul(127.5).add(0.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
        Image.fromarray(made.contiguous().numpy()).save(folder / path.name)


def by_uhrt(translator: Translator, inputs: list[Path], folder: Path) -> None:
    """The same with records, locks and syncs."""
    results = run_recipe([Item(Found(path, path.parent)) for path in inputs], folder, translator)
    assert all(result.status == "done" for result in results)


def main() -> None:
    given = parser(
        __doc__, images=1000, repeat=3, threads=2, generators=list(GENERATORS)
    ).parse_args()  # fmt: skip
    torch.set_num_threads(given.threads)
    options = make_options(
        {"norm": "in", "pad": "reflect", "cell": SIDE, "precision": "fp32", "overwrite": True}
    )
    rows = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "in")
        folder.mkdir()
        inputs = [folder / f"{i:04}.png" for i in range(given.images)]
        for i, path in enumerate(inputs):
            Image.fromarray(np.roll(immunohistochemistry(), 7 * i, 1)).save(path, compress_level=1)
        for kind in given.generators:
            make = GENERATORS[kind]
            plain = make().module.eval()
            translator = Translator(options, GeneratorPool(options, make()))
            works = {
                "plain loop": partial(plainly, plain, folder=Path(name, "plain")),
                "uhrt": partial(by_uhrt, translator, folder=Path(name, kind)),
            }
            for work in works.values():
                work(inputs=inputs[:2])

            def run(work):
                with timed() as row:
                    work(inputs=inputs)
                return row

            taken = turns({way: partial(run, work) for way, work in works.items()}, given.repeat)
            middle = {way: medians(runs) for way, runs in taken.items()}
            for way, row in middle.items():
                rows[f"{kind}, {way}"] = row | {
                    "images_s": given.images / row["wall_s"],
                    "share": middle["plain loop"]["wall_s"] / row["wall_s"],
                    "cpu_share": middle["plain loop"]["cpu_s"] / row["cpu_s"],
                }
    columns = [
        ("wall s", "wall_s", "9.2f"), ("CPU s", "cpu_s", "9.2f"), ("per s", "images_s", "9.1f"),
        ("share", "share", "8.2f"), ("of CPU", "cpu_share", "8.2f"),
    ]  # fmt: skip
    table(rows, 22, columns)
    save(given.json, {"images": given.images, "threads": given.threads, "rows": rows})


main()
