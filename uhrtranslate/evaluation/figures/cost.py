"""The cost of a translation."""

from uhrtranslate.evaluation.figures.base import Figure
from uhrtranslate.report import Group, Measure


class Cost(Figure):
    """Time and memory: no file tells them, so `uhrt compare` adds them to its evaluations."""

    group = Group(
        "Cost",
        {
            "seconds": Measure("Time", "lower", 1, "to translate, wall clock", "s", charted=True),
            "megapixels_per_second": Measure("Speed", "higher", 2, "", "MP/s"),
            "peak_mb": Measure("Peak memory", "lower", 0, "of the process", "MB", charted=True),
            "gpu_mb": Measure("Peak GPU memory", "lower", 0, "", "MB"),
            "evaluation_seconds": Measure("Evaluation", "none", 1, "time to measure it", "s"),
        },
    )
