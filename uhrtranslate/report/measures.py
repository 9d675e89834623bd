"""What figures are called, which direction is good, and who is best: the rows of the page's table.

A figure that is not listed here is shown, too, under its own name and without a best one.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from uhrtranslate.report.facts import Candidate

Direction = Literal["lower", "higher", "one", "zero", "none"]

GROUPS: dict[str, str] = {
    "seam": "Seams",
    "colour": "Colour and contrast against the source",
    "baseline": "Colour and contrast against plain IN of each cell",
    "structure": "Structure against the source",
    "paired": "Against paired truth",
    "population": "Against a real population",
    "quality": "Quality without reference",
    "domain": "Taken for the target domain",
    "run": "Cost",
}
ARROWS: dict[Direction, str] = {
    "lower": "↓ lower is better",
    "higher": "↑ higher is better",
    "one": "→ nearest to 1 is best",
    "zero": "→ nearest to 0 is best",
    "none": "",
}


# Where things were measured is in the files; it would only fill the table.
UNSAID = {"seam.grid", "seam.x", "seam.y", "colour.cell", "baseline.cell"}
NOTHING = "\N{EN DASH}"


@dataclass(frozen=True)
class Measure:
    """A figure as the page shows it.

    Attributes:
        label: for people.
        direction: what is good.
        digits: behind the point.
        note: what it says, in a line.
        unit: behind the number.
    """

    label: str
    direction: Direction = "none"
    digits: int = 3
    note: str = ""
    unit: str = ""


def _preservation(group: str, against_source: bool) -> dict[str, Measure]:
    """Figures of cells; from one domain to another, brightness and hue change on purpose."""
    zero: Direction = "none" if against_source else "zero"
    one: Direction = "none" if against_source else "one"
    found = {
        "mean_correlation": Measure("Brightness, correlation", "higher", 3, "of cells' means"),
        "mean_rank_correlation": Measure("Brightness, ranks", "higher", 3, "Spearman's"),
        "mean_difference": Measure("Brightness, change", zero, 1, "in grey levels"),
        "contrast_correlation": Measure("Contrast, ranks", "higher", 3, "busy stays busy"),
        "contrast_ratio": Measure("Contrast, ratio", one, 3, "median over cells"),
        "contrast_low": Measure("Contrast, ratio, 5%", "none", 3),
        "contrast_high": Measure("Contrast, ratio, 95%", "none", 3),
        "contrast_spread": Measure("Contrast, spread", "lower", 3, "of the ratio's logarithm"),
        "hue_shift": Measure("Hue, change", zero, 1, "circular mean", "°"),
        "hue_spread": Measure("Hue, spread", "lower", 1, "circular deviation", "°"),
        "colour_distance": Measure("Colour distance", zero, 2, "of cells' means, CIE Lab"),
        "over_coloured": Measure("Over-coloured", zero, 3, "share of cells"),
        "under_coloured": Measure("Under-coloured", zero, 3, "share of cells"),
        "saturated": Measure("Saturated", "none", 3, "share of pixels"),
        "saturated_other": Measure("Saturated there", "none", 3, "share of pixels"),
        "histogram_correlation": Measure("Histograms, correlation", "higher", 3),
    }
    return {f"{group}.{name}": measure for name, measure in found.items()}


MEASURES: dict[str, Measure] = {
    "seam.ratio": Measure(
        "Seam ratio", "one", 3, "colour step at tile borders over the step off them"
    ),
    "seam.p_value": Measure(
        "p-value", "none", 4, "chance that a grid without seams would score as much"
    ),
    "seam.period": Measure("Tile period", "none", 0, "of the grid that was measured", "px"),
    "seam.gradient_ratio": Measure(
        "Gradient ratio", "one", 3, "one-pixel gradient at borders over elsewhere: padding"
    ),
    "seam.source_ratio": Measure("Source's ratio", "none", 3, "the same figure of the source"),
    "seam.borders": Measure("Borders measured", "none", 0),
    "seam.ratio_x": Measure("Seam ratio, vertical borders", "one", 3),
    "seam.ratio_y": Measure("Seam ratio, horizontal borders", "one", 3),
    "seam.worst_ratio": Measure("Worst image's seam ratio", "one", 3),
    **_preservation("colour", against_source=True),
    **_preservation("baseline", against_source=False),
    "structure.ssim": Measure("SSIM", "higher", 4, "on grey"),
    "structure.pcc": Measure("PCC", "higher", 4, "Pearson's correlation, on grey"),
    "structure.psnr": Measure("PSNR", "higher", 2, "on grey", "dB"),
    "structure.ms_ssim": Measure("MS-SSIM", "higher", 4, "on grey, five scales"),
    "structure.gradient_similarity": Measure("Gradient similarity", "higher", 4, "Sobel, grey"),
    "structure.gradient_correlation": Measure(
        "Gradient correlation", "higher", 4, "edges in the same places, of any strength"
    ),
    "structure.lpips_c": Measure("LPIPS-c", "lower", 4, "against the enhanced source"),
    "paired.psnr": Measure("PSNR", "higher", 2, "", "dB"),
    "paired.ssim": Measure("SSIM", "higher", 4),
    "paired.ms_ssim": Measure("MS-SSIM", "higher", 4),
    "paired.lpips": Measure("LPIPS", "lower", 4),
    "population.fid": Measure("FID", "lower", 2, "of patches cut across tile borders"),
    "population.kid": Measure("KID", "lower", 5),
    "population.precision": Measure("Precision", "higher", 3, "share that looks real"),
    "population.recall": Measure("Recall", "higher", 3, "share of the real that is reached"),
    "quality.niqe": Measure("NIQE", "lower", 3),
    "domain.accuracy": Measure("Accuracy", "none", 3, "of the classifier on held-out real patches"),
    "domain.taken_for_target": Measure("Taken for the target", "higher", 3),
    "run.seconds": Measure("Time", "lower", 1, "to translate, wall clock", "s"),
    "run.megapixels_per_second": Measure("Speed", "higher", 2, "", "MP/s"),
    "run.peak_mb": Measure("Peak memory", "lower", 0, "of the process", "MB"),
    "run.gpu_mb": Measure("Peak GPU memory", "lower", 0, "", "MB"),
    "run.evaluation_seconds": Measure("Evaluation", "none", 1, "time to measure it", "s"),
}


@dataclass(frozen=True)
class Cell:
    """A figure of one candidate: how it reads, and whether it is the best."""

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


def table(candidates: Sequence[Candidate]) -> dict[str, list[Row]]:
    """The rows of the table by the title of their group, known figures first.

    Figures that no candidate has are left out.
    """
    flat = [flatten(candidate.metrics) for candidate in candidates]
    flat = [{k: v for k, v in figures.items() if k not in UNSAID} for figures in flat]
    names = list(dict.fromkeys(name for figures in flat for name in figures))
    known = [name for name in MEASURES if name in names]
    groups: dict[str, list[Row]] = {title: [] for title in GROUPS.values()}
    for name in (*known, *(name for name in names if name not in MEASURES)):
        values = [figures.get(name) for figures in flat]
        if all(value is None for value in values):
            continue
        group = name.partition(".")[0]
        title = GROUPS.get(group, group.replace("_", " ").capitalize())
        groups.setdefault(title, []).append(_row(measure_of(name), values, candidates))
    return {title: rows for title, rows in groups.items() if rows}


def flatten(metrics: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Figures by full name, as `seam.ratio`; lists become text."""
    flat: dict[str, Any] = {}
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{before}{name}.")
        elif isinstance(value, list | tuple):
            flat[before + name] = ", ".join(_plain(item) for item in value)
        else:
            flat[before + name] = value
    return flat


def measure_of(name: str) -> Measure:
    """How a figure is shown; for one that is not known, under its own name."""
    return MEASURES.get(name) or Measure(
        name.partition(".")[2].replace("_", " ").replace(".", ", ")
    )


def number(value: Any) -> float | None:
    """A value as a finite number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def written(measure: Measure, value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return "∞" if value > 0 else NOTHING
    if isinstance(value, int) or measure.digits == 0:
        return f"{value:,.0f}{_unit(measure)}"
    return f"{value:,.{measure.digits}f}{_unit(measure)}"


def _unit(measure: Measure) -> str:
    return f"\N{NO-BREAK SPACE}{measure.unit}" if measure.unit else ""


def _plain(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(measure: Measure, values: Sequence[Any], candidates: Sequence[Candidate]) -> Row:
    texts = [written(measure, value) for value in values]
    costs = [
        None if candidate.yardstick else _cost(measure.direction, number(value))
        for value, candidate in zip(values, candidates, strict=True)
    ]
    known = [cost for cost in costs if cost is not None]
    if len(known) < 2 or min(known) == max(known):
        return Row(measure, tuple(Cell(text) for text in texts))
    # What reads the same is as good.
    winner = texts[costs.index(min(known))]
    return Row(
        measure,
        tuple(
            Cell(text, cost is not None and text == winner)
            for text, cost in zip(texts, costs, strict=True)
        ),
    )


def _cost(direction: Direction, value: float | None) -> float | None:
    """The less the better."""
    if value is None:
        return None
    costs = {
        "lower": value, "higher": -value, "one": abs(value - 1), "zero": abs(value), "none": None
    }  # fmt: skip
    return costs[direction]
