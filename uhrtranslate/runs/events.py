"""What a run tells its caller: starts, progress, and what became of each image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Started:
    """An input has been opened, and work on it begins.

    Attributes:
        input, output: paths.
        pixels: to be computed.
        note: how, in a few words for people: method, device, tiles.
    """

    input: str
    output: str
    pixels: int
    note: str


@dataclass(frozen=True)
class Advanced:
    """More pixels of an input are done.

    Attributes:
        input: path.
        pixels: done since the last event.
        shares: of the time so far, what was spent waiting for each stage, 0 to 1.
    """

    input: str
    pixels: int
    shares: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ImageResult:
    """What became of one input: a line of `--json`, and an entry of a run's record.

    Attributes:
        input: path as found.
        output: path of the result; None if it failed.
        status: done, skipped (a complete result was there already), or failed.
        error: a sentence, if it failed.
        width, height: of the result in px.
        mpp: of the result, micrometres per pixel in x and y.
        model: generator, file of weights, or method.
        norm, cell, tile, halo, pad, device, precision: how it was made.
        tiles: how many tiles were computed, or would be.
        tissue: share of the cells that are computed; None without a mask.
        resumed: px rows that an earlier run had done.
        seams: `metrics.seam_ratio` of the result at the borders of cells, divided by the source's;
            1 means that no seams were added. None if the image is too small to tell.
        seconds: wall time.
        stages: seconds of it that were spent waiting for each stage: read, statistics, dense,
            write.
        device_seconds: how long the devices worked for it, added up; None without any.
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
class Forecast:
    """What translating one input would take: a line of `uhrt translate --dry-run --json`.

    Attributes:
        input, output: paths.
        status: planned, or failed where the input cannot be translated.
        error: a sentence, if it failed.
        width, height: of the result in px.
        mpp: of the result, micrometres per pixel in x and y.
        cell, tile, halo: sides in px.
        cells, tiles: how many are to be computed.
        bytes: about what the result will take, judged by the middle of the image.
        seconds: about what it will take on this machine, judged by the same part.
        resumable: whether an unfinished run has left a state to go on from.
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


Event = Started | Advanced | ImageResult | Forecast
OnEvent = Callable[[Event], None]
"""Called with every event of a run."""
