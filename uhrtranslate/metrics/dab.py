"""Brown stain (DAB) by optical density, as published for virtual staining.

Papers differ in what they call DAB, so there are two here, each where its paper has it:

- `hed_stains`: scikit-image's `rgb2hed` (Ruifrok & Johnston 2001; three stains, in powers of 1e-6),
  of the masks of Kataria et al. (arXiv 2511.04615).
- `dab_density`: of SheafStain's evaluation (arXiv 2606.11846): least squares for hematoxylin and
  DAB alone, in powers of 10, through a softplus, so that no DAB is 0.1386 and not 0.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.color import hed_from_rgb

from uhrtranslate.metrics.planes import Pixels
from uhrtranslate.metrics.sums import Sums

Doubles = NDArray[np.float64]

_LEAST = 1e-6
_LOGS = np.log(np.maximum(np.arange(256) / 255, _LEAST)) / np.log(_LEAST)
_HED = np.asarray(hed_from_rgb, np.float64)
# Rows: DAB, hematoxylin.
_STAINS = np.array([[0.268, 0.570, 0.776], [0.650, 0.704, 0.286]])
_TO_DAB = np.linalg.pinv(_STAINS.T)[0]
_DENSITIES = -np.log10(np.maximum(np.arange(256) / 255, _LEAST) + _LEAST)
_SOFTNESS = 5.0
# Optical density of a whole pixel: no level is darker than 1.
_PLAIN = -np.log10(np.maximum(np.arange(256), 1) / 255)
FOCUS = 1.8  # the power of focal optical density
BINS, _NONE = 256, 1e-10
# Share of the pixels that a tile's score leaves out: the mean of the brownest tenth.
SCORED = 0.9


def hed_stains(pixels: Pixels, stain: int) -> Doubles:
    """One of hematoxylin (0), eosin (1) and DAB (2), [h, w], 0 or more.

    Args:
        pixels: [h, w, 3] uint8.
        stain: which.
    """
    return np.maximum(_mixed(pixels, _LOGS, _HED[:, stain]), 0.0)


def dab_density(pixels: Pixels) -> Doubles:
    """Density of DAB, [h, w], above 0; `pixels` are [h, w, 3] uint8."""
    amount = _mixed(pixels, _DENSITIES, _SOFTNESS * _TO_DAB)
    soft: Doubles = np.logaddexp(0.0, amount) / _SOFTNESS
    return soft


def _mixed(pixels: Pixels, levels: Doubles, weights: Doubles) -> Doubles:
    """Weighted sum of what a table says of R, G and B; one channel at a time, to save memory."""
    total: Doubles = (levels * weights[0])[pixels[..., 0]]
    for channel in (1, 2):
        total += (levels * weights[channel])[pixels[..., channel]]
    return total


def dab_score(density: Doubles) -> float:
    """P90 score: the mean of all pixels at the 90th percentile or above."""
    return float(density[density >= np.quantile(density, SCORED)].mean())


@dataclass(frozen=True)
class TilePair:
    """What is compared of a tile of a result and of its truth.

    Attributes:
        score, true_score: `dab_score` of both.
        kl: divergence of the result's histogram of densities from the truth's, in nats.
        js: Jensen and Shannon's divergence of the two, 0 to ln 2.
    """

    score: float
    true_score: float
    kl: float
    js: float


def tile_pair(result: Doubles, truth: Doubles) -> TilePair:
    """Compare the DAB densities of a tile.

    Histograms have 256 bins from 0 to the largest density of both, and 1e-10 is added to each bin's
    density, as in the published script; KL is of the result from the truth.
    """
    p, q = _histograms(result, truth)
    middle = (p + q) / 2
    return TilePair(
        dab_score(result), dab_score(truth), _kl(p, q), (_kl(p, middle) + _kl(q, middle)) / 2
    )


def _histograms(*densities: Doubles) -> list[Doubles]:
    most = max(float(one.max()) for one in densities) + 1e-6
    found = []
    for one in densities:
        counts = np.histogram(one, BINS, (0.0, most), density=True)[0] + _NONE
        found.append(counts / counts.sum())
    return found


def _kl(p: Doubles, q: Doubles) -> float:
    return float((p * np.log(p / q)).sum())


@dataclass(frozen=True)
class DensitySums(Sums):
    """Sums of optical density over R, G and B, in powers of 10.

    Attributes:
        count: of values.
        integrated: sum of the densities; their mean is the mean integrated optical density.
        focal: sum of the densities to the power of 1.8, which weighs dark places.
    """

    count: int = 0
    integrated: float = 0.0
    focal: float = 0.0


def density_sums(pixels: Pixels) -> DensitySums:
    """Sums over an area, [h, w, 3] uint8."""
    counts = np.bincount(pixels.ravel(), minlength=256)
    return DensitySums(int(counts.sum()), float(counts @ _PLAIN), float(counts @ _PLAIN**FOCUS))


def correlation(pairs: list[TilePair]) -> float | None:
    """Pearson's correlation of the scores of tiles; None of fewer than three, or of equal ones."""
    if len(pairs) < 3:
        return None
    scores = np.array([(one.score, one.true_score) for one in pairs])
    if not (scores.std(axis=0) > 0).all():
        return None
    return float(np.corrcoef(scores.T)[0, 1])
