"""What a run reports to its caller: starts, progress, and the result of each image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Started:
    """An input has been opened, and work on it begins.

    Attributes:
        input, output: paths.
        pixels: to be computed.
        note: method, device and tiles in a few words.
        warnings: what may be wrong, in sentences, by kind (such as `resolution`).
        worker: who works on it, if not this process.
    """

    input: str
    output: str
    pixels: int
    note: str
    warnings: Mapping[str, str] = field(default_factory=dict)
    worker: str | None = None


@dataclass(frozen=True)
class Advanced:
    """More pixels of an input are done.

    Attributes:
        input: path.
        pixels: done since the last event.
        shares: of the time so far that was spent waiting for each stage, 0 to 1.
        worker: who has done them, if not this process.
    """

    input: str
    pixels: int
    shares: Mapping[str, float] = field(default_factory=dict)
    worker: str | None = None


@dataclass(frozen=True)
class AtWork:
    """A worker of a cluster has begun a part of an input that several share, or has done it.

    Attributes:
        worker: who.
        input: path; None if it is done.
        part: of the input, in words.
        pixels: to be computed.
    """

    worker: str
    input: str | None = None
    part: str = ""
    pixels: int = 0


@dataclass(frozen=True)
class Workers:
    """The number of a cluster's workers has changed, or there are none yet."""

    count: int


@dataclass(frozen=True)
class Stage:
    """How far work that goes in stages, such as a registration, has come.

    Attributes:
        input: what is worked on.
        name: of the stage at work, in words.
        number, stages: which stage that is, from 1, and how many there are.
        done: share of it that is done, 0 to 1.
    """

    input: str
    name: str
    number: int
    stages: int
    done: float = 0.0


@dataclass(frozen=True)
class ImageResult:
    """The result of one input: a line of `--json`, and an entry in a run's record.

    Attributes:
        input: path as found.
        output: path of the result; None if it failed.
        status: done, skipped (a complete result existed already), or failed.
        error: a sentence, if it failed.
        width, height: of the result in px.
        mpp: of the result, micrometres per pixel in x and y.
        model: generator, weights file, or method.
        norm, cell, tile, halo, overlap, blend, pad, device, precision: how it was made; there is
            either a halo or an overlap, with the weights' name.
        mismatch: how far two ways to cut the image into overlapping tiles differ, mean in grey
            levels; None if tiles have a halo, or there is only one.
        tiles: number of tiles that were or would be computed.
        tissue: share of the cells that are computed; None without a mask.
        resumed: rows of px done by an earlier run.
        seams: `metrics.seam_ratio` of the result at the borders of cells (of tiles, if they are
            blended), divided by the source's;
            1 means that no seams were added. None if the image is too small to tell. Of channels,
            it is that of all of them.
        worst_channel, worst_seams: the channel with the largest such figure of its own, and that;
            None of colours.
        seconds: wall time.
        stages: seconds of it spent waiting for each stage: read, statistics, dense, write.
        device_seconds: working time of all devices together; None without any.
        preview: path of the preview, if one was asked for.
        warnings: what may be wrong with it, in sentences, by kind (such as `resolution`).
        host: machine and worker that made it; None: this process.
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
    overlap: int | None = None
    blend: str | None = None
    mismatch: float | None = None
    pad: str | None = None
    device: str | None = None
    precision: str | None = None
    tiles: int | None = None
    tissue: float | None = None
    resumed: int | None = None
    seams: float | None = None
    worst_channel: str | None = None
    worst_seams: float | None = None
    seconds: float | None = None
    stages: dict[str, float] | None = None
    device_seconds: float | None = None
    preview: str | None = None
    warnings: dict[str, str] = field(default_factory=dict)
    host: str | None = None


@dataclass(frozen=True)
class Forecast:
    """What translating one input would cost: a line of `uhrt translate --dry-run --json`.

    Attributes:
        input, output: paths.
        status: planned, or failed if the input cannot be translated.
        error: a sentence, if it failed.
        width, height: of the result in px.
        mpp: of the result, micrometres per pixel in x and y.
        cell, tile, halo, overlap: sides in px; see `ImageResult`.
        cells, tiles: how many will be computed.
        bytes: size of the result, estimated from the middle of the image.
        seconds: time on this machine, estimated from the same part.
        resumable: whether an unfinished run has left a state to continue from.
        exists: whether the output exists already.
        warnings: as of `ImageResult`.
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
    overlap: int | None = None
    cells: int | None = None
    tiles: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    resumable: bool = False
    exists: bool = False
    warnings: dict[str, str] = field(default_factory=dict)


Event = Started | Advanced | AtWork | Workers | ImageResult | Forecast
OnEvent = Callable[[Event], None]
"""Called with every event of a run."""
OnComputed = Callable[[], None]
"""Called once a small image is computed, and only to be finished; the next may begin."""
