#!/usr/bin/env python3
"""A whole slide in a generator's look: time, memory by height, and seams beside those of no tiles.

    python scripts/bench_stain_slide.py --model look.safetensors --image he.tif --json slide.json
    python scripts/bench_stain_slide.py --model look.safetensors --image he.tif --side 10000

Without --model the network is DSTGAN's of the paper's size (30 million weights), its weights
random. The slide is the image over and over, mirrored so that no edges arise; it is made on
request, and all of it counts as tissue. Each run is a process of its own: seconds of CPU and peak
memory of all that `uhrt stain-normalize` does.

Without --side: peaks at two heights, and seams. These are mean steps of colour at the borders of
the network's own grid (its period, where tiles end, too), divided by those elsewhere, at all
places, in up to 2048 px of the image: of the image, of one forward of all of it, which is the
floor, and of tiles.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
from bench import child, parser, peak_bytes, save, start, table, timed

from uhrtranslate import open_slide
from uhrtranslate.engine import GeneratorRunner
from uhrtranslate.io import VirtualSlide, open_view
from uhrtranslate.metrics.seams.measure import measure_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles
from uhrtranslate.models import GeneratorInfo, save_native
from uhrtranslate.models.swin_unet import SwinUnet
from uhrtranslate.options import TranslateOptions
from uhrtranslate.recipes.stain_generator import StainGenerator
from uhrtranslate.runs.one_image import process_slide

# Width and heights in px of the slides whose memory is measured.
WIDTH, HEIGHTS = 2048, (2048, 8192)
# The largest side of what is computed without tiles.
UNTILED = 2048
# Tiles and overlaps: the paper's, fewer, and none.
TILINGS = ((512, 256), (768, 256), (512, 0))


def part_of(image: str, side: int | None = None) -> np.ndarray:
    """An image, or its upper left `side` px, [h, w, 3] uint8."""
    with open_slide(Path(image)) as slide:
        width, height = (min(size, side or size) for size in (slide.info.width, slide.info.height))
        return np.asarray(slide.read(0, 0, width, height))


def endless(image: str, width: int, height: int) -> VirtualSlide:
    """A slide of the image over and over, every second one mirrored."""
    once = part_of(image, UNTILED)
    pixels = np.concatenate([once, once[:, ::-1]], axis=1)
    pixels = np.concatenate([pixels, pixels[::-1]])
    rows, columns = pixels.shape[:2]

    def read(x: int, y: int, w: int, h: int) -> np.ndarray:
        return pixels[(y + np.arange(h)) % rows][:, (x + np.arange(w)) % columns]

    return VirtualSlide(width, height, read)


def normalized(
    image: str, model: str, width: int, height: int, tile: int, overlap: int, precision: str
) -> dict[str, object]:
    """What a run over a slide takes, and says."""
    torch.set_num_threads(1)
    options = TranslateOptions(model=model, tile=tile, overlap=overlap, precision=precision)
    recipe = StainGenerator(options)
    with tempfile.TemporaryDirectory() as folder, timed() as row:
        done = process_slide(recipe, endless(image, width, height), Path(folder, "out.tif"))
    facts = {"tiles": done.tiles, "seams": done.seams, "mismatch": done.mismatch}
    known = {key: value for key, value in facts.items() if value is not None}
    return {**row, **known, "peak_mb": peak_bytes() / 2**20}


def seams(image: str, model: str, precision: str) -> dict[str, dict[str, float]]:
    """Ratios at the network's own grid, by way; and grey levels from the untiled run."""
    torch.set_num_threads(1)
    options = TranslateOptions(model=model, precision=precision)
    recipe = StainGenerator(options)
    period = recipe.blending.period
    pixels = part_of(image, UNTILED)
    height, width = (side // period * period for side in pixels.shape[:2])
    pixels = np.ascontiguousarray(pixels[:height, :width])

    def ratio(made: np.ndarray) -> float:
        profiles = measure_profiles(lambda x, y, w, h: made[y : y + h, x : x + w], width, height)
        return measure_seams(profiles, period).ratio

    def source(x: int, y: int, w: int, h: int) -> np.ndarray:
        return pixels[y : y + h, x : x + w]

    slide = VirtualSlide(width, height, source)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    runner = GeneratorRunner(recipe.generator, torch.device("cpu"), dtype)
    planes = recipe.inputs(open_view(slide))(pixels)
    untiled = runner.to_pixels(runner.plain(runner.to_input([planes])))[0]
    rows = {"source": {"ratio": ratio(pixels)}, "untiled": {"ratio": ratio(untiled)}}
    for tile, overlap in TILINGS:
        tiled = TranslateOptions(model=model, precision=precision, tile=tile, overlap=overlap)
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder, "out.tif")
            more = tiled.model_copy(update={"compression": "deflate"})
            process_slide(StainGenerator(more), slide, target)
            made = part_of(str(target))
        apart = np.abs(made.astype(np.int16) - untiled).mean()
        rows[f"tiles of {tile}, {overlap} shared"] = {"ratio": ratio(made), "apart": float(apart)}
    return rows


def paper_size(folder: str) -> str:
    """A file of the paper's network, with random weights that begin with the grey."""
    torch.manual_seed(0)
    network = SwinUnet().eval()
    network.start_from_grey()
    path = Path(folder, "paper-size.safetensors")
    save_native(path, network, GeneratorInfo("swin-unet", {}, inputs=("grey",), cell=256))
    return str(path)


def main() -> None:
    """Measure and print."""
    options = parser(__doc__, tile=768, overlap=256, precision="bf16")
    options.add_argument("--image", required=True, help="a stained image, all of it tissue")
    options.add_argument("--model", help="a generator that is blended")
    options.add_argument("--side", type=int, help="only time a slide of so many px square")
    given = options.parse_args()
    how = (given.tile, given.overlap, given.precision)
    with tempfile.TemporaryDirectory() as folder:
        model = given.model or paper_size(folder)
        sizes = [(given.side, given.side)] if given.side else [(WIDTH, one) for one in HEIGHTS]
        runs = {}
        for width, height in sizes:
            row = child(normalized, given.image, model, width, height, *how, threads=1)
            runs[f"{width:,} x {height:,} px"] = row | {"mp_s": width * height / 1e6 / row["cpu_s"]}
        columns = [
            ("tiles", "tiles", "7d"), ("CPU s", "cpu_s", "9.0f"), ("wall s", "wall_s", "9.0f"),
            ("MP/s", "mp_s", "7.3f"), ("peak MB", "peak_mb", "9.0f"), ("seams", "seams", "8.3f"),
            ("mismatch", "mismatch", "10.2f"),
        ]  # fmt: skip
        table(runs, 22, columns)
        found = {}
        if not given.side:
            found = child(seams, given.image, model, given.precision, threads=1)
            table(found, 26, [("ratio", "ratio", "8.3f"), ("from untiled", "apart", "14.2f")])
    save(given.json, {"options": vars(given), "runs": runs, "seams": found})


if __name__ == "__main__":
    start(main, normalized, seams)
