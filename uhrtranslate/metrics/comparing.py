"""Whether one method is better than another, from figures of the same pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, wilcoxon

DRAWS = 2000
# With fewer pairs, no p-value of Wilcoxon's test can be below 0.05.
FEWEST = 6
# Up to so many pairs, all signs are tried: SciPy does the same where there are ties, a thousand
# times slower.
_ALL_SIGNS = 13


@dataclass(frozen=True)
class Mean:
    """A mean and its 95% interval by bootstrap; without an interval of one value."""

    value: float
    low: float | None
    high: float | None
    count: int


@dataclass(frozen=True)
class PairedTest:
    """One method against another.

    Attributes:
        difference: mean of the first minus the second, with its interval over pairs.
        p_value: of Wilcoxon's signed-rank test, two-sided; None with fewer than six pairs, 1 if all
            are equal.
    """

    difference: Mean
    p_value: float | None


def mean_of(values: Sequence[float], seed: int = 0) -> Mean:
    """Mean of figures of several pictures; pictures are drawn anew for the interval.

    Raises:
        ValueError: there is no value.
    """
    if not len(values):
        raise ValueError("a mean needs a value")
    found = np.asarray(values, np.float64)
    if len(found) == 1:
        return Mean(float(found[0]), None, None, 1)
    drawn = np.random.default_rng(seed).integers(0, len(found), (DRAWS, len(found)))
    low, high = np.quantile(found[drawn].mean(axis=1), [0.025, 0.975])
    return Mean(float(found.mean()), float(low), float(high), len(found))


def paired_test(ours: Sequence[float], others: Sequence[float], seed: int = 0) -> PairedTest:
    """Compare figures of the same pictures, pair by pair.

    Args:
        ours, others: of equal length, one or more.
        seed: of the bootstrap.
    """
    apart = np.asarray(ours, np.float64) - np.asarray(others, np.float64)
    difference = mean_of(apart.tolist(), seed)
    if len(apart) < FEWEST:
        return PairedTest(difference, None)
    if not apart.any():
        return PairedTest(difference, 1.0)
    return PairedTest(difference, signed_rank_p(apart[apart != 0]))


def signed_rank_p(apart: NDArray[np.float64]) -> float:
    """P-value of Wilcoxon's signed-rank test, two-sided, of differences none of which is 0.

    Exact, with ties too, for up to 13; then as SciPy decides.
    """
    if len(apart) > _ALL_SIGNS:
        return float(wilcoxon(apart).pvalue)
    ranks = rankdata(np.abs(apart))  # multiples of 1/2, so sums are exact
    sums, own = _signs(len(apart)) @ ranks, ranks[apart > 0].sum()
    return float(min(1.0, 2 * min(np.mean(sums >= own), np.mean(sums <= own))))


@cache
def _signs(count: int) -> NDArray[np.float64]:
    """All choices of which of `count` differences are positive, [2^count, count]."""
    return (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(np.float64)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values for several tests together, by Holm's step-down method."""
    order = np.argsort(p_values)
    corrected = [0.0] * len(p_values)
    most = 0.0
    for rank, i in enumerate(order):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[i]))
        corrected[i] = most
    return corrected
