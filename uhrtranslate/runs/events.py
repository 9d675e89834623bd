"""What a long task tells its caller while it runs, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Started:
    """An input has been opened, and its translation begins.

    Attributes:
        input, output: paths.
        pixels: to be translated.
        note: how: device, cells, tiles; a short text for people.
    """

    input: str
    output: str
    pixels: int
    note: str


@dataclass(frozen=True)
class Advanced:
    """So many more pixels of an input are done.

    Attributes:
        input: path.
        pixels: since the last time.
        shares: of the time so far that the run waited for each stage, 0 to 1.
    """

    input: str
    pixels: int
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class TranslateResult:
    """What became of one input; a line of `uhrt translate --json` and a record of a run's file.

    Attributes:
        input: path as found.
        output: path of the result; None if it failed.
        status: done, skipped (its result was there already, complete), or failed.
        error: a sentence, if it failed.
        width, height: of the result in px.
        mpp: of the result, micrometres per pixel in x and y.
        model, norm, cell, tile, halo, pad, device, precision: how it was made.
        tiles: how many tiles were computed, or would be.
        tissue: share of the cells that are computed; None without a mask.
        resumed: px rows that an earlier run had done.
        seams: `metrics.seam_ratio` of the result at the borders of cells, over the source's own; 1
            means that the translation added none. None for images too small to say.
        seconds: wall time.
        stages: of it, seconds that were spent waiting for each stage: read, statistics, dense,
            write.
        device_seconds: how long devices worked for it, all of them together; None without any.
        preview: path of the preview, if one was asked for.
    """

    input: str
    output: str | None
    status: Literal["done", "skipped", "failed"]
    error: str | None = None
    width: int | None = None
    height: int | None = None
    mpp: tuple[float, float] | None = None
    model: str | None = None
    norm: str | None = None
    cell: int | None = None
    tile: int | None = None
    halo: int | None = None
    pad: str | None = None
    device: str | None = None
    precision: str | None = None
    tiles: int | None = None
    tissue: float | None = None
    resumed: int | None = None
    seams: float | None = None
    seconds: float | None = None
    stages: dict[str, float] | None = None
    device_seconds: float | None = None
    preview: str | None = None


@dataclass(frozen=True)
class TranslatePlan:
    """What translating one input would take; a line of `uhrt translate --dry-run --json`.

    Attributes:
        input, output: paths.
        status: planned, or failed where the input cannot be translated.
        error: a sentence, if it failed.
        width, height: of the result in px.
        mpp: of the result, micrometres per pixel in x and y.
        cell, tile, halo: sides in px.
        cells, tiles: how many are to be computed.
        bytes: that the result will take, from a probe of its middle; about.
        seconds: that it will take here, from the same probe; about.
        resumable: whether an unfinished run has left a state to go on with.
        exists: whether the output is there already.
    """

    input: str
    output: str | None
    status: Literal["planned", "failed"]
    error: str | None = None
    width: int | None = None
    height: int | None = None
    mpp: tuple[float, float] | None = None
    cell: int | None = None
    tile: int | None = None
    halo: int | None = None
    cells: int | None = None
    tiles: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    resumable: bool = False
    exists: bool = False


Event = Started | Advanced | TranslateResult | TranslatePlan
OnEvent = Callable[[Event], None]
"""Somebody who is told."""
