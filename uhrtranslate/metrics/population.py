"""How near a population of patches is to a real one, on features of any extractor.

Feature matrices are [n, d]. Figures of different extractors never compare: always report the
extractor beside the figure.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

Features = NDArray[np.floating[Any]]
Doubles = NDArray[np.float64]

# From here on, FID of Inception features changes little with n (Chong & Forsyth 2020, figure 1).
ENOUGH = 10_000
# A subset of KID, as in the paper of Binkowski et al. 2018.
KID_SUBSETS, KID_SIZE = 100, 1000
_ROWS = 1024  # rows of a distance matrix at once
# Up to so many patches, the kernel of all pairs is made once for all subsets (3 x 72 MB).
_GRAM = 3000


class Estimate(NamedTuple):
    """The mean of a figure over seeds, and the ends of its confidence interval (Student's t)."""

    mean: float
    low: float
    high: float


def frechet_distance(real: Features, output: Features) -> float:
    """FID (Heusel et al. 2017): |m - n|^2 + tr(A + B - 2 (A B)^1/2), 0 or more, lower is better.

    The trace of the root is the sum of the singular values of Y X^T, with X and Y the centred
    features over the roots of n - 1: no matrix square root is taken, and n may be smaller than d.

    Args:
        real, output: [n, d] and [m, d] of one extractor; n and m may differ.

    Raises:
        ValueError: less than two patches, unlike lengths, or values that are not finite.
    """
    x, y = _checked(real, output)
    a, b = x - x.mean(0), y - y.mean(0)
    a, b = a / math.sqrt(len(a) - 1), b / math.sqrt(len(b) - 1)
    trace = float((a**2).sum() + (b**2).sum())
    if len(a) > a.shape[1]:
        a = np.linalg.qr(a, mode="r")
    if len(b) > b.shape[1]:
        b = np.linalg.qr(b, mode="r")
    root = float(np.linalg.svd(b @ a.T, compute_uv=False).sum())
    apart = x.mean(0) - y.mean(0)
    return max(0.0, float(apart @ apart) + trace - 2 * root)


def kernel_distance(
    real: Features,
    output: Features,
    subsets: int = KID_SUBSETS,
    size: int = KID_SIZE,
    seed: int = 0,
) -> float:
    """KID (Binkowski et al. 2018): squared MMD, unbiased, kernel (x.y / d + 1)^3; lower is better.

    A mean over random subsets. Unbiased: it does not depend on the number of patches, and may fall
    below 0.

    Args:
        real, output: [n, d] and [m, d].
        subsets: of patches, drawn without repetition within a subset.
        size: of a subset; at most n and m.
        seed: of the draw.

    Raises:
        ValueError: as `frechet_distance`, or no subset.
    """
    x, y = _checked(real, output)
    if subsets < 1 or size < 2:
        raise ValueError(f"{subsets} subsets of {size}; 1 of 2 is the least")
    random = np.random.default_rng(seed)
    size = min(size, len(x), len(y))
    if size == len(x) == len(y):
        subsets = 1  # all subsets would be one
    kernels = _kernels(x, y) if max(len(x), len(y)) <= _GRAM else None
    found = []
    for _ in range(subsets):
        i, j = random.permutation(len(x))[:size], random.permutation(len(y))[:size]
        if kernels is None:
            found.append(_mmd(*_kernels(x[i], y[j])))
        else:
            xx, yy, xy = kernels
            found.append(_mmd(xx[np.ix_(i, i)], yy[np.ix_(j, j)], xy[np.ix_(i, j)]))
    return float(np.mean(found))


def precision_recall(real: Features, output: Features, neighbours: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkaanniemi et al. 2019), of balls to the k-th neighbour.

    Precision is the share of the outputs that lie within the real population (quality), recall the
    share of the real ones that lie within the outputs' population (variety): 0..1, 1 is best.

    Args:
        real, output: [n, d] and [m, d]; equal n and m make precision and recall comparable.
        neighbours: k.

    Raises:
        ValueError: as `frechet_distance`, or not more patches than neighbours.
    """
    x, y = _checked(real, output)
    if neighbours < 1 or min(len(x), len(y)) <= neighbours:
        raise ValueError(f"{min(len(x), len(y))} patches; more than {neighbours} are needed")
    return _share_within(y, x, neighbours), _share_within(x, y, neighbours)


def estimate(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """Mean and confidence interval of a figure that was taken with several seeds.

    The interval is that of the draw of patches from these very images; it says nothing of other
    images.

    Raises:
        ValueError: no value, or a confidence outside 0..1.
    """
    if not values or not 0 < confidence < 1:
        raise ValueError(f"{len(values)} values, confidence {confidence}")
    mean, n = float(np.mean(values)), len(values)
    if n == 1:
        return Estimate(mean, mean, mean)
    std = float(np.std(values, ddof=1))
    half = float(student.ppf((1 + confidence) / 2, n - 1)) * std / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half)


def too_few(real: int, output: int, features: int) -> str | None:
    """A warning where there are too few patches for FID; None where there are enough.

    FID is biased upwards by about 1/n: below 10,000 patches, only figures of equal n compare; with
    no more patches than features, the covariances are singular, and the bias outgrows the figure.

    Args:
        real, output: numbers of patches.
        features: d.
    """
    least = min(real, output)
    if least <= features:
        return (
            f"{least} patches for {features} features: FID is far too high and compares with "
            f"nothing; go by KID, or take more than {features}, better {ENOUGH}"
        )
    if least < ENOUGH:
        return (
            f"{least} patches: FID is too high and compares only with figures of as many "
            f"patches; go by KID, or take {ENOUGH}"
        )
    return None


def _checked(real: Features, output: Features) -> tuple[Doubles, Doubles]:
    x, y = np.asarray(real, np.float64), np.asarray(output, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not x.shape[1]:
        raise ValueError(f"features of {x.shape} and {y.shape}; [n, d] and [m, d] are needed")
    if min(len(x), len(y)) < 2:
        raise ValueError(f"{len(x)} and {len(y)} patches; 2 are the least")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError("features that are not finite numbers")
    return x, y


def _kernels(x: Doubles, y: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """The kernel of all pairs within x, within y, and between them."""
    d = x.shape[1]
    return (x @ x.T / d + 1) ** 3, (y @ y.T / d + 1) ** 3, (x @ y.T / d + 1) ** 3


def _mmd(xx: Doubles, yy: Doubles, xy: Doubles) -> float:
    n = len(xy)
    within = float(xx.sum() - np.trace(xx) + yy.sum() - np.trace(yy)) / (n * (n - 1))
    return within - 2 * float(xy.mean())


def _share_within(points: Doubles, cloud: Doubles, k: int) -> float:
    """Share of the points within a ball around a member of the cloud to its k-th neighbour."""
    radii = np.concatenate(
        [np.partition(_squares(rows, cloud), k, axis=1)[:, k] for rows in _pieces(cloud)]
    )  # the 0-th neighbour is the member itself
    hits = [(_squares(rows, cloud) <= radii).any(1) for rows in _pieces(points)]
    return float(np.concatenate(hits).mean())


def _pieces(matrix: Doubles) -> list[Doubles]:
    return [matrix[i : i + _ROWS] for i in range(0, len(matrix), _ROWS)]


def _squares(x: Doubles, y: Doubles) -> Doubles:
    """Squared distances, [n, m]; those of a row to itself are 0 within rounding."""
    squares: Doubles = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * (x @ y.T)
    return squares
