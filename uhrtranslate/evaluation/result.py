"""What an evaluation found."""

import base64
import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.io import Source
from uhrtranslate.metrics.seams.borders import Border

Metrics = dict[str, dict[str, Any]]


@dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What was measured on one image, or on all images together.

    Attributes:
        input: path or URL of the image; "*" for all images together.
        source, truth, reference: paths or URLs of what it was compared with, if any.
        width, height: of the evaluated part, in px; 0 for all images together.
        mpp: micrometres per pixel of that part.
        region: x, y, w, h in the image's level-0 px; None for the whole image.
        metrics: figures by group and name: numbers, strings or None, fit for JSON.
        borders: the ten most visible ones, the worst first.
        heat: [rows, columns] of tiles: the step at the borders around each, in grey levels; None
            without a grid.
        warnings: sentences.
        seconds: duration of the evaluation.
        places: where the image and its source can be opened again; a URL may hold what is secret,
            so they are in no record.
    """

    input: str
    source: str | None
    truth: str | None
    reference: str | None
    width: int = 0
    height: int = 0
    mpp: float | None = None
    region: tuple[int, int, int, int] | None = None
    metrics: Metrics
    borders: tuple[Border, ...] = ()
    heat: NDArray[np.float32] | None = None
    warnings: tuple[str, ...] = ()
    seconds: float
    places: tuple[Source, Source | None] = ("", None)


def record(evaluation: Evaluation) -> dict[str, Any]:
    """An evaluation as JSON values, without the heat map."""
    late = {
        "metrics": finite_metrics(evaluation),
        "borders": [dataclasses.asdict(border) for border in evaluation.borders],
        "warnings": list(evaluation.warnings),
    }
    left_out = ("heat", "places", *late)
    return {name: value for name, value in vars(evaluation).items() if name not in left_out} | late


def as_line(evaluation: Evaluation) -> dict[str, Any]:
    """The same as a line of output; groups of metrics stand next to the other facts."""
    facts = record(evaluation)
    metrics, borders, warnings, _ = (
        facts.pop(name) for name in ("metrics", "borders", "warnings", "seconds")
    )
    last = {"borders": borders, "warnings": warnings, "seconds": round(evaluation.seconds, 3)}
    return {"input": evaluation.input, "status": "done", **facts, **metrics, **last}


def finite_metrics(evaluation: Evaluation) -> Metrics:
    """Figures by group and name; None for infinite ones (PSNR of equal images): JSON has none."""
    return {
        group: {
            name: None if isinstance(value, float) and not math.isfinite(value) else value
            for name, value in figures.items()
        }
        for group, figures in evaluation.metrics.items()
    }


def heat_record(evaluation: Evaluation) -> dict[str, Any] | None:
    """The heat map as JSON values, for `uhrt view`; None without one.

    Returns:
        `x`, `y`: where the first tile begins, and `step`: the side of tiles, in px of what was
        evaluated; `rows` and `columns` of tiles; `values`: base64 of a byte each, row by row: the
        step in tenths of grey levels, at most 254; 255 where none was measured.
    """
    seam = evaluation.metrics.get("seam", {})
    step = seam.get("period") or seam.get("grid")
    if evaluation.heat is None or not isinstance(step, int):
        return None
    tenths = np.nan_to_num(evaluation.heat * 10, nan=255.0)
    known = np.isfinite(evaluation.heat)
    values = np.where(known, tenths.clip(0, 254), 255).round().astype(np.uint8)
    return {
        "x": (seam.get("x") or step) - step,
        "y": (seam.get("y") or step) - step,
        "step": step,
        "rows": values.shape[0],
        "columns": values.shape[1],
        "values": base64.b64encode(values.tobytes()).decode(),
    }
