"""The files of a benchmark: a page for people, JSON and CSV for programs."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from uhrtranslate.evaluation.benchmark import Outcome, Summary
from uhrtranslate.evaluation.page import write_files
from uhrtranslate.io.files.disk import csv_text, write_text
from uhrtranslate.metrics.comparing import Mean, PairedTest
from uhrtranslate.report import Candidate, Group, Page, Scene
from uhrtranslate.report.measures import Measure, measure_of
from uhrtranslate.tables import FIGURES
from uhrtranslate.version import __version__

STEM = "benchmark"
MEANS, TESTS = f"{STEM}-means.csv", f"{STEM}-tests.csv"
# Figures of costs that are shown with intervals and tests, besides those that are judged.
_COSTS = ("run.seconds", "run.peak_mb")


def write_benchmark(
    outcomes: Sequence[Outcome], summary: Summary, methods: Sequence[str], against: str,
    title: str, folder: Path, scenes: Sequence[Scene] = (),
) -> Path:  # fmt: skip
    """Write `index.html`, `benchmark.json` and three CSV files; earlier ones are replaced.

    Args:
        outcomes: all of them.
        summary: of them.
        methods: in their order.
        against: the method that others are compared with.
        title: of the page.
        folder: of the files.
        scenes: what methods made of slides.

    Returns:
        The page.

    Raises:
        OutputError: they cannot be written.
    """
    groups = {name: figure.group for name, figure in FIGURES.items()}
    failed = [one for one in outcomes if one.status == "failed"]
    page = Page(
        title=title,
        lead=_lead(outcomes, methods, against, failed),
        candidates=tuple(
            _candidate(method, summary, against, groups, failed) for method in methods
        ),
        scenes=tuple(scenes),
        settings={
            "uhrt": __version__,
            "methods": f"{len(methods)}",
            "pictures": f"{len({one.unit for one in outcomes})}",
            "seeds": ", ".join(str(seed) for seed in sorted({one.seed for one in outcomes})),
        },
        files=(f"{STEM}.json", f"{STEM}.csv", MEANS, TESTS),
    )
    records = [dataclasses.asdict(one) for one in outcomes]
    means, tests = _mean_rows(summary), _test_rows(summary)
    content = {"uhrt": __version__, "outcomes": records, "means": means, "tests": tests}
    path = write_files(page, content, records, folder, STEM)
    for name, rows in ((MEANS, means), (TESTS, tests)):
        columns = list(dict.fromkeys(column for row in rows for column in row))
        write_text(folder / name, csv_text(columns, rows))
    return path


def _lead(
    outcomes: Sequence[Outcome], methods: Sequence[str], against: str, failed: Sequence[Outcome]
) -> str:
    pictures = len({one.unit for one in outcomes})
    text = (
        f"{len(methods)} methods on {pictures} pictures: means, with 95% intervals by bootstrap "
        f"over pictures; differences from {against} with Wilcoxon's signed-rank test on the same "
        "pictures, p-values after Holm over all pairs of methods for each figure."
    )
    return f"{text} {len(failed)} of {len(outcomes)} results failed." if failed else text


def _candidate(
    method: str, summary: Summary, against: str, groups: dict[str, Group], failed: Sequence[Outcome]
) -> Candidate:
    errors = [one.error for one in failed if one.method == method and one.error]
    means = summary.means[method]
    if not means:
        return Candidate(method, {}, error=errors[0] if errors else "nothing was measured.")
    metrics: dict[str, dict[str, Any]] = {}
    for name, mean in means.items():
        group, _, own = name.partition(".")
        if group in groups and own in groups[group].measures:
            metrics.setdefault(group, {})[own] = mean.value
    intervals, differences = {}, {}
    for name, mean in means.items():
        measure = measure_of(name, groups)
        if measure is None or not (measure.judged or name in _COSTS):
            continue
        label = f"{groups[name.partition('.')[0]].title}: {measure.label}"
        intervals[label] = _interval(mean, measure)
        differences[label] = _difference(summary, name, method, against, measure)
    metrics["95% intervals over pictures"] = intervals
    metrics[f"difference from {against}"] = differences
    return Candidate(method, metrics, warnings=tuple(dict.fromkeys(errors)))


def _interval(mean: Mean, measure: Measure) -> str:
    if mean.low is None or mean.high is None:
        return f"{mean.value:.{measure.digits}f} (one picture)"
    low, high = (f"{end:.{measure.digits}f}" for end in (mean.low, mean.high))
    return f"{low} to {high}"


def _difference(
    summary: Summary, name: str, method: str, against: str, measure: Measure
) -> str | None:
    """In words, with its sign as of the method minus the other."""
    tests = summary.tests.get(name, {})
    for pair, sign in (((method, against), 1), ((against, method), -1)):
        if pair in tests:
            test, p_value = tests[pair]
            text = _signed(test, sign, measure)
            return text if p_value is None else f"{text}, p = {p_value:.3g}"
    return None


def _signed(test: PairedTest, sign: int, measure: Measure) -> str:
    mean, digits = test.difference, measure.digits
    text = f"{sign * mean.value:+.{digits}f}"
    if mean.low is None or mean.high is None:
        return text
    low, high = sorted((sign * mean.low, sign * mean.high))
    return f"{text} ({low:+.{digits}f} to {high:+.{digits}f})"


def _mean_rows(summary: Summary) -> list[dict[str, Any]]:
    return [
        {"method": method, "figure": name, "mean": mean.value, "low": mean.low, "high": mean.high}
        | {"pictures": mean.count}
        for method, figures in summary.means.items()
        for name, mean in figures.items()
    ]


def _test_rows(summary: Summary) -> list[dict[str, Any]]:
    return [
        {
            "figure": name,
            "method": pair[0],
            "other": pair[1],
            "difference": test.difference.value,
            "low": test.difference.low,
            "high": test.difference.high,
            "pictures": test.difference.count,
            "p_value": test.p_value,
            "p_holm": corrected,
        }
        for name, tests in summary.tests.items()
        for pair, (test, corrected) in tests.items()
    ]
