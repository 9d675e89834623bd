"""What defines an output format: each is one of these records, and one line in `tables`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from uhrtranslate.io.readers.unfinished_tiles import TILE
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.pixels import Pixels
from uhrtranslate.tables import COMPRESSIONS

# Encodes a tile [tile, tile, c], contiguous, at a quality of 1 to 100.
Encode = Callable[[Pixels, int], bytes]


class Sink(Protocol):
    """Receives the pixels of an image."""

    def write(self, x: int, y: int, pixels: Pixels) -> None:
        """Take the rectangle [h, w, c] whose top left corner is `x, y`.

        Every pixel of the image arrives exactly once, in any order, from one thread.
        """

    def reached(self, y: int) -> None:
        """Note that every pixel above row `y` has arrived, and none below."""


@dataclass(frozen=True)
class EncodedLevel:
    """One level: its size in px and its encoded tiles, row by row, from left to right.

    Of a planar format, an image with channels has such tiles for each of them, in `planes`.
    """

    width: int
    height: int
    tiles: Iterator[bytes]
    planes: tuple[Iterator[bytes], ...] = ()


@dataclass(frozen=True)
class SlideFormat:
    """How pyramids of one format are written.

    Attributes:
        endings: of file names, the usual one first. A name means the format with the longest
            matching ending; among equals, the first in the table.
        assemble: writes the file or folder from encoded tiles, the largest level first. It takes
            one tile at a time from each level, and may raise OSError.
        encoder: returns the encoder of a tile for the name of a compression; by default, of a TIFF.
        holds_associated: whether it can store a label, macro image and thumbnail.
        bits: pixel depths that it can hold.
        is_folder: whether an output is a folder of files.
        holds_channels: whether it can store channels that are no colours.
        planar: whether it stores each of these by itself.
        layout: of the bytes that `encoder` makes, for those who look on; a name in `LAYOUTS`
            (`io.readers.unfinished_tiles`). Empty if it is another, which nobody sees unfinished.
    """

    endings: tuple[str, ...]
    assemble: Callable[[Path, OutputSpec, list[EncodedLevel]], None]
    encoder: Callable[[str], Encode] = lambda compression: COMPRESSIONS[compression].encode
    holds_associated: bool = False
    bits: tuple[int, ...] = (8, 16)
    is_folder: bool = False
    holds_channels: bool = False
    planar: bool = False
    layout: str = TILE


@dataclass(frozen=True)
class PhotoFormat:
    """What one photo format can hold.

    Attributes:
        name: Pillow's name for it.
        endings: of file names.
        side: largest width and height in px.
        exif: largest size of an EXIF block in bytes.
        memory: peak memory in bytes per pixel, including the encoder's.
        options: for Pillow's `save`.
    """

    name: str
    endings: tuple[str, ...]
    side: int
    exif: int
    memory: int
    options: dict[str, Any] = field(default_factory=dict)
