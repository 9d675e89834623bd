#!/usr/bin/env python3
"""Which figure sees which fault: synthetic faults of known kind and order, over seeds.

    python scripts/bench_faults.py --json faults.json

The truth is a real IHC section (scikit-image's), and so is the result before a fault is put in.
Cells are taken away and invented in optical density: DAB of half of the positive spots is removed,
or added to as many negative nuclei. Each number is a mean over seeds of the crop and of the fault.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data
from bench import parser, save, table
from PIL import Image
from scipy.ndimage import gaussian_filter, label
from skimage.color import hed2rgb, rgb2hed

from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.metrics.masks import MaskRecipe, dab_mask
from uhrtranslate.tasks.evaluate import evaluate

SIDE, TILE = 384, 96
COLUMNS = {
    "paired.psnr": "12.2f",
    "paired.ssim": "12.3f",
    "stain.dice": "11.3f",
    "stain.sensitivity": "18.3f",
    "stain.precision": "16.3f",
    "stain.p90_correlation": "22.3f",
    "stain.dab_js": "13.4f",
    "true_nuclei.f1": "15.3f",
    "seam.ratio": "11.2f",
    "tiles.rejected": "15.3f",
    "tiles.masked_blockiness": "24.2f",
}


def recoloured(pixels: np.ndarray, add: bool, random: np.random.Generator) -> np.ndarray:
    """Half of the positive spots without DAB, or as many spots of nuclei with it."""
    hed = rgb2hed(pixels)
    positive = dab_mask(pixels, MaskRecipe())
    nuclei = gaussian_filter(hed[..., 0], 1.5)
    spots = ~positive & (nuclei > np.quantile(nuclei[~positive], 0.7)) if add else positive
    names, count = label(spots)
    chosen = np.flatnonzero(random.random(count + 1) < 0.5)
    where = np.isin(names, chosen[chosen > 0])
    hed[..., 2] = np.where(where, hed[..., 2] + 0.12 if add else 0.02, hed[..., 2])
    return np.rint(hed2rgb(hed) * 255).clip(0, 255).astype(np.uint8)


def stepped(pixels: np.ndarray, step: float, random: np.random.Generator) -> np.ndarray:
    """A random colour added to each tile."""
    tiles = random.normal(0, step, (SIDE // TILE, SIDE // TILE, 3))
    steps = tiles.repeat(TILE, 0).repeat(TILE, 1)
    return np.rint(pixels + steps).clip(0, 255).astype(np.uint8)


def blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """By a Gaussian."""
    return np.rint(gaussian_filter(pixels.astype(float), (sigma, sigma, 0))).astype(np.uint8)


Fault = Callable[[np.ndarray, np.random.Generator], np.ndarray]
FAULTS: dict[str, Fault] = {
    "none": lambda pixels, _: pixels,
    "blur, sigma 1": lambda pixels, _: blurred(pixels, 1),
    "blur, sigma 3": lambda pixels, _: blurred(pixels, 3),
    "shift by 4 px": lambda pixels, _: np.roll(pixels, 4, 1),
    "shift by 16 px": lambda pixels, _: np.roll(pixels, 16, 1),
    "cells missing": lambda pixels, random: recoloured(pixels, False, random),
    "cells invented": lambda pixels, random: recoloured(pixels, True, random),
    "paler by 15%": lambda pixels, _: (255 - (255 - pixels) * 0.85).astype(np.uint8),
    **{
        f"tiles, {step} grey levels": (
            lambda pixels, random, step=step: stepped(pixels, step, random)
        )
        for step in (0.5, 1, 2, 4)
    },
}


def main() -> None:
    given = parser(__doc__, seeds=3).parse_args()
    section = skimage.data.immunohistochemistry()
    rows: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        truth, result = Path(folder, "truth.png"), Path(folder, "result.png")
        for seed in range(given.seeds):
            random = np.random.default_rng(seed)
            y, x = random.integers(0, 512 - SIDE, 2)
            crop = section[y : y + SIDE, x : x + SIDE]
            Image.fromarray(crop).save(truth)
            options = EvaluateOptions(truth=truth, grid=TILE, dab_tile=64, nuclei=True)
            for name, fault in FAULTS.items():
                Image.fromarray(fault(crop, random)).save(result)
                metrics = evaluate(result, options).metrics
                for column in COLUMNS:
                    group, figure = column.split(".")
                    value = metrics[group][figure]
                    value = np.inf if value is None else value
                    rows.setdefault(name, {}).setdefault(column, []).append(value)
    means = {
        name: {column: float(np.mean(values)) for column, values in figures.items()}
        for name, figures in rows.items()
    }
    table(means, 24, [(name, name, form) for name, form in COLUMNS.items()])
    save(given.json, rows)


main()
