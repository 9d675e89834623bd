#!/usr/bin/env python3
"""pix2pix beside pyramid pix2pix on real pairs, and beside copying the input: a table.

    python scripts/compare_paired.py --data images --out /tmp/paired --steps 600

Each pair of images is parted: the left 70% are for training, the right 25% for judging, a strip
between them for neither. Both methods get the same networks, patches, seed and number of steps;
only the losses differ. Results are translated by `uhrt translate` (dense normalization). PSNR and
SSIM are those of scikit-image on uint8 RGB, data range 255.
"""

import argparse
import shutil
import time
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from uhrtranslate import open_slide, translate
from uhrtranslate.tasks.train import train
from uhrtranslate.training.configuration import make_train_options

PATCH = 128
METHODS = ("pix2pix", "pyramid-pix2pix")
NETWORKS = {
    "generator": {
        "architecture": "resnet", "ngf": 16, "blocks": 4,
        "norm": "instance", "dropout": False,
    },
    "discriminator": {"ndf": 16, "norm": "instance"},
}  # fmt: skip


def scanners(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """One Ki-67 section on two scanners, Olympus to Hamamatsu, [h, w, 3] uint8 each."""
    a, b = (
        tifffile.imread(data / "scanner-pair-ki67" / f"OS-2-{name}.ome.tif")[..., :3]
        for name in ("vsi", "ndpi")
    )
    size = a.shape[1::-1]
    return a, np.asarray(Image.fromarray(b).resize(size, Image.Resampling.LANCZOS))


def channels(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Two fluorescence channels of one section, DAPI to TRITC, at half of the resolution."""
    images = []
    for name in ("DAPI-387", "TRITC-560"):
        with open_slide(data / "hamamatsu-ndpi" / f"test3-{name}.ndpi") as slide:
            level = slide.info.levels[1]
            images.append(slide.read(0, 0, level.width, level.height, 1))
    return images[0], images[1]


def sections(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Two neighbouring sections, registered without bending: other cells, the same tissue."""
    folder = data / "serial-sections"
    names = ("rigid_1_ihc_1", "rigid_2_ihc_3")
    a, b = (np.asarray(Image.open(folder / f"{name}.png").convert("RGB")) for name in names)
    return a, b


def bent(image: np.ndarray, px: float, seed: int = 0, typical: bool = False) -> np.ndarray:
    """An image bent smoothly, by up to `px` along each axis, or by a distance of RMS `px`."""
    random = np.random.default_rng(seed)
    fields = [ndimage.gaussian_filter(random.normal(size=image.shape[:2]), 40) for _ in "yx"]
    sizes = [np.sqrt(2 * (f**2).mean()) if typical else np.abs(f).max() for f in fields]
    fields = [field / size * px for field, size in zip(fields, sizes, strict=True)]
    grid = np.meshgrid(*(np.arange(n) for n in image.shape[:2]), indexing="ij")
    places = [g + field for g, field in zip(grid, fields, strict=True)]
    parts = [
        ndimage.map_coordinates(image[..., c], places, order=1, mode="nearest") for c in range(3)
    ]
    return np.stack(parts, -1)


def prepare(out: Path, a: np.ndarray, b: np.ndarray, trained: np.ndarray) -> None:
    """Write what is trained on, and what is judged on."""
    width = a.shape[1]
    for part, columns in (
        ("train", slice(0, int(0.7 * width))),
        ("test", slice(-width // 4, None)),
    ):
        for name, image in (("a", a), ("b", trained if part == "train" else b)):
            (out / part / name).mkdir(parents=True)
            Image.fromarray(image[:, columns]).save(out / part / name / "0.png")


def judge(result: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """PSNR and SSIM."""
    return (
        peak_signal_noise_ratio(target, result, data_range=255),
        structural_similarity(target, result, data_range=255, channel_axis=2),
    )


def run(out: Path, method: str, steps: int, seed: int) -> np.ndarray:
    """Train, and translate what is judged on."""
    options = make_train_options(
        {
            **NETWORKS,
            "method": method,
            "data": {
                "a": str(out / "train" / "a"), "b": str(out / "train" / "b"), "patch": PATCH,
                "rotate": True, "tissue": 0.05, "epoch": max(steps // 20, 1), "workers": 2,
            },
            "batch": 1, "epochs": 10, "decay": 10, "checkpoint": 20, "samples": 5, "seed": seed,
        }
    )  # fmt: skip
    folder = out / f"{method}-{seed}"
    train(options, folder)
    target = folder / "test.png"
    translate(out / "test" / "a" / "0.png", target, model=str(folder / "A2B.safetensors"))
    return np.asarray(Image.open(target).convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="removed first")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    a, b = scanners(given.data)
    pairs = {
        "scanners": (a, b, b),
        "scanners, bent 6 px": (a, b, bent(b, 6)),
        "DAPI to TRITC": (*(both := channels(given.data)), both[1]),
        "serial sections": (*(both := sections(given.data)), both[1]),
    }
    print("| pair | what | PSNR | SSIM | s |\n|---|---|---|---|---|", flush=True)
    for name, (source, target, trained) in pairs.items():
        folder = given.out / name.replace(",", "").replace(" ", "-")
        prepare(folder, source, target, trained)
        x, y = (
            np.asarray(Image.open(folder / "test" / side / "0.png").convert("RGB")) for side in "ab"
        )
        print(
            "| {} | copy of the input | {:.2f} | {:.3f} | |".format(name, *judge(x, y)), flush=True
        )
        shown = [x, y]
        for method in METHODS:
            scores, began = [], time.monotonic()
            for seed in range(given.seeds):
                result = run(folder, method, given.steps, seed)
                scores.append(judge(result, y))
            shown.append(result)
            psnr, ssim = np.mean(scores, axis=0)
            seconds = (time.monotonic() - began) / given.seeds
            print(f"| {name} | {method} | {psnr:.2f} | {ssim:.3f} | {seconds:.0f} |", flush=True)
        side = min(400, *x.shape[:2])
        Image.fromarray(np.hstack([one[:side, :side] for one in shown])).save(folder / "shown.png")


if __name__ == "__main__":
    main()
