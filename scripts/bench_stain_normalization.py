#!/usr/bin/env python3
"""All ways to normalize stains on the same held-out slides: texture, colours, speed, a use of them.

    python scripts/bench_stain_normalization.py --data images --json normalization.json

`images` has `aperio-svs/` and `he-patches/` of public H&E slides. The target look is the left 70%
of the Aperio slide, the source the slides of `TRAINED`; what is judged are slides that nothing was
trained on (`HELD_OUT`), against the right 25% of the target. Trained methods have small networks
and the same seconds of CPU each, and the weights of their losses are those of `configs/train/`;
every result comes as from `uhrt stain-normalize`. With --json and --keep an interrupted run goes
on where it was.

Texture: SSIM, PCC and PSNR of grey before and after, as DSTGAN's paper measures, and SSIM's factor
of structure alone, which another lightness or contrast does not change. Colours of tissue
against the target: distance of means (with and without lightness, which what keeps grey cannot
change) and of standard deviations in CIE Lab, Hellinger distance of histograms of R, G, B,
Wasserstein distance of optical densities (mean of channels). A use: small networks learn to find
nuclei on the target; F1 on held-out slides, whose nuclei are known from their own haematoxylin
(Ruifrok's vectors, which no method here has for its own; Otsu), but for slides of which that does
not tell nuclei. Figures are means over slides; and over seeds, with standard deviations: of trained
methods, and for F1 also of the networks that find nuclei.
"""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from bench import parser, save, table, timed
from PIL import Image
from scipy.stats import wasserstein_distance
from skimage.color import rgb2hed, rgb2lab
from skimage.filters import gaussian, threshold_otsu
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from uhrtranslate import open_slide
from uhrtranslate.enhance import illuminance
from uhrtranslate.models import save_native
from uhrtranslate.options import StainOptions, TranslateOptions, read_config
from uhrtranslate.pixels import GLASS
from uhrtranslate.recipes.recipe import Recipe
from uhrtranslate.recipes.stain_generator import StainGenerator
from uhrtranslate.recipes.stain_network import StainNetwork, distil_normalizer, save_stainnet
from uhrtranslate.recipes.stain_normalizer import StainNormalizer
from uhrtranslate.recipes.stain_reference import find_reference
from uhrtranslate.runs.one_image import process_file
from uhrtranslate.stain.density import to_density
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.data.batches import stacked
from uhrtranslate.training.data.patches import open_patches
from uhrtranslate.training.run.learner import Learner

CONFIGS = Path(__file__).parent.parent / "configs" / "train"
TARGET = "aperio-svs/CMU-1-Small-Region.svs"
TRAINED = (
    "OS-1-detail.ome.tif", "histolab-high-nuclei-level0.png", "torchstain-source.png",
    "TCGA-AD-6964-tile-16896-20480.jpg",
)  # fmt: skip
HELD_OUT = (
    "torchstain-target.png", "torch-staintools-sample.png", "histolab-tissue-level0-a.png",
    "histolab-low-nuclei-level0.png", "TCGA-AD-6964-tile-22016-11776.jpg",
)  # fmt: skip
# Of them, those whose densest haematoxylin is not nuclei (seen by eye): muscle.
WITHOUT_NUCLEI = ("histolab-tissue-level0-a",)
CLASSICAL = ("macenko", "vahadane", "reinhard", "histogram")
LADDER = (
    "dstgan", "staingan", "saasn-like", "cagan-like", "dstgan-baseline", "dstgan-histogram",
    "dstgan-ssim", "dstgan-content", "dstgan-deep", "dstgan-paper",
)  # fmt: skip
# What makes trainings of seconds of the papers': sizes, and a rate that suits few steps.
PATCH = 64
SMALL = {
    "batch": 1, "lr": 2e-3, "ema": 0.98, "epochs": 10, "decay": 10,
    "discriminator": {"ndf": 8, "layers": 2},
}  # fmt: skip
SWIN = {"width": 16, "depths": [1, 1, 1, 1], "window": 4, "drop_path": 0}
RESNET = {"ngf": 16, "blocks": 4}
DSTGAN = {"texture_width": 8, "bins": 32}
Pixels = np.ndarray
Row = dict[str, float]
BINS = 64
FINDERS, FINDER_STEPS = 3, 150
TEXTURE = {
    "data_range": 255, "gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False,
}  # fmt: skip


def read(path: Path) -> Pixels:
    """All of an image, [h, w, 3] uint8."""
    with open_slide(path) as slide:
        return slide.read(0, 0, slide.info.width, slide.info.height)


def parts_of(target: Pixels) -> tuple[Pixels, Pixels]:
    """Of the target, [h, w, ...]: what is learned from, and what is kept back."""
    width = target.shape[1]
    return target[:, : int(0.7 * width)], target[:, int(0.75 * width) :]


def lay_out(data: Path, folder: Path) -> Pixels:
    """Write the images of `a`, `b` and `held`; give the target."""
    target = read(data / TARGET)
    whole = {
        "b/target.png": parts_of(target)[0],
        **{f"a/{Path(name).stem}.png": read(data / "he-patches" / name) for name in TRAINED},
        **{f"held/{Path(name).stem}.png": read(data / "he-patches" / name) for name in HELD_OUT},
    }
    for name, pixels in whole.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)
    return target


def tissue(pixels: Pixels) -> Pixels:
    """The colours that are no glass, [n, 3]."""
    return pixels[pixels.min(axis=2) < GLASS[0]]


class Look:
    """What the target looks like, and how far others are from it."""

    def __init__(self, pixels: Pixels) -> None:
        self.colours = tissue(pixels)[::7]
        self.lab = self._lab(self.colours)
        self.histogram = self._histogram(self.colours)
        self.density = to_density(self.colours)

    @staticmethod
    def _lab(colours: Pixels) -> tuple[Pixels, Pixels]:
        lab = rgb2lab(colours[None] / 255)[0]
        return lab.mean(axis=0), lab.std(axis=0)

    @staticmethod
    def _histogram(colours: Pixels) -> Pixels:
        counts = [np.histogram(colours[:, c], BINS, (0, 256))[0] for c in range(3)]
        return np.array(counts) / len(colours)

    def distances(self, before: Pixels, after: Pixels) -> Row:
        """Of what was tissue before, in its colours after."""
        colours = after[before.min(axis=2) < GLASS[0]][::7]
        (mean, std), (mean_t, std_t) = self._lab(colours), self.lab
        roots = np.sqrt(self._histogram(colours)) - np.sqrt(self.histogram)
        density = to_density(colours)
        apart = [wasserstein_distance(density[:, c], self.density[:, c]) for c in range(3)]
        return {
            "lab_mean": float(np.linalg.norm(mean - mean_t)),
            "ab": float(np.linalg.norm((mean - mean_t)[1:])),
            "lab_std": float(np.linalg.norm(std - std_t)),
            "hellinger": float(np.sqrt((roots**2).sum(axis=1) / 2).mean()),
            "wasserstein": float(np.mean(apart)),
        }


def texture(before: Pixels, after: Pixels) -> Row:
    """SSIM, its structure, PCC and PSNR of grey."""
    x, y = (illuminance(image).astype(float) for image in (before, after))
    mean_x, mean_y, xx, yy, xy = (gaussian(z, 1.5) for z in (x, y, x * x, y * y, x * y))
    spread = np.sqrt(np.maximum((xx - mean_x**2) * (yy - mean_y**2), 0))
    least = (0.03 * 255) ** 2 / 2  # C3 of Wang 2004
    return {
        "structure": float(((xy - mean_x * mean_y + least) / (spread + least)).mean()),
        "ssim": float(structural_similarity(x, y, **TEXTURE)),
        "pcc": float(np.corrcoef(x.ravel(), y.ravel())[0, 1]),
        "psnr": float(peak_signal_noise_ratio(x, y, data_range=255)),
    }


# The use: finding nuclei.


def nuclei(pixels: Pixels) -> Pixels:
    """Where a slide's own haematoxylin is dense, [h, w] bool."""
    smooth = gaussian(rgb2hed(pixels)[..., 0], 1)
    return smooth > threshold_otsu(smooth[pixels.min(axis=2) < GLASS[0]])


def as_input(pixels: Pixels) -> torch.Tensor:
    """[h, w, 3] uint8 to [1, 3, h, w] in -1..1."""
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1


def train_finder(pixels: Pixels, truth: Pixels, seed: int) -> Callable[[Pixels], Pixels]:
    """A small network that finds nuclei in the target's look."""
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for channels, dilation in ((3, 1), (12, 1), (12, 2), (12, 2)):
        layers += [nn.Conv2d(channels, 12, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Conv2d(12, 1, 1))
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(FINDER_STEPS):
        y, x = (int(random.integers(0, side - 96)) for side in pixels.shape[:2])
        part = np.s_[y : y + 96, x : x + 96]
        goal = torch.from_numpy(truth[part].copy())[None, None].float()
        loss = F.binary_cross_entropy_with_logits(network(as_input(pixels[part])), goal)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    def find(image: Pixels) -> Pixels:
        with torch.inference_mode():
            return (network(as_input(image))[0, 0] > 0).numpy()

    return find


def f1(found: Pixels, truth: Pixels) -> float:
    """Twice the overlap over the sum."""
    return float(2 * (found & truth).sum() / max(found.sum() + truth.sum(), 1))


# The ways.


def trained(name: str, folder: Path, seed: int, seconds: float, target: Path) -> None:
    """Train what a configuration says, small, for so many seconds of CPU; print the steps."""
    values = read_config(CONFIGS / f"{name}.yaml")
    generator = values["generator"]
    small = SWIN if generator.get("architecture") == "swin-unet" else RESNET
    kept = {k: v for k, v in generator.items() if k in ("architecture", "inputs", "deep")}
    data = {"a": str(folder / "a"), "b": str(folder / "b"), "patch": PATCH, "rotate": True}
    values |= SMALL | {"seed": seed, "data": data, "generator": kept | small}
    values |= DSTGAN if values["method"] == "dstgan" else {}
    options = make_train_options(values)
    learner = Learner(options, torch.device("cpu"))
    patches = open_patches(options.data, False, seed, options.generator.inputs)
    if patches.histograms:
        learner.method.know(patches.histograms)
    epochs, step = options.epochs + options.decay, 0
    began = time.process_time()
    while (spent := time.process_time() - began) < seconds:
        samples = stacked([patches.sample(step)])
        learner.step(samples, min(int(epochs * spent / seconds), epochs - 1))
        step += 1
    patches.close()
    info = learner.method.generator_info("A2B", None)
    if patches.histograms:
        counts = patches.histograms["B"].narrowed().counts
        info = replace(info, histogram=tuple(counts.tolist()))
    save_native(target, learner.exports()["A2B"].eval(), info)
    print(f"{name}, seed {seed}: {step} steps", flush=True)


def judge(recipe, folder: Path, look: Look, finders: list[Callable[[Pixels], Pixels]]) -> list[Row]:
    """Means over the held-out slides of what a recipe makes of them; None: of the slides.

    Returns: a row for each finder of nuclei.
    """
    rows, cpu, area = [], 0.0, 0
    scores: list[list[float]] = []
    for path in sorted((folder / "held").iterdir()):
        before = np.asarray(Image.open(path))
        after = before
        if recipe is not None:
            with timed() as spent:
                process_file(recipe, path, folder / "out.png")
            cpu, area = cpu + spent["cpu_s"], area + before.shape[0] * before.shape[1]
            after = np.asarray(Image.open(folder / "out.png"))
        row = texture(before, after) if recipe is not None else {}
        rows.append(row | look.distances(before, after))
        if path.stem not in WITHOUT_NUCLEI:
            truth = nuclei(before)
            scores.append([f1(find(after), truth) for find in finders])
    found = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
    found |= {"mp_s": area / 1e6 / cpu} if cpu else {}
    return [found | {"f1": float(score)} for score in np.mean(scores, axis=0)]


COLUMNS = [
    ("SSIM", "ssim", "7.3f"), ("struct.", "structure", "8.3f"), ("PCC", "pcc", "7.3f"),
    ("PSNR", "psnr", "7.2f"),
    ("Lab mean", "lab_mean", "10.2f"), ("a,b mean", "ab", "10.2f"), ("Lab std", "lab_std", "9.2f"),
    ("Hellinger", "hellinger", "11.3f"), ("Wasserst.", "wasserstein", "11.4f"),
    ("F1", "f1", "7.3f"), ("MP/s", "mp_s", "7.2f"),
]  # fmt: skip


def averaged(rows: list[Row]) -> Row:
    """The mean of each figure, and its standard deviation under `figure_std`."""
    made: Row = {}
    for key in rows[0]:
        values = [row[key] for row in rows]
        made[key] = float(np.mean(values))
        made[f"{key}_std"] = float(np.std(values))
    return made


def normalizers(
    folder: Path, only: list[str], keep: Path, seeds: int, seconds: float
) -> Iterator[tuple[str, int, Callable[[], Recipe | None]]]:
    """The ways by name and seed, the cheap ones first, and what makes their recipes."""
    reference = str(folder / "b")
    yield "none", 0, lambda: None

    def classical(method: str) -> Recipe:
        how = StainOptions(method=method, overwrite=True)
        return StainNormalizer(how, find_reference(reference, [], how))

    def stainnet() -> Recipe:
        how, first = StainOptions(method="macenko"), sorted((folder / "a").iterdir())[0]
        weights = folder / "stainnet.safetensors"
        save_stainnet(weights, distil_normalizer(first, find_reference(reference, [], how), how))
        how = StainOptions(method="stainnet", model=str(weights), overwrite=True)
        return StainNetwork(how, weights)

    def generator(way: str, seed: int) -> Recipe:
        weights = keep / f"{way}-{seed}.safetensors"
        if not weights.exists():
            weights.parent.mkdir(exist_ok=True)
            trained(way, folder, seed, seconds, weights)
        return StainGenerator(TranslateOptions(model=str(weights), overwrite=True))

    for method in CLASSICAL:
        yield method, 0, partial(classical, method)
    yield "stainnet", 0, stainnet
    for seed in range(seeds):
        for way in only:
            yield way, seed, partial(generator, way, seed)


def main() -> None:
    """Measure, and print after each way."""
    options = parser(__doc__, seconds=(30.0, "of CPU for each training"), seeds=3)
    options.add_argument("--data", type=Path, required=True, help="folder of public slides")
    options.add_argument("--only", nargs="*", default=LADDER, help="trained ways; all by default")
    options.add_argument("--keep", type=Path, help="folder of generators; none is trained twice")
    args = options.parse_args()
    torch.set_num_threads(1)
    report = json.loads(args.json.read_text()) if args.json and args.json.exists() else {}
    done: dict[str, list[Row]] = report.get("rows", {})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = lay_out(args.data, folder)
        (learned, kept), (truth, rest) = parts_of(target), parts_of(nuclei(target))
        look = Look(kept)
        finders = [train_finder(learned, truth, seed) for seed in range(FINDERS)]
        own = float(np.mean([f1(find(kept), rest) for find in finders]))
        print(f"nuclei of the target itself, kept back: F1 {own:.3f}")
        ways = normalizers(folder, args.only, args.keep or folder, args.seeds, args.seconds)
        for way, seed, make in ways:
            rows = done.setdefault(way, [])
            if len(rows) <= seed * FINDERS:
                rows += judge(make(), folder, look, finders)
                print(f"{way}, seed {seed}: {json.dumps(rows[-1])}", flush=True)
                save(args.json, {"own_f1": own, "seconds": args.seconds, "rows": done})
    print(f"{args.seconds:g} s of CPU for each training")
    averages = {way: averaged(rows) for way, rows in done.items()}
    table(averages, 18, COLUMNS)
    table(averages, 18, [(head, f"{key}_std", form) for head, key, form in COLUMNS])


if __name__ == "__main__":
    main()
