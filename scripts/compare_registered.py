#!/usr/bin/env python3
"""pix2pix on patches of one section on two scanners, cut before and after registration: a table.

    python scripts/compare_registered.py --data images/scanner-pair-ki67 --out /tmp/registered

Patches of the left half are for training, the right half is for judging. Before registration both
slides lie corner on corner at their mpp; after it, as `uhrt register` found (or as in
--transform). Both trainings get the same networks, options, seeds and steps, and are judged on the
registered right half, in true pixels: PSNR and SSIM of scikit-image on uint8 RGB.
"""

import argparse
import csv
import dataclasses
import shutil
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from uhrtranslate import open_slide, translate
from uhrtranslate.options import PairTileOptions
from uhrtranslate.recipes.aligned import open_aligned
from uhrtranslate.recipes.transform_file import read_transform, write_transform
from uhrtranslate.runs.pairs import Pair
from uhrtranslate.tasks.pair_tiles import cut_pairs
from uhrtranslate.tasks.register import RegisterOptions, lying, register
from uhrtranslate.tasks.train import train
from uhrtranslate.training.configuration import make_train_options

# Olympus to Hamamatsu.
SCANS = ("OS-2-vsi.ome.tif", "OS-2-ndpi.ome.tif")
TILE, PATCH = 128, 96
NETWORKS = {
    "generator": {"architecture": "resnet", "ngf": 12, "blocks": 3},
    "discriminator": {"ndf": 12, "layers": 2},
}


def transforms(slides: list[Path], out: Path, given: Path | None) -> dict[str, Path]:
    """Files of both transforms."""
    before, after = out / "before.json", given or out / "after.json"
    with open_slide(slides[0]) as moving, open_slide(slides[1]) as fixed:
        write_transform(before, dataclasses.replace(lying(moving.info, fixed.info)))
    if given is None:
        register(slides[0], slides[1], after, RegisterOptions(engine="none"))
    return {"before": before, "after": after}


def cut(slides: list[Path], transform: Path, folder: Path) -> int:
    """Cut the pair, and leave the left half's patches in the table; returns how many."""
    pair = Pair("pair", slides[0], slides[1], transform)
    cut_pairs([pair], folder, PairTileOptions(size=TILE, ncc=-1))
    with open_slide(slides[1]) as fixed:
        half = fixed.info.width // 2
    table = folder / "tiles.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    left = [row for row in rows if row["file"] and int(row["x0"]) + int(row["w0"]) <= half]
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(left)
    return len(left) // 2


def held_out(slides: list[Path], transform: Path) -> tuple[np.ndarray, np.ndarray]:
    """The registered right half of both, without what the moving slide does not cover."""
    found = read_transform(transform)
    with open_aligned(slides[0], slides[1], found, str(transform)) as aligned:
        view = aligned.frame_view
        x, margin = view.width // 2, view.width // 20
        box = x, margin, view.width - x - margin, view.height - 2 * margin
        one, other = (view.read(*box) for view in aligned.views)
    return one, other


def judge(result: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """PSNR and SSIM."""
    return (
        peak_signal_noise_ratio(target, result, data_range=255),
        structural_similarity(target, result, data_range=255, channel_axis=2),
    )


def trained(table: Path, source: Path, folder: Path, steps: int, seed: int) -> np.ndarray:
    """Train on a table of patches, and translate the held-out half."""
    data = {"a": str(table), "patch": PATCH, "rotate": True, "epoch": max(steps // 8, 1)}
    values = {"method": "pix2pix", "data": data, "epochs": 4, "decay": 4, "checkpoint": 8}
    options = make_train_options({**NETWORKS, **values, "samples": 2, "seed": seed})
    train(options, folder)
    result = folder / "held-out.png"
    translate(source, result, model=str(folder / "A2B.safetensors"))
    return np.asarray(Image.open(result).convert("RGB"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="removed first")
    parser.add_argument("--transform", type=Path, help="instead of registering")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    slides = [given.data / name for name in SCANS]
    files = transforms(slides, given.out, given.transform)
    source, target = held_out(slides, files["after"])
    Image.fromarray(source).save(given.out / "source.png")
    print("| trained on | patches | PSNR, dB | SSIM | s |\n|---|---|---|---|---|")
    psnr, ssim = judge(source, target)
    print(f"| nothing: copy of the input | | {psnr:.2f} | {ssim:.3f} | |", flush=True)
    for name, file in files.items():
        count = cut(slides, file, given.out / name)
        scores, began = [], time.process_time()
        for seed in range(given.seeds):
            folder = given.out / f"{name}-{seed}"
            table = given.out / name / "tiles.csv"
            result = trained(table, given.out / "source.png", folder, given.steps, seed)
            scores.append(judge(result, target))
            print(f"{name}, seed {seed}: {scores[-1]}", flush=True)
        psnr, ssim = np.mean(scores, axis=0)
        seconds = (time.process_time() - began) / given.seeds
        print(f"| {name} | {count} | {psnr:.2f} | {ssim:.3f} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
