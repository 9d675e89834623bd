"""The rows of the page's table: what figures are called, what is good, and who is best.

Figures of unknown groups are shown too, under their own names and without a best one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from uhrtranslate.report.facts import Candidate

Direction = Literal["lower", "higher", "one", "zero", "none"]

ARROWS: dict[Direction, str] = {
    "lower": "↓ lower is better",
    "higher": "↑ higher is better",
    "one": "→ nearest to 1 is best",
    "zero": "→ nearest to 0 is best",
    "none": "",
}

GOALS: dict[Direction, str] = {
    "lower": "lower is better",
    "higher": "higher is better",
    "one": "1 is best",
    "zero": "0 is best",
}
# The best is better than the next by more than this share of its value, or nobody is the best.
CLEAR = 0.01
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Measure:
    """A figure as the page shows it.

    Attributes:
        label: its title.
        direction: which values are good.
        digits: after the decimal point.
        note: what it means, in a few words.
        unit: written after the number.
        charted: whether it is one of the few drawn as bars.
        judged: whether it is one of the few whose best is marked, if one is clearly the best.
        interval: whether `NAME_low` and `NAME_high` are the ends of its interval; a best one's does
            not overlap with any other's.
        fewest: `borders` of the group below which nobody is the best.
        missing: written where it is None; if not empty, the row is shown even if all are None.
    """

    label: str
    direction: Direction = "none"
    digits: int = 3
    note: str = ""
    unit: str = ""
    charted: bool = False
    judged: bool = False
    interval: bool = False
    fewest: int = 0
    missing: str = ""


@dataclass(frozen=True)
class Group:
    """Figures that are shown together.

    Attributes:
        title: above them.
        measures: by name, in order; None for figures of interest to programs only.
    """

    title: str
    measures: Mapping[str, Measure | None]


@dataclass(frozen=True)
class Cell:
    """A figure of one candidate as text, and whether it is the best."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class Row:
    """A figure of all candidates."""

    measure: Measure
    cells: tuple[Cell, ...]

    @property
    def arrow(self) -> str:
        """The direction in words."""
        return ARROWS[self.measure.direction]


def table(candidates: Sequence[Candidate], groups: Mapping[str, Group]) -> dict[str, list[Row]]:
    """The rows of the table by the title of their group, known figures first.

    Candidates are the columns; `groups` are the known figures by the name of their group. Figures
    that no candidate has are left out.
    """
    flat = [flatten(candidate.metrics) for candidate in candidates]
    names = list(dict.fromkeys(name for figures in flat for name in figures))
    listed = [f"{name}.{own}" for name, group in groups.items() for own in group.measures]
    rows: dict[str, list[Row]] = {group.title: [] for group in groups.values()}
    for name in dict.fromkeys([*(name for name in listed if name in names), *names]):
        measure = measure_of(name, groups)
        values = [figures.get(name) for figures in flat]
        known = any(name in figures for figures in flat)
        shown = known and (measure is not None and bool(measure.missing))
        if measure is None or (all(value is None for value in values) and not shown):
            continue
        group = name.partition(".")[0]
        title = groups[group].title if group in groups else group.replace("_", " ").capitalize()
        rows.setdefault(title, []).append(_row(name, measure, values, candidates, flat))
    return {title: some for title, some in rows.items() if some}


@dataclass(frozen=True)
class Told:
    """A figure of one image for people: its group, its name, its value, and what that means."""

    group: str
    label: str
    text: str
    meaning: str


def shortlist(flat: Mapping[str, Any], groups: Mapping[str, Group]) -> list[Told]:
    """The few figures of one image that say most: those by which a best one is chosen.

    Args:
        flat: figures by full name, see `flatten`.
        groups: the known figures by the name of their group.
    """
    told = []
    for name, group in groups.items():
        for own, measure in group.measures.items():
            value = flat.get(f"{name}.{own}")
            if measure is None or not measure.judged or value is None:
                continue
            text = written(measure, value)
            ends = [number(flat.get(f"{name}.{own}_{end}")) for end in ("low", "high")]
            if measure.interval and None not in ends:
                low, high = (f"{end:.{measure.digits}f}" for end in ends if end is not None)
                text += f" ({low} to {high})"
            meaning = "; ".join(filter(None, (GOALS.get(measure.direction), measure.note)))
            told.append(Told(group.title, measure.label, text, meaning))
    return told


def flatten(metrics: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Figures by full name, such as `seam.ratio`; lists become text."""
    flat: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{before}{name}.")
        elif isinstance(value, list | tuple):
            flat[before + name] = ", ".join(_plain(item) for item in value)
        else:
            flat[before + name] = value
    return flat


def measure_of(name: str, groups: Mapping[str, Group]) -> Measure | None:
    """How a figure is shown; None if it is not; unknown ones go by their own name."""
    group, _, own = name.partition(".")
    if group in groups and own in groups[group].measures:
        return groups[group].measures[own]
    return Measure(own.replace("_", " ").replace(".", ", "))


def number(value: Any) -> float | None:
    """A value as a finite number; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def written(measure: Measure, value: Any) -> str:
    """A value as text."""
    if value is None:
        return measure.missing or NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return "∞" if value > 0 else NOTHING
    digits = 0 if isinstance(value, int) else measure.digits
    unit = f"\N{NO-BREAK SPACE}{measure.unit}" if measure.unit else ""
    return f"{value:,.{digits}f}{unit}"


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(
    name: str,
    measure: Measure,
    values: Sequence[Any],
    candidates: Sequence[Candidate],
    flat: Sequence[Mapping[str, Any]],
) -> Row:
    texts = [written(measure, value) for value in values]
    costs = [
        None if candidate.yardstick else _cost(measure.direction, number(value))
        for value, candidate in zip(values, candidates, strict=True)
    ]
    known = {i: cost for i, cost in enumerate(costs) if cost is not None}
    nobody = Row(measure, tuple(Cell(text) for text in texts))
    if not measure.judged or len(known) < 2:
        return nobody
    winner = min(known, key=lambda i: known[i])
    # All that read the same as the best are best.
    others = [i for i in known if texts[i] != texts[winner]]
    clear = CLEAR * max(abs(number(values[winner]) or 0), 1e-9)
    if not others or min(known[i] for i in others) - known[winner] <= clear:
        return nobody
    if measure.fewest and any(
        (number(flat[i].get(f"{name.partition('.')[0]}.borders")) or 0) < measure.fewest
        for i in known
    ):
        return nobody
    if measure.interval and any(_overlap(name, flat[winner], flat[i]) for i in others):
        return nobody
    return Row(
        measure,
        tuple(Cell(text, i in known and text == texts[winner]) for i, text in enumerate(texts)),
    )


def _overlap(name: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two candidates' intervals of a figure overlap, or one of them is not known."""
    ends = [number(of.get(f"{name}_{end}")) for of in (one, other) for end in ("low", "high")]
    if any(end is None for end in ends):
        return True
    low, high, other_low, other_high = (end or 0.0 for end in ends)
    return low <= other_high and other_low <= high


def _cost(direction: Direction, value: float | None) -> float | None:
    """A number that is smaller the better the value is; None if no value is better."""
    if value is None:
        return None
    costs = {
        "lower": value, "higher": -value, "one": abs(value - 1), "zero": abs(value), "none": None
    }  # fmt: skip
    return costs[direction]
