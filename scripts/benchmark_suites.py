#!/usr/bin/env python3
"""Lay out public images for the suites of configs/benchmark, so that `uhrt benchmark` can run them.

    python scripts/benchmark_suites.py --data images --out suites [--nets nets]
    uhrt benchmark suites/normalizers/normalizers.yaml -o suites/normalizers/out

`images` has `aperio-svs/`, `he-patches/` and `scanner-pair-ki67/`. Each suite gets a folder of its
own with what its YAML names beside it. Normalizers: H&E slides for `he2ihc`, IHC for `ihc2he`.
Stain normalization: five H&E images of several laboratories that no generator of `--nets` learned
from; the target is the left part of CMU-1-Small-Region.svs, the reference the rest of it. `--nets`
is the folder that `bench_stain_normalization.py --keep` filled; StainNets are distilled here, and
torchstain, another tool, normalizes the same images. Virtual staining: H&E images that the bundled
generator did not learn from, and as their truth the classical re-staining that it learned to
imitate (`bundled_sections.py`): what is right is known for every pixel, as of no pair of sections.
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import skimage.data
import torch
from bench_stain_normalization import HELD_OUT, TARGET, TRAINED, parts_of, read
from bundled_recipe import Picture
from bundled_sections import density, restain_to_ihc
from PIL import Image

from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.stain_network import distil_normalizer, save_stainnet
from uhrtranslate.recipes.stain_reference import find_reference

CONFIGS = Path(__file__).parent.parent / "configs" / "benchmark"
HE = (TARGET, "he-patches/OS-1-detail.ome.tif", "he-patches/histolab-high-nuclei-level0.png",
      "he-patches/histolab-medium-nuclei-level0.png")  # fmt: skip
IHC = ("scanner-pair-ki67/OS-2-ndpi.ome.tif", "scanner-pair-ki67/OS-2-vsi.ome.tif")
# Of nuclei in tissue; their resolution is not told, and taken for that of the generators.
UNSEEN = (
    "histolab-high-nuclei-level0.png", "histolab-medium-nuclei-level0.png",
    "histolab-low-nuclei-level0.png", "torchstain-source.png", "torchstain-target.png",
)  # fmt: skip
TAUGHT = (
    TARGET, "he-patches/TCGA-AD-6964-tile-16896-20480.jpg",
    "he-patches/TCGA-AD-6964-tile-22016-11776.jpg",
)  # fmt: skip
MPP, SEEDS = 0.5, 3
Pixels = np.ndarray


def suite(name: str, folder: Path) -> Path:
    """The folder of a suite, with its YAML."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    shutil.copy(CONFIGS / f"{name}.yaml", place)
    return place


def put(pixels: Pixels, path: Path) -> None:
    """Write a PNG, unless it is there: results are kept as long as files are the same."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        Image.fromarray(pixels).save(path)


def copy(path: Path, folder: Path) -> None:
    """An image as it is."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / path.name).exists():
        shutil.copy(path, folder)


def restained(pixels: Pixels) -> Pixels:
    """The classical re-staining of H&E of 0.5 um/px; its brightest colours are taken for glass."""
    white = tuple(float(np.quantile(pixels[..., c], 0.995)) for c in range(3))
    picture = Picture(path="", mpp=MPP, white=white, licence="", sha256="0" * 64)
    goal = restain_to_ihc(density(pixels, white), picture, MPP)
    return (torch.exp(-goal) * 255).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()


def lay_out_normalizers(data: Path, folder: Path) -> None:
    for name, images in (("normalizers", HE), ("normalizers-ihc2he", IHC)):
        place = suite(name, folder)
        for image in images:
            copy(data / image, place / "slides")
    section = skimage.data.immunohistochemistry()
    put(np.concatenate([section, section[:, ::-1]], 1), place / "slides/section.png")


def lay_out_stain(data: Path, folder: Path, nets: Path | None) -> None:
    place = suite("stain-normalization", folder)
    target, kept = parts_of(read(data / TARGET))
    put(target, place / "target.png")
    put(kept, place / "reference/kept.png")
    for name in HELD_OUT:
        put(read(data / "he-patches" / name), place / f"slides/{Path(name).stem}.png")
    put_torchstain(target, place)
    runs = place / "runs"
    runs.mkdir(exist_ok=True)
    for seed in range(SEEDS):
        if not (weights := runs / f"stainnet-{seed}.safetensors").exists():
            torch.manual_seed(seed)
            how = StainOptions(method="macenko", seed=seed)
            look = find_reference(str(place / "target.png"), [], how)
            first = data / "he-patches" / TRAINED[seed]
            save_stainnet(weights, distil_normalizer(first, look, how))
    for path in sorted(nets.glob("*.safetensors")) if nets else ():
        copy(path, runs)


def put_torchstain(target: Pixels, place: Path) -> None:
    """What another tool makes of the slides, all pixels at once and glass as well."""
    import torchstain

    normalizer = torchstain.normalizers.MacenkoNormalizer(backend="numpy")
    normalizer.fit(target)
    for path in sorted((place / "slides").iterdir()):
        pixels = np.asarray(Image.open(path))
        normal = normalizer.normalize(pixels, stains=False)[0]
        put(np.asarray(normal).astype(np.uint8), place / "torchstain" / path.name)


def lay_out_virtual(data: Path, folder: Path) -> None:
    place = suite("virtual-staining", folder)
    copy(CONFIGS.parent / "train/restained.yaml", place)
    for name in UNSEEN:
        pixels = read(data / "he-patches" / name)
        put(pixels, place / "he" / name)
        put(restained(pixels), place / "ihc" / name)
    for name in TAUGHT:
        pixels = read(data / name)
        put(pixels, place / f"train/he/{Path(name).stem}.png")
        put(restained(pixels), place / f"train/ihc/{Path(name).stem}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of public images")
    parser.add_argument("--out", type=Path, required=True, help="for the suites' folders")
    parser.add_argument("--nets", type=Path, help="of bench_stain_normalization.py --keep")
    given = parser.parse_args()
    lay_out_normalizers(given.data, given.out)
    lay_out_virtual(given.data, given.out)
    lay_out_stain(given.data, given.out, given.nets)


main()
