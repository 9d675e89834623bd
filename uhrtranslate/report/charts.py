"""Bars of a few figures, as numbers for the template to draw."""

from collections.abc import Sequence
from dataclasses import dataclass

from uhrtranslate.report.facts import Candidate
from uhrtranslate.report.measures import flatten, measure_of, number, written

# What is drawn, as far as candidates have it.
CHARTED = (
    "seam.ratio",
    "structure.ssim",
    "structure.gradient_correlation",
    "population.fid",
    "paired.ssim",
    "run.seconds",
    "run.peak_mb",
)
# More bars than these are no picture any more.
MOST_CHARTS, MOST_BARS = 4, 24


@dataclass(frozen=True)
class Bar:
    """One candidate's bar: its length as a share of the longest, 0 to 1, and the figure."""

    name: str
    colour: int
    share: float
    text: str


@dataclass(frozen=True)
class Chart:
    """A figure of all candidates.

    Attributes:
        title: of the figure.
        note: what it says, and what is good.
        bars: one for each candidate that has it.
        ideal: where the best would end, as a share; None where more or less is always better.
    """

    title: str
    note: str
    bars: tuple[Bar, ...]
    ideal: float | None


def charts(candidates: Sequence[Candidate]) -> list[Chart]:
    """Charts of the figures that say most; none for a single candidate."""
    flat = [flatten(candidate.metrics) for candidate in candidates[:MOST_BARS]]
    drawn = []
    for name in CHARTED:
        values = [number(figures.get(name)) for figures in flat]
        known = [value for value in values if value is not None]
        if len(known) > 1 and min(known) >= 0 and max(known) > 0:
            drawn.append(_chart(name, candidates, values))
    return drawn[:MOST_CHARTS]


def _chart(name: str, candidates: Sequence[Candidate], values: Sequence[float | None]) -> Chart:
    measure = measure_of(name)
    ideal = 1.0 if measure.direction == "one" else None
    top = max(max(value for value in values if value is not None), ideal or 0)
    bars = [
        Bar(candidate.name, colour, value / top, written(measure, value))
        for colour, (candidate, value) in enumerate(zip(candidates, values, strict=False))
        if value is not None
    ]
    goal = {"lower": "lower is better", "higher": "higher is better", "one": "1 is ideal"}
    note = "; ".join(filter(None, (measure.note, goal.get(measure.direction, ""))))
    return Chart(measure.label, note, tuple(bars), ideal / top if ideal else None)
