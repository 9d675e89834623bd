"""Photos through Pillow: decoded once, held as an array."""

import ctypes
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from uhrtranslate.errors import InputError, warnings_kept
from uhrtranslate.io.files.memory import available_memory
from uhrtranslate.io.pixels import WHITE, composite, rgb_profile
from uhrtranslate.io.slide import (
    Level,
    NotForThisReaderError,
    Slide,
    SlideInfo,
    damaged,
    read_padded,
)
from uhrtranslate.pixels import Pixels, to_bits

# An image with more pixels should be a tiled TIFF.
MAX_PIXELS = 2_000_000_000
# Bytes per pixel while decoding, measured.
PEAK_BYTES = {"JPEG2000": 19, "WEBP": 16, "AVIF": 16}
USUAL_PEAK_BYTES = 8
# Photos with more px than this must have at least so many bytes per px. Even a blank JPEG has more
# than a hundredth; a file with fewer is cut off, or was made to fill the memory.
FREE_PIXELS = 40_000_000
LEAST_BYTES = 0.01
# Rows that are converted at a time.
ROWS = 256
# TIFF compressions that every Pillow supports; its libtiff complains on stderr about others.
COMPRESSIONS = (1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946)
_COMPRESSION = 259
FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TGA", "TIFF", "WEBP")
DECODED = {"1", "CMYK", "I", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr"}
ORIENTATION = 0x0112
# For each EXIF orientation, how an upright picture is turned in its file.
STORED: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.swapaxes(0, 1),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].swapaxes(0, 1),
    8: lambda upright: np.rot90(upright, -1),
}
SIDEWAYS = {5, 6, 7, 8}
_TILE_WIDTH, _TILE_LENGTH = 322, 323  # TIFF tags
# In px; tiles up to this size are decoded in any case.
LARGEST_BLOCK = 1 << 24


class PhotoSlide(Slide):
    """A photo: one level, upright as its EXIF orientation says, transparency laid on white.

    Args:
        path: the file.
        deep: return 16 bits where Pillow has them, which is for grey images.

    Raises:
        NotForThisReaderError: Pillow cannot read the file.
        InputError: the photo is too large to be held in memory, or its pixels are not colours.
    """

    def __init__(self, path: Path, deep: bool = False) -> None:
        self._lock = threading.Lock()
        self._pixels: Pixels | None = None
        self._image: Image.Image | None = None
        _quiet_libtiff()
        with _no_pillow_limit(), warnings_kept() as warned:
            image = _open(path)
            try:
                _check_blocks(image, path)
                self._orientation, self.info = _describe(image, path)
                # Pillow warns of ignored tags in a TIFF, and of an odd EXIF block in a photo.
                said = [one for one in warned if _PILLOW in Path(one.filename).parents]
                if said and image.format == "TIFF":
                    raise NotForThisReaderError(str(said[0].message).strip().rstrip("."))
            except BaseException:
                image.close()
                raise
        if deep and image.mode.startswith("I"):
            self.info = replace(self.info, bits=16)
        self._image = image

    def tile_size(self, level: int) -> tuple[int, int]:
        """Any size will do, as the photo is in memory."""
        return self.info.width, 256

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide.read`; the first read decodes the photo."""
        pixels = self._decoded()
        return read_padded(
            self.info, (x, y, w, h), level, lambda x, y, w, h: pixels[y : y + h, x : x + w].copy()
        )

    def close(self) -> None:
        """See `Slide.close`."""
        with self._lock:
            self._pixels = None
            if self._image is not None:
                self._image.close()
                self._image = None

    def _decoded(self) -> Pixels:
        with self._lock:
            if self._pixels is None:
                if self._image is None:
                    raise ValueError(f"{self.info.path} is closed")
                with _no_pillow_limit():
                    self._pixels = _decode(self._image, self._orientation, self.info)
                self._image.close()
                self._image = None
            return self._pixels


# Our errors say what Pillow logs about damaged files; a program can still configure its logger.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_PILLOW = Path(PIL.__file__).parent
_limit_lock = threading.Lock()
_lifted: list[int | None] = []


@contextmanager
def _no_pillow_limit() -> Iterator[None]:
    """Lift Pillow's own limit of pixels, which is global; this module checks sizes instead."""
    with _limit_lock:
        _lifted.append(Image.MAX_IMAGE_PIXELS)
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _limit_lock:
            earliest = _lifted[0]
            _lifted.pop()
            if not _lifted:
                Image.MAX_IMAGE_PIXELS = earliest


@cache
def _quiet_libtiff() -> None:
    """Stop Pillow's libtiff, if it is found, from writing errors to stderr; Pillow raises them."""
    places = _PILLOW, _PILLOW.parent / "pillow.libs"
    for library in (found for place in places for found in place.glob("**/libtiff*")):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(str(library)).TIFFSetErrorHandler(None)


def _open(path: Path) -> Image.Image:
    Image.init()  # otherwise formats whose plugins are not loaded yet are unknown
    try:
        return Image.open(path, formats=[name for name in FORMATS if name in Image.OPEN])
    except UnidentifiedImageError:
        raise NotForThisReaderError("not a photo format that it knows") from None
    except Exception as error:  # Pillow raises all kinds of exceptions for damaged files
        raise NotForThisReaderError(str(error).rstrip(".")) from error


def _check_blocks(image: Image.Image, path: Path) -> None:
    """Refuse a TIFF whose tiles are far larger than the image: libtiff takes memory for a tile."""
    tags = getattr(image, "tag_v2", {})
    if tags.get(_COMPRESSION, 1) not in COMPRESSIONS:
        raise NotForThisReaderError(f"an unsupported compression ({tags[_COMPRESSION]})")
    try:
        width = int(tags.get(_TILE_WIDTH, image.width))
        height = int(tags.get(_TILE_LENGTH, image.height))
    except (ArithmeticError, TypeError, ValueError):
        raise NotForThisReaderError("its tiles have no size") from None
    if width * height > max(4 * image.width * image.height, LARGEST_BLOCK):
        raise InputError(
            f"{path}: is damaged: says that it has tiles of {width:,} x {height:,} px; copy it "
            "again."
        )


def _describe(image: Image.Image, path: Path) -> tuple[int, SlideInfo]:
    """The EXIF orientation, and everything that is known without decoding."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InputError(
            f"{path}: has {width * height / 1e9:.1f} billion pixels, too many for a photo; "
            f"convert it to a tiled TIFF."
        )
    size = path.stat().st_size
    if width * height > max(FREE_PIXELS, size / LEAST_BYTES):
        raise InputError(
            f"{path}: says that it has {width:,} x {height:,} px, which {size:,} bytes do not "
            f"hold; copy it again."
        )
    memory = available_memory()
    needed = width * height * PEAK_BYTES.get(image.format or "", USUAL_PEAK_BYTES)
    if memory is not None and needed > memory:
        raise InputError(
            f"{path}: needs {needed / 1e9:.1f} GB of memory, of which {memory / 1e9:.1f} GB are "
            f"free; convert it to a tiled TIFF."
        )
    if image.mode not in DECODED and not image.mode.startswith("I;16"):
        raise InputError(
            f"{path}: has pixels of type {image.mode!r}; convert it to 8-bit RGB or grey."
        )
    orientation = _orientation(image)
    if orientation in SIDEWAYS:
        width, height = height, width
    return orientation, SlideInfo(
        path=str(path),
        reader="photo",
        format=image.format or "unknown",
        levels=(Level(width, height, 1.0),),
        icc_profile=rgb_profile(image.info.get("icc_profile")),
        exif=image.info.get("exif"),
    )


def _orientation(image: Image.Image) -> int:
    # Pillow turns a TIFF itself, and decodes a whole PNG to look for EXIF data behind its pixels.
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info):
        return 1
    try:
        value = image.getexif().get(ORIENTATION, 1)
    except (OSError, SyntaxError, ValueError):  # a damaged block tells nothing
        return 1
    return value if value in STORED else 1


def _decode(image: Image.Image, orientation: int, info: SlideInfo) -> Pixels:
    try:
        image.load()
        pixels = np.empty((info.height, info.width, 3), info.dtype)
        # A view with the file's orientation, so that pixels are turned as they are copied.
        stored = STORED[orientation](pixels)
        for top in range(0, image.height, ROWS):
            bottom = min(top + ROWS, image.height)
            stored[top:bottom] = _to_rgb(image.crop((0, top, image.width, bottom)), info)
        return pixels
    except InputError:
        raise
    except MemoryError:
        raise InputError(
            f"{info.path}: does not fit in memory; convert it to a tiled TIFF."
        ) from None
    except Exception as error:  # Pillow raises all kinds of exceptions for damaged files
        raise damaged(info.path, error) from error


def _to_rgb(image: Image.Image, info: SlideInfo) -> Pixels:
    if image.mode.startswith("I"):
        return _from_16_bit(np.asarray(image), info)
    if image.has_transparency_data:
        pixels = np.asarray(image.convert("RGBA"))
        return composite(pixels[..., :3], pixels[..., 3], WHITE)
    return np.asarray(image.convert("RGB"))


def _from_16_bit(grey: NDArray[Any], info: SlideInfo) -> Pixels:
    if grey.min() < 0 or grey.max() > 65535:
        raise InputError(f"{info.path}: has 32-bit pixels; convert it to 8-bit RGB or grey.")
    return np.repeat(to_bits(grey.astype(np.uint16), 16, info.bits)[..., None], 3, axis=2)
