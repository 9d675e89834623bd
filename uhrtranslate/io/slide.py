"""What a slide is: levels of RGB pixels with metadata, whatever the file format.

Whole-slide files, plain TIFFs, photos and computed images share one protocol, so callers need not
know which kind they read.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, Self

import numpy as np

from uhrtranslate.errors import InputError
from uhrtranslate.io.channels import Channel
from uhrtranslate.io.files.fingerprint import Fingerprint, fingerprint
from uhrtranslate.io.pixels import WHITE
from uhrtranslate.pixels import Pixels, dtype_of, to_bits


@dataclass(frozen=True)
class Level:
    """A step of the pyramid.

    Attributes:
        width, height: in px.
        downsample: factor by which it is smaller than level 0, at least 1.
    """

    width: int
    height: int
    downsample: float


@dataclass(frozen=True)
class SlideInfo:
    """What is known about a slide before any pixels are read.

    Attributes:
        path: the path it was opened with.
        reader: "openslide", "tifffile", "photo" or "virtual".
        format: vendor or file format, such as "aperio", "generic-tiff", "OME-TIFF", "JPEG".
        levels: level 0, the largest, first.
        mpp: micrometres per pixel of level 0, x and y.
        objective_power: the objective's nominal number; informative only.
        icc_profile: RGB profile; profiles of other colour spaces are left out.
        background: values of transparent and missing parts, 8-bit RGB or one per channel.
        properties: metadata under the names that the file uses.
        associated: names of associated images.
        exif: EXIF block of a photo. Its orientation has already been applied to the pixels.
        bits: bits per sample that reads return: 8, 16, or 32 for channels of float32.
        channels: of an image that is no colour picture; empty for RGB. Others are only opened by
            `open_slide` where they are asked for.
        overruled_mpp: what the file says, where the user has stated another mpp.
    """

    path: str
    reader: str
    format: str
    levels: tuple[Level, ...]
    mpp: tuple[float, float] | None = None
    objective_power: float | None = None
    icc_profile: bytes | None = field(default=None, repr=False)
    background: tuple[int, ...] = WHITE
    properties: Mapping[str, str] = field(
        default_factory=lambda: MappingProxyType({}), repr=False, hash=False
    )
    associated: tuple[str, ...] = ()
    exif: bytes | None = field(default=None, repr=False)
    bits: int = 8
    channels: tuple[Channel, ...] = ()
    overruled_mpp: tuple[float, float] | None = None

    @property
    def samples(self) -> int:
        """Samples of a pixel: as many as channels, or 3."""
        return len(self.channels) or 3

    @property
    def width(self) -> int:
        """Width of level 0 in px."""
        return self.levels[0].width

    @property
    def height(self) -> int:
        """Height of level 0 in px."""
        return self.levels[0].height

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels that reads return."""
        return dtype_of(self.bits)

    @property
    def is_photo(self) -> bool:
        """Whether this is a photo, which is held in memory as a whole."""
        return self.reader == "photo"


class Slide(Protocol):
    """An image with levels. Reading is safe from several threads."""

    info: SlideInfo

    def tile_size(self, level: int) -> tuple[int, int]:
        """Width and height in px of the tiles a level is stored in; aligned reads are fastest."""
        ...

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """Read a rectangle.

        Args:
            x, y: first pixel, in pixels of `level` (not of level 0, as in OpenSlide). Parts outside
                the level are filled with the background.
            w, h: size in pixels of `level`, at least 1.
            level: 0 is the largest.

        Returns:
            [h, w, c] uint8, RGB or the image's channels; uint16 or float32 if `info.bits` is 16 or
            32; a copy.

        Raises:
            InputError: the file is damaged.
        """
        ...

    def associated_image(self, name: str) -> Pixels:
        """Read an associated image (label, macro, thumbnail); by default there are none.

        Returns:
            RGB, [h, w, 3] uint8.

        Raises:
            InputError: the file is damaged, or has no image of this name.
        """
        has = ", ".join(self.info.associated) or "none"
        raise InputError(f"{self.info.path}: has no associated image {name!r}; it has: {has}.")

    def fingerprint(self) -> Fingerprint | None:
        """What tells whether the file has changed; None if it is not known."""
        path = Path(self.info.path)
        return fingerprint(path) if path.exists() else None

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        return  # by default, nothing is open

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_padded(
    info: SlideInfo,
    box: tuple[int, int, int, int],
    level: int,
    inside: Callable[[int, int, int, int], Pixels],
) -> Pixels:
    """Read a rectangle that may reach outside its level, for `Slide.read` of all readers.

    Args:
        info: describes the slide.
        box: x, y, w, h in pixels of the level.
        level: 0 is the largest.
        inside: reads a rectangle x, y, w, h that lies inside the level.

    Returns:
        [h, w, c], with background outside the level.

    Raises:
        ValueError: the rectangle is empty, or there is no such level.
    """
    x, y, w, h = box
    if w < 1 or h < 1:
        raise ValueError(f"a rectangle of {w} x {h} px cannot be read")
    if not 0 <= level < len(info.levels):
        raise ValueError(f"level {level} of {len(info.levels)}")
    size = info.levels[level]
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + w, size.width), min(y + h, size.height)
    if (left, top, right, bottom) == (x, y, x + w, y + h):
        return inside(x, y, w, h)
    padded = np.empty((h, w, info.samples), info.dtype)
    padded[:] = to_bits(np.array(info.background, np.uint8), 8, info.bits)
    if left < right and top < bottom:
        pixels = inside(left, top, right - left, bottom - top)
        padded[top - y : bottom - y, left - x : right - x] = pixels
    return padded


class NotForThisReaderError(Exception):
    """This reader cannot read the file, but another one may. The text says why, in a few words."""


def damaged(path: object, reason: object) -> InputError:
    """The error for a damaged file, with the reason (such as a library's exception) in brackets."""
    text = str(reason).strip().rstrip(".") or repr(reason)
    return InputError(f"{path}: is damaged ({text}); copy it again.")
