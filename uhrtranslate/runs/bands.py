"""A slide that several workers share: cut into bands of rows, which are put together again."""

import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from uhrtranslate.engine import MOST_KEPT, Clock, Recorded, Schedule, Transform, record, stream
from uhrtranslate.errors import OutputError
from uhrtranslate.geometry import BlendedPlan
from uhrtranslate.io import OutputSpec
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.io.writers.formats import SLIDE_SUFFIXES
from uhrtranslate.io.writers.pyramid import BandWriter
from uhrtranslate.options import TranslateOptions
from uhrtranslate.recipes.recipe import Skipped
from uhrtranslate.replace import replace_file
from uhrtranslate.runs.events import Advanced, ImageResult, OnEvent
from uhrtranslate.runs.one_image import Begun
from uhrtranslate.runs.prepared import Prepared

# Slides of more px are shared by workers unless the user says otherwise, in bands of so many px.
LARGE, BAND = 1_000_000_000, 250_000_000
# The same where workers would otherwise have nothing to do: each band needs the statistics of cells
# around it, so it has some rows of cells at least. Of these, bands come out even for the workers;
# where it is not known how many will come, smaller slides take longer in bands.
LARGE_FOR_FEW, LARGE_FOR_ONE, ROWS_FOR_FEW, BANDS_FOR_FEW = 8_000_000, 32_000_000, 4, 64
# How much higher than the mean the highest band of the smaller ones of these slides may be. Bands
# begin at the edges of tiles, and other tiles would give other bytes, if by rounding.
UNEVEN = 1.25
# Rounds of bands from which on it matters little whether the last one is full.
ROUNDS = 4
# How many times the statistics of a slide's cells may be computed, as bands need those around them,
# before they are recorded once for all bands, though bands wait for them then.
AGAIN = 1.25


@dataclass(frozen=True)
class Divided:
    """How a slide is shared, as plain values.

    Attributes:
        spec, job, overwrite: what its writer takes.
        result: what is known of it so far.
        note: what the user is told.
        options: that make all workers cut it in the same way.
        threads: that torch computes with on a CPU, as they change results by rounding.
        bands: pixel rows of each piece.
        cells: rows of cells whose statistics each piece needs, recorded by others before; None if
            each piece records what it needs by itself, as that is little more than its own.
    """

    spec: OutputSpec
    job: dict[str, Any] | None
    overwrite: bool
    result: ImageResult
    note: str
    options: Mapping[str, Any]
    threads: int
    bands: tuple[tuple[int, int], ...]
    cells: tuple[tuple[int, int], ...] | None


@dataclass(frozen=True)
class BandDone:
    """What a worker tells of a band: how long devices worked, and stages were waited for."""

    device_seconds: float
    stages: Mapping[str, float]


def rows_of_band(width: int, height: int, cell: int, sharers: int) -> int:
    """Rows of cells of a band as a slide's size suggests; 0: it is one piece.

    Args:
        width, height: of the slide in px.
        cell: side of its cells in px.
        sharers: workers for each slide, if fewer slides are left than have come; else 0.
    """
    pixels, total = width * height, -(-height // cell)
    if not sharers:
        return 0 if pixels <= LARGE else max(1, round(BAND / (width * cell)))
    if pixels <= (LARGE_FOR_ONE if sharers == 1 else LARGE_FOR_FEW):
        return 0
    # One may be the first of many.
    most = BANDS_FOR_FEW if sharers == 1 else min(BANDS_FOR_FEW, ROUNDS * sharers)
    rows = max(ROWS_FOR_FEW, round(min(BAND, pixels / most) / (width * cell)))
    bands = total // rows
    if bands < 2:
        return 0
    if sharers < bands <= ROUNDS * sharers:
        rows = -(-total // (bands - bands % sharers))
    return rows


def divide(prepared: Prepared, begun: Begun, rows: int | None, sharers: int = 0) -> Divided | None:
    """How a slide is to be shared; None if it is one piece.

    Args:
        prepared: the slide.
        begun: the work on it.
        rows: of cells in a band; 0: it is one piece; None: as its size suggests.
        sharers: see `rows_of_band`.
    """
    view, plan = prepared.view, prepared.plan
    cell = plan.tiles.grid.cell
    must_be_even = rows is None and view.width * view.height <= LARGE_FOR_ONE
    if rows is None:
        rows = rows_of_band(view.width, view.height, cell, sharers)
    if rows == 0:
        return None
    if prepared.target.suffix.lower() not in SLIDE_SUFFIXES:
        return None  # photos are written as wholes
    height = cell * rows
    starts: list[int] = []
    for y0, _ in plan.tiles.bands():
        if not starts or y0 - starts[-1] >= height:
            starts.append(y0)
    if len(starts) < 2:
        return None
    bands = tuple(zip(starts, [*starts[1:], view.height], strict=True))
    highest = max(y1 - y0 for y0, y1 in bands)
    if must_be_even and highest * len(bands) > UNEVEN * view.height:
        return None
    reach = begun.transform.reach
    cells = None
    if reach is not None:
        schedule = Schedule(plan.tiles, reach, prepared.masking, plan.batch)
        needed = [schedule.rows_needed(*band) for band in bands]
        computed = sum(map(len, needed))
        if reach > MOST_KEPT or computed > AGAIN * plan.tiles.grid.rows:
            cells = tuple((one.start, one.stop) for one in needed)
    return Divided(
        prepared.spec,
        prepared.job(),
        begun.overwrite,
        prepared.result,
        f"{prepared.note(0)}, in {len(bands)} bands",
        _fixed(prepared),
        torch.get_num_threads(),
        bands,
        cells,
    )


def _fixed(prepared: Prepared) -> dict[str, Any]:
    """What workers with other memory or devices might choose otherwise."""
    plan = prepared.plan
    if not isinstance(prepared.recipe.options, TranslateOptions):
        return {}
    fixed = {
        "batch": plan.batch,
        "precision": plan.provenance["precision"],
        "compile": plan.provenance.get("compiled", False),
    }
    if not isinstance(plan.tiles, BlendedPlan) and not plan.tiles.mirrored:
        fixed["tile"] = plan.tiles.tile
    return fixed


def record_cells(prepared: Prepared, rows: tuple[int, int], path: Path, on_event: OnEvent) -> None:
    """Record the statistics of some rows of cells in a file.

    Raises:
        OutputError: it cannot be written.
    """
    arrays: dict[str, Any] = {}
    transform = _transform(prepared, Clock())
    for row, recorded in record(
        prepared.view,
        transform,
        range(*rows),
        batch=prepared.plan.batch,
        workers=prepared.recipe.options.workers,
        masking=prepared.masking,
        progress=lambda pixels: on_event(Advanced(prepared.name, 0)),
    ):
        arrays |= {f"{row}/{name}": array for name, array in recorded.items()}
    content = io.BytesIO()
    np.savez(content, **arrays)
    with output_errors(path):
        replace_file(path, content.getvalue())


def compute_band(
    prepared: Prepared,
    rows: tuple[int, int],
    folder: Path,
    job: Mapping[str, Any] | None,
    cells: Sequence[Path] | None,
    on_event: OnEvent,
) -> BandDone:
    """Compute a band of a slide, and write its encoded tiles into a folder.

    Args:
        prepared: the slide.
        rows: pixel rows of the band.
        folder: to make; see `BandWriter`.
        job: of the slide, as it was divided.
        cells: files of `record_cells` with all the statistics that it needs; None records them.
        on_event: called with progress.

    Raises:
        OutputError: the slide has changed since it was divided, or the folder cannot be written.
    """
    if job is not None and prepared.job() != job:
        raise OutputError(
            f"{prepared.target}: its input, or what it is made with, is not the same for all "
            "workers, or has changed while they worked"
        )
    clock, options = Clock(), prepared.recipe.options
    stored = None if cells is None else _Stored(cells)
    with BandWriter(folder, prepared.target, prepared.spec, rows, options.workers, job) as writer:
        stream(
            prepared.view,
            _transform(prepared, clock),
            writer,
            batch=prepared.plan.batch,
            workers=options.workers,
            progress=lambda pixels: on_event(Advanced(prepared.name, pixels, clock.shares)),
            start=rows[0],
            end=rows[1],
            masking=prepared.masking,
            clock=clock,
            stored=stored,
        )
    return BandDone(clock.device_seconds, dict(clock.seconds))


def _transform(prepared: Prepared, clock: Clock) -> Transform:
    try:
        return prepared.plan.transform(clock)
    except Skipped as reason:  # it was not, when the slide was divided
        raise OutputError(f"{prepared.target}: {reason}") from reason


class _Stored:
    """The statistics of rows of cells, from files that hold several rows each."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths: dict[int, Path] = {}
        for path in paths:
            first, end = cells_of(path)
            self._paths |= dict.fromkeys(range(first, end), path)
        self._read = lru_cache(maxsize=1)(_arrays)

    def __call__(self, row: int) -> Recorded:
        arrays = self._read(self._paths[row])
        prefix = f"{row}/"
        return {
            name.removeprefix(prefix): array
            for name, array in arrays.items()
            if name.startswith(prefix)
        }


def _arrays(path: Path) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError) as error:
        raise OutputError(f"{path}: cannot be read ({error}); use --resume to go on") from error


def cells_path(folder: Path, rows: tuple[int, int]) -> Path:
    """Where the statistics of some rows of cells are kept."""
    return folder / f"cells-{rows[0]}-{rows[1]}.npz"


def cells_of(path: Path) -> tuple[int, int]:
    """The rows of cells in such a file."""
    first, end = path.stem.split("-")[1:]
    return int(first), int(end)


def band_path(folder: Path, rows: tuple[int, int]) -> Path:
    """Where a band is kept until it is adopted."""
    return folder / f"band-{rows[0]}-{rows[1]}"


def finished(divided: Divided, done: Sequence[BandDone], **facts: Any) -> ImageResult:
    """The result of a slide that was shared, from those of its bands."""
    stages: dict[str, float] = {}
    for one in done:
        for stage, seconds in one.stages.items():
            stages[stage] = round(stages.get(stage, 0.0) + seconds, 3)
    device = round(sum(one.device_seconds for one in done), 3) or None
    return dataclasses.replace(
        divided.result, status="done", stages=stages, device_seconds=device, **facts
    )
