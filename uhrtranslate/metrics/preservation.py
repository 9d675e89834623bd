"""What a translation kept of local brightness, contrast and hue, cell by cell.

A generator that takes its statistics from elsewhere (a thumbnail, neighbours) paints some areas too
strongly and others too weakly; the DN paper calls this over- and under-colouring. So the image is
cut into cells, and the output's cells are compared with those of the source, or of the baseline:
the same generator run with plain IN on each cell alone, which is what it was trained for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from skimage.color import rgb2lab

from uhrtranslate.metrics.planes import Doubles, Pixels, grey, levels

# Grey levels of contrast, and Lab chroma, below which a cell has no ratio or no hue to speak of.
_FLAT, _PALE = 1.0, 2.0
# A cell is over- or under-coloured from here on: a fifth more or less is plain to see.
_OVER = 1.25
_FEWEST = 3  # cells that a correlation needs


@dataclass(frozen=True)
class CellFacts:
    """Facts of one cell.

    Attributes:
        mean: of grey, 0..255.
        contrast: standard deviation of grey, 0..127.5.
        lab: mean L, a, b of CIE Lab.
        saturated: share of pixels with a channel at 0 or 255.
    """

    mean: float
    contrast: float
    lab: tuple[float, float, float]
    saturated: float

    @property
    def chroma(self) -> float:
        """Distance of the mean colour from grey, in Lab."""
        return math.hypot(self.lab[1], self.lab[2])

    @property
    def hue(self) -> float:
        """Angle of the mean colour in Lab's a, b plane, in radians."""
        return math.atan2(self.lab[2], self.lab[1])


@dataclass(frozen=True)
class Preservation:
    """Output against source (or against baseline), over cells; None where cells do not tell.

    Against a source of another domain, brightness and hue change on purpose: look at correlations
    and spreads. Against a baseline, all of them tell.

    Attributes:
        cells: how many were compared.
        mean_correlation: Pearson's r of the cells' mean grey, -1..1; 1 is best: bright stays
            bright, dark stays dark (-1 from dark field to bright field).
        mean_rank_correlation: Spearman's of the same; does not mind a curved, monotone change.
        mean_difference: mean of output minus other, in grey levels; 0 is no change.
        contrast_correlation: Spearman's of the cells' contrast, -1..1; 1 is best: busy areas stay
            busy, bare ones bare. Patch-IN lifts bare cells, which lowers it.
        contrast_ratio: median of output's over other's contrast; 1 is no change.
        contrast_low, contrast_high: 5% and 95% quantiles of that ratio.
        contrast_spread: standard deviation of its natural logarithm, 0 or more; lower is better:
            the same change everywhere is a look, another one in each cell is an artefact.
        hue_shift: circular mean of the change of hue in degrees, -180..180; 0 is no change.
        hue_spread: circular standard deviation of it in degrees, 0 or more; lower is better.
        colour_distance: mean distance of the cells' mean colours in Lab (CIE 1976); 0 is equal.
        over_coloured: share of cells with a chroma of 1.25 times the other's or more; 0 is best.
        under_coloured: share with 1/1.25 of it or less; 0 is best.
        saturated, saturated_other: shares of pixels with a channel at 0 or 255.
    """

    cells: int
    mean_correlation: float | None
    mean_rank_correlation: float | None
    mean_difference: float
    contrast_correlation: float | None
    contrast_ratio: float | None
    contrast_low: float | None
    contrast_high: float | None
    contrast_spread: float | None
    hue_shift: float | None
    hue_spread: float | None
    colour_distance: float
    over_coloured: float | None
    under_coloured: float | None
    saturated: float
    saturated_other: float


def cell_facts(pixels: Pixels) -> CellFacts:
    """Facts of a cell, [h, w, 3] uint8."""
    luma = levels(grey(pixels))
    # A mean colour in Lab is that of the mean light only roughly; RGB means are what people blend.
    mean = pixels.reshape(-1, 3).mean(0) / 255
    light, a, b = rgb2lab(mean[None, None])[0, 0]
    ends = ((pixels == 0) | (pixels == 255)).any(axis=2)
    lab = (float(light), float(a), float(b))
    return CellFacts(float(luma.mean()), float(luma.std()), lab, float(ends.mean()))


def compare_cells(other: Sequence[CellFacts], output: Sequence[CellFacts]) -> Preservation:
    """Compare the cells of an output with those of its source, or of a baseline.

    Args:
        other: facts of the source's (or the baseline's) cells.
        output: facts of the output's, in the same order.

    Raises:
        ValueError: their numbers differ, or there are none.
    """
    if len(other) != len(output) or not output:
        raise ValueError(f"{len(other)} cells against {len(output)}")
    x, y = _table(other), _table(output)
    ratios = y[:, 1][x[:, 1] >= _FLAT] / x[:, 1][x[:, 1] >= _FLAT]
    logs = np.log(np.maximum(ratios, 1e-3))
    quantiles = np.quantile(ratios, (0.05, 0.5, 0.95)).tolist() if len(ratios) else (None,) * 3
    shift, spread = _turn(other, output)
    chroma = np.array([(a.chroma, b.chroma) for a, b in zip(other, output, strict=True)])
    chroma = chroma[chroma.max(1) >= _PALE]
    over = chroma[:, 1] >= _OVER * chroma[:, 0]
    under = chroma[:, 1] * _OVER <= chroma[:, 0]
    return Preservation(
        cells=len(output),
        mean_correlation=_pearson(x[:, 0], y[:, 0]),
        mean_rank_correlation=_spearman(x[:, 0], y[:, 0]),
        mean_difference=float((y[:, 0] - x[:, 0]).mean()),
        contrast_correlation=_spearman(x[:, 1], y[:, 1]),
        contrast_ratio=quantiles[1],
        contrast_low=quantiles[0],
        contrast_high=quantiles[2],
        contrast_spread=float(logs.std()) if len(logs) else None,
        hue_shift=shift,
        hue_spread=spread,
        colour_distance=float(np.linalg.norm(x[:, 2:5] - y[:, 2:5], axis=1).mean()),
        over_coloured=float(over.mean()) if len(chroma) else None,
        under_coloured=float(under.mean()) if len(chroma) else None,
        saturated=float(y[:, 5].mean()),
        saturated_other=float(x[:, 5].mean()),
    )


def histogram(pixels: Pixels) -> NDArray[np.int64]:
    """Counts of the 256 levels of R, G and B: [3, 256]. Those of blocks add up."""
    return np.stack([np.bincount(pixels[..., c].ravel(), minlength=256) for c in range(3)])


def histogram_correlation(a: NDArray[np.int64], b: NDArray[np.int64]) -> float | None:
    """Pearson's correlation of two histograms' counts, mean of R, G and B: -1..1, 1 is best.

    None where a histogram is empty or flat. Which level follows which does not matter to it, only
    how often each one occurs.

    Args:
        a, b: [3, 256] as from `histogram`.
    """
    found = [
        _pearson(x.astype(np.float64), y.astype(np.float64)) for x, y in zip(a, b, strict=True)
    ]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if len(known) == 3 else None


def _table(cells: Sequence[CellFacts]) -> Doubles:
    return np.array([(c.mean, c.contrast, *c.lab, c.saturated) for c in cells], np.float64)


def _turn(
    other: Sequence[CellFacts], output: Sequence[CellFacts]
) -> tuple[float | None, float | None]:
    """Circular mean and standard deviation of the change of hue, weighted by chroma; degrees."""
    pairs = [p for p in zip(other, output, strict=True) if min(c.chroma for c in p) >= _PALE]
    if not pairs:
        return None, None
    weights = np.array([min(a.chroma, b.chroma) for a, b in pairs])
    turns = np.exp(1j * np.array([b.hue - a.hue for a, b in pairs]))
    mean = complex((weights * turns).sum() / weights.sum())
    length = min(max(abs(mean), 1e-12), 1.0)
    return math.degrees(math.atan2(mean.imag, mean.real)), math.degrees(
        math.sqrt(-2 * math.log(length))
    )


def _pearson(x: Doubles, y: Doubles) -> float | None:
    if len(x) < _FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return None
    return float(np.corrcoef(x, y)[0, 1])


def _spearman(x: Doubles, y: Doubles) -> float | None:
    return _pearson(rankdata(x), rankdata(y))
