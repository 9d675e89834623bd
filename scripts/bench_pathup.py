#!/usr/bin/env python3
"""PathUp's tables in small: what patho-align, the feature entropy loss and the weights change.

    python scripts/bench_pathup.py --runs /tmp/pathup --json pathup.json

Models as in `pathup_small.py`; those that are in the folder of runs already are used again.
**Quality**: patches of 64 px of images of 256 px, against native patches of the sections they were
trained on, by features of fixed random weights (uhrt-random-v1): improved precision and recall
(k = 3), FID, and KID times 1000. With so few patches, FID compares within this table only.
**Accuracy**: how many of them a linear classifier of real patches, by the same features, gives the
class that was asked for. Real patches against others of the same sections are the first row.
**Seams**: the seam ratio of `uhrt evaluate` on images of 512 px at the borders of their own tiles,
by the last model; 1 is none. Images are decoded without seams, or by tiles that are blended by the
same weights. Pixel tiling samples and decodes every tile by itself, of one overview. Means and
deviations over generations of other seeds.
"""

import tempfile
from argparse import Namespace
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
import torch
from bench import parser, save
from pathup_small import (
    PATCH,
    VARIANTS,
    cut,
    generation,
    levels_told,
    networks_of,
    real_patches,
    sections,
    trained,
)
from PIL import Image

from uhrtranslate.extractors.plain import PlainExtractor
from uhrtranslate.metrics.population import frechet_distance, kernel_distance, precision_recall
from uhrtranslate.metrics.seams.measure import measure_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles
from uhrtranslate.tables import BLENDS


def alike(height: int, width: int, overlap: int) -> np.ndarray:
    """Weights without a map: every pixel of a tile counts alike."""
    return np.ones((height, width), np.float32)


HALF = PATCH // 2
# Overlap in px, weights, and whether tiles are also decoded by themselves, then blended.
WAYS = {
    "pixel tiling": (0, alike, True),
    "without weights, decoded by tiles": (HALF, alike, True),
    "without weights": (HALF, alike, False),
    "centre (the paper's), decoded by tiles": (HALF, BLENDS["centre"], True),
    "centre (the paper's)": (HALF, BLENDS["centre"], False),
    "linear, decoded by tiles": (HALF, BLENDS["linear"], True),
    "linear": (HALF, BLENDS["linear"], False),
    "cosine": (HALF, BLENDS["cosine"], False),
}
# Model, and way to lay tiles.
RECIPES = {
    "LDM": ("LDM", "linear"),
    "+ patho-align": ("+ patho-align", "linear"),
    "+ FEL": ("+ FEL", "linear"),
    "+ FEL, the paper's weights": ("+ FEL", "centre (the paper's)"),
    "+ FEL, without weights": ("+ FEL", "without weights"),
    "+ FEL, pixel tiling": ("+ FEL", "pixel tiling"),
}


def laid(way: str) -> dict[str, object]:
    """How tiles are laid, for `generation`."""
    return dict(zip(("overlap", "window", "by_tiles"), WAYS[way], strict=True))


@cache
def known_features() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the classes; features of real patches, and the numbers of their classes."""
    real = real_patches()
    features = [PlainExtractor().features(patches) for patches in real.values()]
    numbers = np.repeat(np.arange(len(real)), [len(one) for one in features])
    return list(real), np.concatenate(features), numbers


def standardized(real: np.ndarray, made: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Features by the mean and deviation of the real ones, so that none outweighs the others."""
    mean, std = real.mean(0), real.std(0) + 1e-6
    return (real - mean) / std, (made - mean) / std


def linear_classifier(features: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Weights of a ridge regression to -1 and 1, the last one of a constant."""
    x = np.concatenate([features, np.ones((len(features), 1))], 1)
    return np.linalg.solve(x.T @ x + len(x) * np.eye(x.shape[1]), x.T @ labels)


def said(weights: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Whether features are of the second class."""
    return features @ weights[:-1] + weights[-1] > 0


def quality(images: list[tuple[str, np.ndarray]]) -> dict[str, float]:
    """Figures of the patches of some images."""
    names, real, _ = known_features()
    asked = np.concatenate([np.full(len(cut(one)), names.index(name)) for name, one in images])
    made = PlainExtractor().features(np.concatenate([cut(one) for _, one in images]))
    order = np.random.default_rng(0).permutation(len(real))
    return figures(made, asked, order[: len(made)])  # as many as there are made


def as_real(number: int, seed: int) -> dict[str, float]:
    """Figures of some of the real patches against as many others: what there is to be reached."""
    _, real, known = known_features()
    order = np.random.default_rng(seed).permutation(len(real))
    return figures(real[order[:number]], known[order[:number]], order[number : 2 * number])


def figures(made: np.ndarray, asked: np.ndarray, few: np.ndarray) -> dict[str, float]:
    """Figures of patches by their features and the classes that were asked for."""
    _, real, known = known_features()
    x, y = standardized(real, made)
    precision, recall = precision_recall(x[few], y)
    weights = linear_classifier(x, 2.0 * known - 1)
    return {
        "IP": precision,
        "IR": recall,
        "FID": frechet_distance(x[few], y),
        "KID": 1000 * kernel_distance(x[few], y),
        "accuracy": float((said(weights, y) == asked).mean()),
    }


def seam(pixels: np.ndarray, spacing: int) -> dict[str, float]:
    """The seam ratio at the borders of tiles."""
    side = len(pixels)
    profiles = measure_profiles(lambda x, y, w, h: pixels[y : y + h, x : x + w], side, side)
    found = measure_seams(profiles, spacing)
    return {"ratio": found.ratio, "gradient": found.gradient_ratio}


def summed_up(rows: Mapping[str, list[dict[str, float]]]) -> dict[str, dict[str, list[float]]]:
    """Mean and deviation of every figure."""
    return {
        name: {
            key: [
                float(np.mean([one[key] for one in some])),
                float(np.std([one[key] for one in some])),
            ]
            for key in some[0]
        }
        for name, some in rows.items()
    }


def show(title: str, found: Mapping[str, Mapping[str, list[float]]]) -> None:
    """Print a table of means and deviations."""
    keys = list(next(iter(found.values())))
    print(f"\n| {title} | " + " | ".join(keys) + " |\n|---|" + "---|" * len(keys))
    for name, row in found.items():
        print(f"| {name} | " + " | ".join(f"{m:.3f} ± {s:.3f}" for m, s in row.values()) + " |")


def qualities(given: Namespace, runs: Path) -> dict[str, list[dict[str, float]]]:
    """Figures of every model, by generation."""
    number = 2 * given.images * (given.side // PATCH) ** 2
    rows = {"real patches": [as_real(number, seed) for seed in range(given.generations)]}
    for recipe, (variant, way) in RECIPES.items():
        networks = networks_of(trained(runs, variant, given.epochs), given.guidance)
        for seed in range(given.generations):
            with levels_told(VARIANTS[variant][0]):
                more = (seed, given.images, given.side)
                made = list(generation(networks, *more, steps=given.steps, **laid(way)))
            rows.setdefault(recipe, []).append(quality(made))
            print(recipe, seed, rows[recipe][-1], flush=True)
            keep(given.pictures, f"{recipe}-{seed}", made)
    return rows


def all_seams(given: Namespace, runs: Path) -> dict[str, list[dict[str, float]]]:
    """Seams of every way to lay tiles, by generation; and of real images at the same places."""
    rows: dict[str, list[dict[str, float]]] = {}
    networks = networks_of(trained(runs, list(VARIANTS)[-1], given.epochs), given.guidance)
    for seed in range(given.generations):
        for way, (overlap, *_) in WAYS.items():
            more = (100 + seed, 1, given.seam_side)
            made = list(generation(networks, *more, steps=given.steps, **laid(way)))
            found = [seam(one, PATCH - overlap) for _, one in made]
            mean = {key: float(np.mean([one[key] for one in found])) for key in found[0]}
            rows.setdefault(way, []).append(mean)
            print(way, seed, mean, flush=True)
            keep(given.pictures, f"seams-{way}-{seed}", made)
    return {**rows, "real sections": [seam(one, PATCH // 2) for one in sections().values()]}


def main() -> None:
    """Train what is missing, sample, measure and print."""
    options = parser(
        __doc__, runs=(Path(), "folder of trained models"), generations=5, images=4, epochs=14,
        side=(256, "px of images for quality"), seam_side=(512, "px of images for seams"), steps=20,
        guidance=(3.0, "how much the class counts"),
        part=("all", "quality or seams alone"),
    )  # fmt: skip
    options.add_argument("--pictures", type=Path, help="also write images here")
    given = options.parse_args()
    torch.set_num_threads(1)
    report = {}
    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(temporary) if given.runs == Path() else given.runs
        runs.mkdir(parents=True, exist_ok=True)
        for part, measure in (("quality", qualities), ("seams", all_seams)):
            if given.part in ("all", part):
                report[part] = summed_up(measure(given, runs))
    for part, found in report.items():
        show(part, found)
    save(given.json, report)


def keep(folder: Path | None, name: str, made: list[tuple[str, np.ndarray]]) -> None:
    """Write images side by side, to be looked at."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate([one for _, one in made[:4]], 1)).save(
            folder / f"{name}.png"
        )


if __name__ == "__main__":
    main()
