#!/usr/bin/env python3
"""Digital staining against what is true: the experiment of Xu et al., Table VI, in small.

    python scripts/bench_digital_staining.py --stained he.tif --dark dark.jpg --out /tmp/staining

Dark fields are made of a stained image by inverse matching (equation 1) to real ones. The left 65%
are for training, the right 30% for judging, a strip between them for neither. Unpaired methods get
dark fields of the upper half and stained images of the lower one; paired methods get pairs, one of
which is bent smoothly by `--off` px. Each row is judged by PSNR, SSIM (scikit-image, RGB), LPIPS if
weights are given, by the raster that transposed convolutions leave, and by classifiers: small
networks that learned from stained patches to tell those with many nuclei (haematoxylin of the true
stain) from those with few.
"""

import argparse
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from compare_paired import bent
from PIL import Image
from skimage.color import rgb2hed
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from uhrtranslate import open_slide, translate
from uhrtranslate.enhance import Tally, illuminance, match
from uhrtranslate.extractors.lpips import Lpips
from uhrtranslate.tasks.train import train
from uhrtranslate.training.configuration import make_train_options

PATCH, VIEW, CLASSIFIERS = 64, 32, 3
# px of the patches in which LPIPS compares, as of the paper's pictures.
PICTURE = 256
UNPAIRED, PAIRED = "digital-staining", "digital-staining-paired"
# Rows: the method, and what differs from the paper's weights.
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "unpaired": (UNPAIRED, {}),
    "unpaired, no distillation": (UNPAIRED, {"distillation": 0}),
    "unpaired, no cycle": (UNPAIRED, {"cycle": 0}),
    "unpaired, no enhancement": (UNPAIRED, {"generator": {"inputs": ["rgb", "grey"]}}),
    "unpaired, z-score": (UNPAIRED, {"generator": {"inputs": ["rgb", "standardised"]}}),
    "unpaired, linear start": (UNPAIRED, {"generator": {"init_up": "linear"}}),
    "cut": ("cut", {"layers": [0, 4, 7, 10], "patches": 64, "width": 64}),
    "paired": (PAIRED, {}),
    "paired, no distillation": (PAIRED, {"distillation": 0}),
    "paired, no cycle": (PAIRED, {"cycle": 0}),
    "paired, no content": (PAIRED, {"content": 0}),
    "paired, no alignment": (PAIRED, {"align": False}),
    "paired, no smoothness": (PAIRED, {"smoothness": 0}),
    "paired, no enhancement": (PAIRED, {"generator": {"inputs": ["rgb", "grey"]}}),
    "paired, z-score": (PAIRED, {"generator": {"inputs": ["rgb", "standardised"]}}),
    "pix2pix": ("pix2pix", {}),
    "pix2pix of planes": ("pix2pix", {"generator": {"inputs": ["rgb", "enhanced"]}}),
}


def read(path: Path) -> np.ndarray:
    """An image, [h, w, 3] uint8."""
    with open_slide(path) as slide:
        return np.asarray(slide.read(0, 0, slide.info.width, slide.info.height, 0))


def as_dark_field(stained: np.ndarray, dark: list[np.ndarray]) -> np.ndarray:
    """The dark field of a stained image, with the levels of real ones."""
    levels = sum((Tally.of(one) for one in dark), Tally.nothing())
    table = np.rint(match(Tally.of(stained), levels, invert=True)).astype(np.uint8)
    return np.repeat(table[illuminance(stained)][..., None], 3, axis=2)


def prepare(out: Path, stained: np.ndarray, dark: np.ndarray, off: float) -> None:
    """Write what is trained on, pairs `off` px off, and what is judged on."""
    h, width = stained.shape[:2]
    left, right, half = slice(0, int(0.65 * width)), slice(-int(0.3 * width), None), h // 2
    parts = {
        "test": (dark[:, right], stained[:, right]),
        "unpaired": (dark[:half, left], stained[half:, left]),
        "paired": (dark[:, left], bent(stained[:, left], off, typical=True)),
    }
    for part, both in parts.items():
        for name, pixels in zip("ab", both, strict=True):
            (out / part / name).mkdir(parents=True)
            Image.fromarray(pixels).save(out / part / name / "0.png")


def options(out: Path, name: str, steps: int, seed: int) -> dict[str, Any]:
    """Small networks, a sharp rate, and the losses of the paper."""
    method, more = RUNS[name]
    place = out / ("unpaired" if method in (UNPAIRED, "cut") else "paired")
    epoch = max(steps // 20, 1)
    generator = {
        "architecture": "resnet", "ngf": 8, "blocks": 3, "norm": "instance", "dropout": False,
        "antialias": False,
    }  # fmt: skip
    chosen = {
        "method": method,
        "data": {
            "a": str(place / "a"), "b": str(place / "b"), "patch": PATCH, "tissue": 0,
            "rotate": True, "epoch": epoch, "workers": 1,
        },
        "discriminator": {"ndf": 16, "layers": 2, "norm": "instance", "antialias": False},
        "lr": 1e-3, "epochs": 10, "decay": 10, "checkpoint": 20, "samples": 20, "seed": seed,
        "device": "cpu",
    } | more  # fmt: skip
    if method in (UNPAIRED, PAIRED):
        chosen["teacher"] = {"ngf": 8, "epochs": 5, "decay": 5, "lr": 1e-3}
    if method == PAIRED:
        chosen["registration"] = {"width": 8}
    return chosen | {"generator": {**generator, **more.get("generator", {})}}


def run(out: Path, name: str, steps: int, seed: int) -> dict[str, Path]:
    """Train, and stain the part for judging by each generator; what is there is not done again."""
    folder = out / f"{name.replace(',', '').replace(' ', '-')}-{steps}-{seed}"
    done = folder / "stained"
    if not done.is_dir():
        shutil.rmtree(folder, ignore_errors=True)
        made = train(make_train_options(options(out, name, steps, seed)), folder)
        begun = folder / "begun"
        for direction, model in made.generators.items():
            translate(out / "test" / "a" / "0.png", begun / f"{direction}.png", model=str(model))
        begun.rename(done)
    return {one.stem: one for one in sorted(done.glob("*.png"))}


class Classifier:
    """Tells patches with many nuclei from those with few; learns from stained patches."""

    def __init__(self, stained: np.ndarray, seed: int, steps: int = 300) -> None:
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for c, wide in ((3, 16), (16, 32), (32, 32)):
            layers += [nn.Conv2d(c, wide, 3, 2, 1), nn.BatchNorm2d(wide), nn.ReLU()]
        self.network = nn.Sequential(
            *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2)
        )
        nuclei = self._nuclei(stained, VIEW // 2)
        self.limits = np.quantile(nuclei, [1 / 3, 2 / 3])
        x, y, _ = self._patches(stained, stained, VIEW // 2)
        optimiser = torch.optim.Adam(self.network.parameters(), 1e-3)
        for _ in range(steps):
            some = torch.randint(len(x), (32,))
            loss = F.cross_entropy(self.network(x[some]), y[some])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        self.network.eval()

    def accuracy(self, pixels: np.ndarray, truth: np.ndarray) -> float:
        """Share of patches of a picture whose class is that of the truth."""
        x, y, _ = self._patches(pixels, truth, VIEW)
        with torch.no_grad():
            return float((self.network(x).argmax(1) == y).float().mean())

    def _patches(
        self, pixels: np.ndarray, truth: np.ndarray, step: int
    ) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
        nuclei = self._nuclei(truth, step)
        clear = (nuclei < self.limits[0]) | (nuclei > self.limits[1])
        patches = _cut(pixels, step)[clear]
        x = torch.from_numpy(patches).permute(0, 3, 1, 2).float() / 127.5 - 1
        return x, torch.from_numpy(nuclei[clear] > self.limits[1]).long(), clear

    @staticmethod
    def _nuclei(stained: np.ndarray, step: int) -> np.ndarray:
        return np.array([rgb2hed(one)[..., 0].mean() for one in _cut(stained, step)])


def _cut(pixels: np.ndarray, step: int, side: int = VIEW) -> np.ndarray:
    h, w = pixels.shape[:2]
    places = [(y, x) for y in range(0, h - side + 1, step) for x in range(0, w - side + 1, step)]
    return np.stack([pixels[y : y + side, x : x + side] for y, x in places])


def raster(pixels: np.ndarray) -> float:
    """Power of structures that repeat after 2 px along an axis, as a multiple of those near it."""
    parts = _cut(pixels, VIEW).mean(-1)
    window = np.hanning(VIEW + 1)[:-1]
    parts = (parts - parts.mean((1, 2), keepdims=True)) * np.outer(window, window)
    power = (np.abs(np.fft.fft2(parts)) ** 2).mean(0)
    line = (power + power.T)[[0, 1, -1]].sum(0)  # hardly any change along the other axis
    half = VIEW // 2
    return float(line[half] / line[[half - 4, half - 3]].mean())


class Judge:
    """Measures results against the truth, and prints a line for each."""

    def __init__(
        self, truth: np.ndarray, classifiers: list[Classifier], lpips: Lpips | None
    ) -> None:
        self.truth, self.classifiers, self.lpips = truth, classifiers, lpips

    def measure(self, result: np.ndarray) -> list[float]:
        """PSNR, SSIM, LPIPS (NaN without weights), mean accuracy, raster."""
        truth = self.truth
        distance = float("nan")
        if self.lpips is not None:
            pair = (_cut(one, PICTURE, PICTURE) for one in (result, truth))
            distance = float(np.mean(self.lpips.distance(*pair)))
        return [
            peak_signal_noise_ratio(truth, result, data_range=255),
            structural_similarity(truth, result, data_range=255, channel_axis=2),
            distance,
            float(np.mean([one.accuracy(result, truth) for one in self.classifiers])),
            raster(result),
        ]

    def show(self, name: str, results: list[np.ndarray], seconds: float = 0) -> None:
        """Means and greatest deviations from them over seeds."""
        found = np.array([self.measure(one) for one in results])
        mean, off = found.mean(0), np.abs(found - found.mean(0)).max(0)
        cells = [
            ("" if np.isnan(m) else f"{m:.{d}f}") + (f" ± {o:.{d}f}" if o > 0 else "")
            for m, o, d in zip(mean, off, (2, 3, 3, 3, 1), strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stained", type=Path, required=True, help="one stained image")
    parser.add_argument("--dark", type=Path, nargs="+", required=True, help="real dark fields")
    parser.add_argument("--out", type=Path, required=True, help="nets there are kept")
    parser.add_argument("--rows", nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--steps", type=int, default=600, help="of each student")
    parser.add_argument("--off", type=float, default=4, help="RMS distance of paired pixels, px")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--lpips",
        type=Path,
        nargs=2,
        metavar=("BACKBONE", "HEADS"),
        help="weights of LPIPS, such as alexnet-owt-7be5be79.pth and alex.pth of version 0.1",
    )
    given = parser.parse_args()
    stained = read(given.stained)
    if not (given.out / "paired").is_dir():
        dark = as_dark_field(stained, [read(one) for one in given.dark])
        prepare(given.out, stained, dark, given.off)
    x, y = (read(given.out / "test" / side / "0.png") for side in "ab")
    lpips = Lpips(*given.lpips) if given.lpips else None
    learned = stained[:, : int(0.65 * stained.shape[1])]
    judge = Judge(y, [Classifier(learned, seed) for seed in range(CLASSIFIERS)], lpips)
    print("| what | PSNR | SSIM | LPIPS | accuracy | raster | s |\n|---|---|---|---|---|---|---|")
    judge.show("unstained", [x])
    table = match(Tally.of(x), Tally.of(learned), invert=True)
    judge.show("enhanced", [np.repeat(np.rint(table).astype(np.uint8)[x[..., :1]], 3, axis=2)])
    teachers, shown = [], [x]
    for name in given.rows:
        results, began = [], time.monotonic()
        for seed in range(given.seeds):
            made = run(given.out, name, given.steps, seed)
            results.append(read(made["A2B"]))
            if name == "unpaired":
                teachers.append(read(made["teacher"]))
        if teachers:
            judge.show("teacher by itself", teachers)
            shown, teachers = [*shown, teachers[0]], []
        judge.show(name, results, (time.monotonic() - began) / given.seeds)
        if name in ("unpaired", "paired", "pix2pix"):
            shown.append(results[0])
    judge.show("stained", [y])
    side = min(256, *x.shape[:2])
    Image.fromarray(np.hstack([one[:side, :side] for one in [*shown, y]])).save(
        given.out / "shown.png"
    )


if __name__ == "__main__":
    main()
