"""Slides through OpenSlide: all vendor formats, and the authority on levels, mpp and properties."""

import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import openslide
from PIL import Image

from uhrtranslate.errors import InputError
from uhrtranslate.geometry.levels import level_downsample
from uhrtranslate.geometry.tiles import spans
from uhrtranslate.io.pixels import WHITE, composite, rgb_profile
from uhrtranslate.io.readers.block_cache import BlockCache
from uhrtranslate.io.readers.openslide_limits import (
    LARGEST_ASSOCIATED,
    LARGEST_TILE,
    associated_size,
    properties_of,
    tile_size,
)
from uhrtranslate.io.readers.openslide_trial import try_out
from uhrtranslate.io.readers.tiff_metadata import positive
from uhrtranslate.io.slide import (
    Level,
    NotForThisReaderError,
    Slide,
    SlideInfo,
    damaged,
    read_padded,
)
from uhrtranslate.pixels import Pixels

# OpenSlide returns four bytes per pixel through two copies; this limits each to 16 MB.
PIECE = 2048
BLOCK = 1024
CACHE_BYTES = 96 << 20
# How a PNG begins; OpenSlide knows no format whose files are named and begin so.
PNG = b"\x89PNG\r\n\x1a\n"


class OpenSlideSlide(Slide):
    """A slide read by OpenSlide.

    OpenSlide addresses every level in level-0 pixels. If a level's downsample is not a whole
    number, its pixels need not coincide with level-0 pixels, and OpenSlide resamples by a fraction
    of a pixel that depends on where the read begins. Such levels are read in fixed blocks, so that
    a pixel's value does not depend on the read.

    Args:
        path: the file; for formats of several files, the one that OpenSlide expects.

    Raises:
        NotForThisReaderError: OpenSlide cannot read the file.
        InputError: OpenSlide would end the process.
    """

    def __init__(self, path: Path) -> None:
        if _is_png(path):  # folders have thousands of them, and each trial takes a while
            raise NotForThisReaderError("not a format that it knows")
        try_out(path)
        try:
            self._slide = openslide.OpenSlide(path)
        except openslide.OpenSlideUnsupportedFormatError:
            raise NotForThisReaderError("not a format that it knows") from None
        except (openslide.OpenSlideError, UnicodeEncodeError) as error:
            raise NotForThisReaderError(str(error).strip().rstrip(".")) from error
        try:
            self.info = _describe(self._slide, path)
        except BaseException as error:
            self._slide.close()
            if isinstance(error, openslide.OpenSlideError):
                raise NotForThisReaderError(str(error).strip().rstrip(".")) from error
            raise
        self._cache = BlockCache(CACHE_BYTES)

    def tile_size(self, level: int) -> tuple[int, int]:
        """The size that OpenSlide states, or a common one."""
        return tile_size(self.info.properties, level)

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide.read`."""
        whole = float(self._slide.level_downsamples[level]).is_integer() if level else True

        def inside(x: int, y: int, w: int, h: int) -> Pixels:
            if whole and max(w, h) <= PIECE:
                return self._read(x, y, w, h, level)
            step = PIECE if whole else BLOCK
            pixels = np.empty((h, w, 3), np.uint8)
            for top, bottom in _cuts(y, h, step, aligned=not whole):
                for left, right in _cuts(x, w, step, aligned=not whole):
                    if whole:
                        part = self._read(left, top, right - left, bottom - top, level)
                    else:
                        part = self._from_block(left, top, right, bottom, level)
                    pixels[top - y : bottom - y, left - x : right - x] = part
            return pixels

        return read_padded(self.info, (x, y, w, h), level, inside)

    def associated_image(self, name: str) -> Pixels:
        """See `Slide.associated_image`."""
        if name not in self.info.associated:
            return super().associated_image(name)
        if math.prod(associated_size(self.info.properties, name)) > LARGEST_ASSOCIATED:
            raise damaged(self.info.path, f"its {name} image claims to be larger than a slide")
        try:
            image = self._slide.associated_images[name]
        except openslide.OpenSlideError as error:
            raise damaged(self.info.path, error) from error
        return self._opaque(image)

    def close(self) -> None:
        """See `Slide.close`."""
        self._slide.close()
        self._cache.clear()

    def _from_block(self, left: int, top: int, right: int, bottom: int, level: int) -> Pixels:
        row, col = top // BLOCK, left // BLOCK
        size = self.info.levels[level]
        x0, y0 = col * BLOCK, row * BLOCK
        w, h = min(BLOCK, size.width - x0), min(BLOCK, size.height - y0)
        block = self._cache.get((level, row, col), lambda: self._read(x0, y0, w, h, level))
        return block[top - y0 : bottom - y0, left - x0 : right - x0]

    def _read(self, x: int, y: int, w: int, h: int, level: int) -> Pixels:
        downsample = self._slide.level_downsamples[level]
        location = round(x * downsample), round(y * downsample)
        try:
            return self._opaque(self._slide.read_region(location, level, (w, h)))
        except openslide.OpenSlideError as error:
            raise damaged(self.info.path, error) from error

    def _opaque(self, image: Image.Image) -> Pixels:
        if image.getchannel("A").getextrema() == (255, 255):  # the usual case, so the fast way
            return np.array(image.convert("RGB"))
        pixels = np.asarray(image)
        return composite(pixels[..., :3], pixels[..., 3], self.info.background)


def _cuts(start: int, size: int, step: int, aligned: bool) -> list[tuple[int, int]]:
    """Pieces of a span, cut at multiples of `step` (aligned) or every `step` pixels."""
    offset = start % step if aligned else 0
    pieces = spans(size + offset, step)
    return [(max(start, start - offset + a), start - offset + b) for a, b in pieces]


def _check_tiles(slide: openslide.OpenSlide, properties: Mapping[str, str], path: Path) -> None:
    """Refuse tiles so large that OpenSlide, which takes memory for a whole tile, would abort."""
    for level in range(slide.level_count):
        width, height = tile_size(properties, level)
        if width * height > LARGEST_TILE:
            raise InputError(
                f"{path}: is damaged: says that it has tiles of {width:,} x {height:,} px; "
                "copy it again."
            )


def _describe(slide: openslide.OpenSlide, path: Path) -> SlideInfo:
    base = slide.dimensions
    properties = properties_of(slide)
    _check_tiles(slide, properties, path)
    # No pixel is read, but the empty image returned carries the file's profile unchanged.
    profile = slide.read_region((0, 0), 0, (0, 0)).info.get("icc_profile")
    return SlideInfo(
        path=str(path),
        reader="openslide",
        format=properties.get(openslide.PROPERTY_NAME_VENDOR, "unknown"),
        levels=tuple(Level(*size, level_downsample(base, size)) for size in slide.level_dimensions),
        mpp=_mpp(properties),
        objective_power=positive(properties.get(openslide.PROPERTY_NAME_OBJECTIVE_POWER)),
        icc_profile=rgb_profile(profile),
        background=_background(properties),
        properties=MappingProxyType(properties),
        associated=tuple(sorted(slide.associated_images)),
    )


def _mpp(properties: Mapping[str, str]) -> tuple[float, float] | None:
    x = positive(properties.get(openslide.PROPERTY_NAME_MPP_X))
    y = positive(properties.get(openslide.PROPERTY_NAME_MPP_Y))
    return (x, y) if x and y else None


def _background(properties: Mapping[str, str]) -> tuple[int, int, int]:
    try:
        red, green, blue = bytes.fromhex(properties[openslide.PROPERTY_NAME_BACKGROUND_COLOR])
    except (KeyError, ValueError):
        return WHITE
    return red, green, blue


def _is_png(path: Path) -> bool:
    if path.suffix.lower() != ".png":
        return False
    with path.open("rb") as file:
        return file.read(len(PNG)) == PNG
