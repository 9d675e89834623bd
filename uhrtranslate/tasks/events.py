"""What a long task tells its caller while it runs, and what it gives back."""

from collections.abc import Callable
from dataclasses import dataclass
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
    """So many more pixels of the current input are done."""

    pixels: int


@dataclass(frozen=True)
class TranslateResult:
    """What became of one input.

    Attributes:
        input: path as found.
        output: path of the result; None if it failed.
        status: done or failed.
        error: a sentence, if it failed.
        width, height: of the result in px.
        mpp: of the result, micrometres per pixel in x and y.
        model, norm, cell, tile, halo, pad, device, precision: how it was made.
        seconds: wall time.
        preview: path of the preview, if one was asked for.
    """

    input: str
    output: str | None
    status: Literal["done", "failed"]
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
    seconds: float | None = None
    preview: str | None = None


Event = Started | Advanced | TranslateResult
OnEvent = Callable[[Event], None]
