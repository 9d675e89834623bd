#!/usr/bin/env python3
"""Digital staining against what is true: the experiment of Xu et al., Table VI, in small.

    python scripts/bench_digital_staining.py --stained he.tif --dark dark.jpg --out /tmp/staining

Dark fields are made of a stained image by inverse matching (equation 1) to real ones. The left 65%
are for training, the right 30% for judging, a strip between them for neither. Unpaired methods get
dark fields of the upper half and stained images of the lower one; paired methods get pairs, one of
which is bent by up to 4 px. Each row is judged by PSNR and SSIM (scikit-image, RGB), by LPIPS if
weights are given, and by a classifier: a small network that learned from stained patches to tell
those with many nuclei (haematoxylin of the true stain) from those with few.
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

PATCH, VIEW = 64, 32
UNPAIRED, PAIRED = "digital-staining", "digital-staining-paired"
# Rows: the method, and what differs from the paper's weights.
RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "unpaired": (UNPAIRED, {}),
    "unpaired, no distillation": (UNPAIRED, {"distillation": 0}),
    "unpaired, no cycle": (UNPAIRED, {"cycle": 0}),
    "unpaired, no enhancement": (UNPAIRED, {"generator": {"inputs": ["rgb", "grey"]}}),
    "unpaired, z-score": (UNPAIRED, {"generator": {"inputs": ["rgb", "standardised"]}}),
    "cut": ("cut", {"layers": [0, 4, 7, 10], "patches": 64, "width": 64}),
    "paired": (PAIRED, {}),
    "paired, no distillation": (PAIRED, {"distillation": 0}),
    "paired, no cycle": (PAIRED, {"cycle": 0}),
    "paired, no content": (PAIRED, {"content": 0}),
    "paired, no alignment": (PAIRED, {"align": False}),
    "paired, no smoothness": (PAIRED, {"smoothness": 0}),
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


def prepare(out: Path, stained: np.ndarray, dark: np.ndarray) -> None:
    """Write what is trained on, and what is judged on."""
    h, width = stained.shape[:2]
    left, right, half = slice(0, int(0.65 * width)), slice(-int(0.3 * width), None), h // 2
    parts = {
        "test": (dark[:, right], stained[:, right]),
        "unpaired": (dark[:half, left], stained[half:, left]),
        "paired": (dark[:, left], bent(stained[:, left], 4)),
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


def stain(out: Path, model: Path) -> np.ndarray:
    """What a generator makes of the part for judging."""
    target = model.with_suffix(".png")
    translate(out / "test" / "a" / "0.png", target, model=str(model))
    return read(target)


class Classifier:
    """Tells patches with many nuclei from those with few; learns from stained patches."""

    def __init__(self, stained: np.ndarray, steps: int = 300) -> None:
        layers: list[nn.Module] = []
        for c, wide in ((3, 16), (16, 32), (32, 32)):
            layers += [nn.Conv2d(c, wide, 3, 2, 1), nn.BatchNorm2d(wide), nn.ReLU()]
        torch.manual_seed(0)
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


def _cut(pixels: np.ndarray, step: int) -> np.ndarray:
    h, w = pixels.shape[:2]
    places = [(y, x) for y in range(0, h - VIEW + 1, step) for x in range(0, w - VIEW + 1, step)]
    return np.stack([pixels[y : y + VIEW, x : x + VIEW] for y, x in places])


class Judge:
    """Measures results against the truth, and prints a line for each."""

    def __init__(self, truth: np.ndarray, classifier: Classifier, lpips: Lpips | None) -> None:
        self.truth, self.classifier, self.lpips = truth, classifier, lpips

    def measure(self, result: np.ndarray) -> list[float]:
        """PSNR, SSIM, LPIPS (NaN without weights), accuracy."""
        truth = self.truth
        distance = float("nan")
        if self.lpips is not None:
            distance = float(np.mean(self.lpips.distance(_cut(result, VIEW), _cut(truth, VIEW))))
        return [
            peak_signal_noise_ratio(truth, result, data_range=255),
            structural_similarity(truth, result, data_range=255, channel_axis=2),
            distance,
            self.classifier.accuracy(result, truth),
        ]

    def show(self, name: str, results: list[np.ndarray], seconds: float = 0) -> None:
        """Means and greatest deviations from them over seeds."""
        found = np.array([self.measure(one) for one in results])
        mean, off = found.mean(0), np.abs(found - found.mean(0)).max(0)
        cells = [
            f"{m:.{d}f}" + (f" ± {o:.{d}f}" if len(found) > 1 else "")
            for m, o, d in zip(mean, off, (2, 3, 3, 3), strict=True)
        ]
        print(f"| {name} | {' | '.join(cells)} | {seconds:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stained", type=Path, required=True, help="one stained image")
    parser.add_argument("--dark", type=Path, nargs="+", required=True, help="real dark fields")
    parser.add_argument("--out", type=Path, required=True, help="removed first")
    parser.add_argument("--rows", nargs="+", default=list(RUNS), choices=list(RUNS))
    parser.add_argument("--steps", type=int, default=600, help="of each student")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--lpips", type=Path, nargs=2, metavar=("BACKBONE", "HEADS"))
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    stained = read(given.stained)
    prepare(given.out, stained, as_dark_field(stained, [read(one) for one in given.dark]))
    x, y = (read(given.out / "test" / side / "0.png") for side in "ab")
    lpips = Lpips(*given.lpips) if given.lpips else None
    judge = Judge(y, Classifier(stained[:, : int(0.65 * stained.shape[1])]), lpips)
    print("| what | PSNR | SSIM | LPIPS | accuracy | s |\n|---|---|---|---|---|---|", flush=True)
    judge.show("unstained", [x])
    table = match(Tally.of(x), Tally.of(stained[:, : int(0.65 * stained.shape[1])]), invert=True)
    judge.show("enhanced", [np.repeat(np.rint(table).astype(np.uint8)[x[..., :1]], 3, axis=2)])
    teachers, shown = [], [x]
    for name in given.rows:
        results, began = [], time.monotonic()
        for seed in range(given.seeds):
            run = given.out / f"{name.replace(',', '').replace(' ', '-')}-{seed}"
            made = train(make_train_options(options(given.out, name, given.steps, seed)), run)
            results.append(stain(given.out, Path(made.generators["A2B"])))
            if name == "unpaired":
                teachers.append(stain(given.out, Path(made.generators["teacher"])))
        if teachers:
            judge.show("teacher by itself", teachers)
            shown, teachers = [*shown, teachers[0]], []
        judge.show(name, results, (time.monotonic() - began) / given.seeds)
        if name in ("unpaired", "paired", "pix2pix"):
            shown.append(results[0])
    print(f"| stained | | | | {judge.classifier.accuracy(y, y):.3f} | |", flush=True)
    side = min(256, *x.shape[:2])
    Image.fromarray(np.hstack([one[:side, :side] for one in [*shown, y]])).save(
        given.out / "shown.png"
    )


if __name__ == "__main__":
    main()
