"""Bar charts of a few figures, as numbers for the template to draw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from uhrtranslate.report.facts import Candidate
from uhrtranslate.report.measures import Group, Measure, flatten, number, written

# With more bars than this, a chart is unreadable.
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
        note: what it means, and which values are good.
        bars: one for each candidate that has the figure.
        ideal: length of a perfect bar, as a share; None if more or less is always better.
    """

    title: str
    note: str
    bars: tuple[Bar, ...]
    ideal: float | None


def charts(candidates: Sequence[Candidate], groups: Mapping[str, Group]) -> list[Chart]:
    """Charts of the most telling figures, with a bar per candidate; none for a single candidate.

    `groups` are the known figures by the name of their group.
    """
    flat = [flatten(candidate.metrics) for candidate in candidates[:MOST_BARS]]
    charted = [
        (f"{name}.{own}", measure)
        for name, group in groups.items()
        for own, measure in group.measures.items()
        if measure and measure.charted
    ]
    drawn = []
    for name, measure in charted:
        values = [number(figures.get(name)) for figures in flat]
        known = [value for value in values if value is not None]
        if len(known) > 1 and min(known) >= 0 and max(known) > 0:
            drawn.append(_chart(measure, candidates, values))
    return drawn[:MOST_CHARTS]


def _chart(
    measure: Measure, candidates: Sequence[Candidate], values: Sequence[float | None]
) -> Chart:
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
