"""From the figures of methods on slides to means, intervals and paired tests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np

from uhrtranslate.evaluation.result import Metrics
from uhrtranslate.metrics.comparing import Mean, PairedTest, holm, mean_of, paired_test
from uhrtranslate.options import Region
from uhrtranslate.report.measures import flatten, number


@dataclass(frozen=True)
class Outcome:
    """One method on one slide with one seed.

    Attributes:
        method, slide, seed: which.
        unit: what is one picture: the slide, or a crop of it.
        status: done or failed.
        error: a sentence, if it failed.
        cached: whether nothing had to be done.
        output: the result's path.
        part: x, y, w and h of what was measured of it, if that is not all.
        truth: the path of the truth, if there is one in the same frame.
        metrics: figures by group and name, with the group `run` of costs.
    """

    method: str
    slide: str
    seed: int
    unit: str
    status: str = "done"
    error: str | None = None
    cached: bool = False
    output: str | None = None
    part: Region | None = None
    truth: str | None = None
    metrics: Metrics = field(default_factory=dict)


@dataclass(frozen=True)
class Summary:
    """What all outcomes say together.

    Attributes:
        means: by method and full name of a figure.
        tests: by figure, then by pairs of methods, and p-values after Holm for that figure.
    """

    means: dict[str, dict[str, Mean]]
    tests: dict[str, dict[tuple[str, str], tuple[PairedTest, float | None]]]


def summarised(outcomes: Sequence[Outcome], methods: Sequence[str]) -> Summary:
    """Means over pictures, and tests of methods in pairs on the pictures that both have.

    Seeds of one picture are averaged first: they are no pictures of their own.

    Args:
        outcomes: of all methods.
        methods: in their order.
    """
    values = {
        method: _by_unit(one for one in outcomes if one.method == method) for method in methods
    }
    means = {
        method: {name: mean_of(list(units.values())) for name, units in figures.items()}
        for method, figures in values.items()
    }
    names = list(dict.fromkeys(name for figures in values.values() for name in figures))
    return Summary(means, {name: _tests(name, values, methods) for name in names})


def _by_unit(outcomes: Iterable[Outcome]) -> dict[str, dict[str, float]]:
    """Figures that are numbers, by name and picture."""
    gathered: dict[str, dict[str, list[float]]] = {}
    for one in outcomes:
        for name, value in flatten(one.metrics).items():
            if (found := number(value)) is not None:
                gathered.setdefault(name, {}).setdefault(one.unit, []).append(found)
    return {
        name: {unit: float(np.mean(found)) for unit, found in units.items()}
        for name, units in gathered.items()
    }


def _tests(
    name: str, values: dict[str, dict[str, dict[str, float]]], methods: Sequence[str]
) -> dict[tuple[str, str], tuple[PairedTest, float | None]]:
    tests: dict[tuple[str, str], PairedTest] = {}
    for ours, others in combinations(methods, 2):
        a, b = (values[method].get(name, {}) for method in (ours, others))
        units = [unit for unit in a if unit in b]
        if units:
            tests[ours, others] = paired_test([a[one] for one in units], [b[one] for one in units])
    known = [pair for pair, test in tests.items() if test.p_value is not None]
    p_values: list[Any] = [tests[pair].p_value for pair in known]
    corrected = dict(zip(known, holm(p_values), strict=True))
    return {pair: (test, corrected.get(pair)) for pair, test in tests.items()}
