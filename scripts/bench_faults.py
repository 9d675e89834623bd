#!/usr/bin/env python3
"""Which figure sees which fault: synthetic faults of known kind and order, over seeds.

    python scripts/bench_faults.py --json faults.json

The truth is a real IHC section (scikit-image's), and so is the result before a fault is put in.
Cells are taken away and invented in optical density: DAB of half of the positive spots is removed,
or added to as many negative nuclei. Nuclei are broken by a pale line, 3 px wide, through each that
the detector finds, turned at random. FID is of 64 px patches, against the truth's. Seams are also
measured on a smooth picture (a retina, 768 px of it, tiles of 128 px). Each number is a mean over
seeds of the crop and of the fault.
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
from uhrtranslate.metrics.nuclei import find_nuclei, nucleus_width
from uhrtranslate.tasks.evaluate import evaluate

SIDE, TILE = 384, 96
SMOOTH_SIDE, SMOOTH_TILE = 768, 128
COLUMNS = {
    "paired.psnr": "12.2f",
    "paired.ssim": "12.3f",
    "stain.dice": "11.3f",
    "stain.sensitivity": "18.3f",
    "stain.precision": "16.3f",
    "stain.p90_correlation": "22.3f",
    "stain.dab_js": "13.4f",
    "true_nuclei.f1": "15.3f",
    "true_nuclei.dice": "17.3f",
    "population.fid": "15.2f",
    "seam.ratio": "11.2f",
    "tiles.masked_blockiness": "24.2f",
}
SEAMS = {
    "seam.ratio": "11.2f",
    "seam.p_value": "13.3f",
    "tiles.rejected": "15.2f",
    "tiles.severity_z": "17.2f",
    "tiles.boundary_contrast": "24.5f",
    "tiles.tiling_score": "19.2f",
    "tiles.blockiness": "17.3f",
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


def broken(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A pale line through each nucleus."""
    y, x = np.indices(pixels.shape[:2])
    out, paper = pixels.copy(), np.quantile(pixels, 0.9, axis=(0, 1)).astype(np.uint8)
    for row, column in find_nuclei(pixels, nucleus_width(None))[0]:
        turn = random.uniform(0, np.pi)
        along = (y - row) * np.sin(turn) + (x - column) * np.cos(turn)
        across = (x - column) * np.sin(turn) - (y - row) * np.cos(turn)
        out[(np.abs(across) < 1.5) & (np.abs(along) < 8)] = paper
    return out


def stepped(
    pixels: np.ndarray, step: float, random: np.random.Generator, tile: int = TILE
) -> np.ndarray:
    """A random colour added to each tile."""
    count = len(pixels) // tile
    steps = random.normal(0, step, (count, count, 3)).repeat(tile, 0).repeat(tile, 1)
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
    "nuclei broken": broken,
    "paler by 15%": lambda pixels, _: (255 - (255 - pixels) * 0.85).astype(np.uint8),
    **{
        f"tiles, {step} grey levels": (
            lambda pixels, random, step=step: stepped(pixels, step, random)
        )
        for step in (0.5, 1, 2, 4)
    },
}


SMOOTH_FAULTS: dict[str, Fault] = {
    "none": lambda pixels, _: pixels,
    "blur, sigma 1": lambda pixels, _: blurred(pixels, 1),
    "shift by 4 px": lambda pixels, _: np.roll(pixels, 4, 1),
    "paler by 15%": FAULTS["paler by 15%"],
    **{
        f"tiles, {step} grey levels": (
            lambda pixels, random, step=step: stepped(pixels, step, random, SMOOTH_TILE)
        )
        for step in (0.5, 1, 2, 4)
    },
}


def measured(
    picture: np.ndarray,
    side: int,
    faults: dict[str, Fault],
    columns: dict[str, str],
    seeds: int,
    **options: object,
) -> dict[str, dict[str, list[float]]]:
    """Figures by fault and name, one of each seed, of crops of a picture."""
    rows: dict[str, dict[str, list[float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        truth, result = Path(folder, "truth.png"), Path(folder, "result.png")
        for seed in range(seeds):
            random = np.random.default_rng(seed)
            y, x = (int(random.integers(0, length - side + 1)) for length in picture.shape[:2])
            crop = picture[y : y + side, x : x + side]
            Image.fromarray(crop).save(truth)
            how = EvaluateOptions(truth=truth, reference=truth, patch=64, seeds=1, **options)
            for name, fault in faults.items():
                Image.fromarray(fault(crop, random)).save(result)
                metrics = evaluate(result, how).metrics
                for column in columns:
                    group, figure = column.split(".")
                    value = metrics[group][figure]
                    rows.setdefault(name, {}).setdefault(column, []).append(
                        np.inf if value is None else value
                    )
    return rows


def main() -> None:
    given = parser(__doc__, seeds=3).parse_args()
    section, smooth = skimage.data.immunohistochemistry(), skimage.data.retina()[300:1100, 300:1100]
    section_how = {"grid": TILE, "dab_tile": 64, "nuclei": True}
    report = {
        "section": measured(section, SIDE, FAULTS, COLUMNS, given.seeds, **section_how),
        "smooth": measured(
            smooth, SMOOTH_SIDE, SMOOTH_FAULTS, SEAMS, given.seeds, grid=SMOOTH_TILE
        ),
    }
    for rows, columns in zip(report.values(), (COLUMNS, SEAMS), strict=True):
        means = {
            name: {column: float(np.mean(values)) for column, values in figures.items()}
            for name, figures in rows.items()
        }
        table(means, 24, [(name, name, form) for name, form in columns.items()])
    save(given.json, report)


if __name__ == "__main__":
    main()
