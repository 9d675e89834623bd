"""What a format of outputs is: each one fills in one of these, and is a line in `tables`."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from uhrtranslate.io.pixels import Pixels
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.tables import COMPRESSIONS

# Encodes a tile [tile, tile, 3], contiguous, at a quality of 1 to 100.
Encode = Callable[[Pixels, int], bytes]


class Sink(Protocol):
    """What takes the pixels of an image."""

    def write(self, x: int, y: int, pixels: Pixels) -> None:
        """Take the rectangle [h, w, 3] whose left top corner is `x, y`.

        Every pixel of the image comes exactly once, in any order, from one thread.
        """

    def reached(self, y: int) -> None:
        """Every pixel above row `y` has come, and none below."""


@dataclass(frozen=True)
class EncodedLevel:
    """One level: its size in px and its encoded tiles, row by row, from left to right."""

    width: int
    height: int
    tiles: Iterator[bytes]


def tiff_encoder(compression: str) -> Encode:
    """What encodes the tiles of a TIFF, by the name of the compression."""
    encode: Encode = COMPRESSIONS[compression].encode
    return encode


@dataclass(frozen=True)
class SlideFormat:
    """How pyramids of one format are written.

    Attributes:
        endings: of file names, the usual one first. A name means the format with the longest ending
            that fits, and of equals the first in the table.
        assemble: writes the file, or folder, from tiles that are encoded already, the largest level
            first. It raises OSError, and takes one tile at a time from each level.
        encoder: from the name of a compression to what encodes one tile.
        holds_associated: whether label, macro image and thumbnail have a place in it.
        bits: of the pixels that it can hold.
        is_folder: whether an output is a folder of files.
    """

    endings: tuple[str, ...]
    assemble: Callable[[Path, OutputSpec, list[EncodedLevel]], None]
    encoder: Callable[[str], Encode] = tiff_encoder
    holds_associated: bool = False
    bits: tuple[int, ...] = (8, 16)
    is_folder: bool = False


@dataclass(frozen=True)
class PhotoFormat:
    """What one format of photos can hold.

    Attributes:
        name: Pillow's name.
        endings: of file names.
        side: px that width and height may have.
        exif: bytes that its EXIF block may have.
        memory: bytes per pixel at the peak, the encoder's included.
        options: for Pillow's `save`.
    """

    name: str
    endings: tuple[str, ...]
    side: int
    exif: int
    memory: int
    options: dict[str, Any] = field(default_factory=dict)
