"""NIQE: how natural an image looks, without a reference (Mittal, Soundararajan & Bovik 2013).

The pristine model is fitted to images that the user calls good, such as the real target images;
none is shipped. **Figures of different models do not compare**, nor do they with those of papers. A
model's `digest` says which one it was.
"""

import hashlib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from scipy.ndimage import correlate1d
from scipy.special import gamma

from uhrtranslate.errors import InputError
from uhrtranslate.metrics.planes import Doubles, Pixels, grey, halved, levels

PATCH = 96
FEATURES = 36
# Of an image's sharpest patch: less sharp patches do not enter the pristine model.
_SHARP = 0.75
_FEWEST = 2 * FEATURES
VERSION = 1


@dataclass(frozen=True, eq=False)
class NiqeModel:
    """A multivariate Gaussian of pristine patches' features.

    Attributes:
        mean: [36] float64.
        covariance: [36, 36] float64.
        patches, images: how many it was fitted to.
    """

    mean: Doubles
    covariance: Doubles
    patches: int
    images: int

    @property
    def digest(self) -> str:
        """Eight letters that name the model in reports."""
        return hashlib.sha256(dump_niqe(self).encode()).hexdigest()[:8]


def niqe_features(pixels: Pixels) -> tuple[Doubles, Doubles]:
    """Natural scene statistics of an image's patches of 96 px, at full and half resolution.

    Eighteen numbers a scale: shape and variance of a generalised Gaussian of the locally normalised
    grey, and shape, mean and both variances of an asymmetric one of the products of neighbours in
    four directions. Half resolution is by means of 2 x 2 px (the paper's is bicubic).

    Args:
        pixels: [h, w, 3] uint8, with patches counted from the upper left; blocks of a large image
            may come one by one.

    Returns: features [n, 36] and sharpness [n] float64. Bare patches (without any variance) are
        left out, as they have no shape; n is 0 for images below 96 px.
    """
    rows, columns = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
    if not rows or not columns:
        return np.empty((0, FEATURES)), np.empty(0)
    image = levels(grey(pixels))[: rows * PATCH, : columns * PATCH, 0]
    found, sharpness = [], []
    for scale, plane in enumerate((image, halved(image))):
        normal, deviation = _normalise(plane)
        side = PATCH >> scale
        found.append(_patch_features(_cut(normal, side)))
        if scale == 0:
            sharpness = _cut(deviation, side).mean((1, 2))
    features = np.concatenate(found, axis=1)
    whole = np.isfinite(features).all(1)
    return features[whole], np.asarray(sharpness)[whole]


def fit_niqe(images: Iterable[Pixels]) -> NiqeModel:
    """The pristine model of images that look as they should.

    Args:
        images: [h, w, 3] uint8 each; of each, patches of at least 0.75 of the sharpest patch's
            sharpness are taken.

    Raises:
        InputError: they have less than 72 such patches.
    """
    taken, count = [], 0
    for image in images:
        features, sharpness = niqe_features(image)
        if len(features):
            taken.append(features[sharpness >= _SHARP * sharpness.max()])
        count += 1
    table = np.concatenate(taken) if taken else np.empty((0, FEATURES))
    if len(table) < _FEWEST:
        raise InputError(
            f"{count} images have {len(table)} sharp patches of {PATCH} px; NIQE needs "
            f"{_FEWEST} at least; give more or larger ones"
        )
    return NiqeModel(table.mean(0), np.cov(table.T), len(table), count)


def niqe_score(features: Doubles, model: NiqeModel) -> float | None:
    """Distance of patches from a pristine model, 0 or more; lower is better.

    Args:
        features: [n, 36] of all patches of an image (blocks' features, put together).
        model: see `fit_niqe`.

    Returns: None for less than two patches.
    """
    if len(features) < 2:
        return None
    apart = features.mean(0) - model.mean
    pooled = (np.cov(features.T) + model.covariance) / 2
    return math.sqrt(max(0.0, float(apart @ np.linalg.pinv(pooled, hermitian=True) @ apart)))


def dump_niqe(model: NiqeModel) -> str:
    """A model as JSON; numbers come back to the last bit."""
    return json.dumps(
        {
            "kind": "niqe",
            "version": VERSION,
            "patches": model.patches,
            "images": model.images,
            "mean": model.mean.tolist(),
            "covariance": model.covariance.tolist(),
        }
    )


def load_niqe(text: str) -> NiqeModel:
    """Read what `dump_niqe` gave.

    Raises:
        InputError: it is something else, or of another version.
    """
    try:
        tree: Any = json.loads(text)
        if tree["kind"] != "niqe" or tree["version"] != VERSION:
            raise InputError("the file holds no NIQE model of this version; fit it again")
        mean = np.array(tree["mean"], np.float64)
        covariance = np.array(tree["covariance"], np.float64)
        model = NiqeModel(mean, covariance, int(tree["patches"]), int(tree["images"]))
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError) as error:
        raise InputError("the file holds no NIQE model; fit one to good images") from error
    square = mean.shape == (FEATURES,) and covariance.shape == (FEATURES, FEATURES)
    if not square or not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise InputError("the NIQE model is damaged; fit it again")
    return model


def _normalise(x: Doubles) -> tuple[Doubles, Doubles]:
    """Mean-subtracted, contrast-normalised grey, and the local deviation (equations 1 to 3)."""
    weights = np.exp(-0.5 * (np.arange(-3, 4) * 6 / 7) ** 2)  # 7 x 7, sigma 7/6
    weights /= weights.sum()
    mean, square = (
        correlate1d(
            correlate1d(v, weights, axis=0, mode="nearest"), weights, axis=1, mode="nearest"
        )
        for v in (x, x * x)
    )
    deviation = np.sqrt(np.abs(square - mean**2))
    return (x - mean) / (deviation + 1), deviation


def _cut(x: Doubles, side: int) -> Doubles:
    """Patches, [n, side, side]."""
    rows, columns = x.shape[0] // side, x.shape[1] // side
    return x.reshape(rows, side, columns, side).swapaxes(1, 2).reshape(-1, side, side)


def _patch_features(patches: Doubles) -> Doubles:
    """[n, 18] of normalised patches [n, side, side]."""
    flat = patches.reshape(len(patches), -1)
    shape, left, right = _asymmetric(flat)
    columns = [shape, (left + right) / 2]
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        moved = np.roll(patches, (dy, dx), axis=(1, 2))
        shape, left, right = _asymmetric((patches * moved).reshape(len(patches), -1))
        mean = (right - left) * gamma(2 / shape) / np.sqrt(gamma(1 / shape) * gamma(3 / shape))
        columns += [shape, mean, left**2, right**2]
    return np.stack(columns, axis=1)


def _asymmetric(x: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Shape, and deviations left and right of 0, of an asymmetric generalised Gaussian, by moments.

    Returns: [n] each; NaN where a row has no values on one of the sides.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.sqrt((x**2 * (x < 0)).sum(1) / (x < 0).sum(1))
        right = np.sqrt((x**2 * (x > 0)).sum(1) / (x > 0).sum(1))
        ratio = left / right
        r = np.abs(x).mean(1) ** 2 / (x**2).mean(1)
        wanted = r * (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, ratios = _shapes()
    found = np.interp(wanted, ratios, shapes)
    return np.where(np.isfinite(wanted), found, np.nan), left, right


@cache
def _shapes() -> tuple[Doubles, Doubles]:
    """Shapes of 0.2 to 10, and the moment ratio of each, which grows with the shape."""
    shapes = np.arange(0.2, 10.001, 0.001)
    return shapes, gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
