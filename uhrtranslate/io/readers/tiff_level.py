"""One level of a TIFF: where its tiles or strips lie in the file, and how to turn them into RGB."""

import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from uhrtranslate.io.channels import MOST_CHANNELS
from uhrtranslate.io.files.remote import RemoteFile
from uhrtranslate.io.pixels import WHITE, composite
from uhrtranslate.io.readers.encoded_size import PICTURES, encoded_size
from uhrtranslate.pixels import Pixels, finite, to_bits

# Codes of the TIFF 6.0 specification and its supplements.
MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
UNCOMPRESSED, JPEG_OLD, JPEG = 1, 6, 7
APERIO_YCBCR = 33003
LZW, DEFLATE, DEFLATE_OLD, ZSTD = 5, 8, 32946, 50000
PLAIN_COMPRESSIONS = (UNCOMPRESSED, LZW, JPEG, DEFLATE, DEFLATE_OLD, ZSTD)
# These and pictures are decoded into memory of a known size. Other codecs take as much memory as
# the file asks for.
CCITT, PACKBITS, LZMA = (2, 3, 4), 32773, 34925
BOUNDED = (UNCOMPRESSED, *CCITT, LZW, DEFLATE, DEFLATE_OLD, PACKBITS, LZMA, ZSTD, *PICTURES)
COLOURS = {MIN_IS_WHITE: 1, MIN_IS_BLACK: 1, RGB: 3, PALETTE: 1, SEPARATED: 4, YCBCR: 3}
ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA = 1, 2

# Rows that are read together from an uncompressed image without tiles.
ROWS = 64


class SharedFile:
    """A file that several threads read from; it has no shared position."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()
        self.size = os.fstat(self._fd).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """Read bytes from a position on; fewer at the end of the file."""
        if hasattr(os, "pread"):
            return os.pread(self._fd, size, offset)
        with self._lock:  # Windows has no pread
            os.lseek(self._fd, offset, os.SEEK_SET)
            return os.read(self._fd, size)

    def close(self) -> None:
        """Close the file; nothing can be read afterwards."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


@dataclass(frozen=True, eq=False)
class TiffLevel:
    """Storage of a level. Strips are tiles as wide as the image.

    Attributes:
        width, height: size of the level in px.
        tile_width, tile_height: in px; the last tiles of a row or column are cut off.
        cols: tiles in a row.
        offsets, sizes: in bytes, of each plane's tiles, [planes, tiles]; size 0 is a missing tile.
        decode: turns the bytes of a tile, and its number, into [h, w, samples of the plane].
        to_rgb: turns all samples of a tile into RGB, or into channels.
        bits: depth of these: 8, 16, or 32 for channels of float32.
        samples: of a pixel, 3 for RGB.
    """

    width: int
    height: int
    tile_width: int
    tile_height: int
    cols: int
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    decode: Callable[[bytes, int], NDArray[Any]]
    to_rgb: Callable[[NDArray[Any]], Pixels]
    bits: int = 8
    samples: int = 3

    @property
    def end(self) -> int:
        """Bytes that the file must have at least."""
        return int((self.offsets + self.sizes).max(initial=0))

    @property
    def incomplete(self) -> bool:
        """Whether tiles are missing, where the background shows."""
        return bool((self.sizes == 0).any())

    def has(self, number: int) -> bool:
        """Whether a tile is present."""
        return bool(self.sizes[:, number].all())

    def tile(self, file: SharedFile | RemoteFile, number: int) -> Pixels:
        """Decode a tile that is present.

        Returns:
            [h, w, samples]; at least the part of the tile that lies in the image.

        Raises:
            Exception: whatever the codec raises for damaged data.
        """
        tiles = self.offsets.shape[1]
        planes = [
            self.decode(file.read_at(int(offset), int(size)), plane * tiles + number)
            for plane, (offset, size) in enumerate(
                zip(self.offsets[:, number], self.sizes[:, number], strict=True)
            )
        ]
        rgb = self.to_rgb(planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2))
        row, col = divmod(number, self.cols)
        rows = min(self.tile_height, self.height - row * self.tile_height)
        cols = min(self.tile_width, self.width - col * self.tile_width)
        if rgb.shape[0] < rows or rgb.shape[1] < cols:
            raise ValueError("a tile is too short")
        return rgb


def no_colours(page: tifffile.TiffPage) -> str | None:
    """Why a page's pixels are not colours, in a few words; None if they are."""
    if page.dtype is None or page.dtype.kind not in "ub" or page.bitspersample > 16:
        return "has pixels of an unknown type" if page.dtype is None else f"has {page.dtype} pixels"
    if page.photometric in COLOURS and page.samplesperpixel not in _channels(page):
        return f"has {page.samplesperpixel} channels"
    if page.imagedepth != 1:
        return f"has {page.imagedepth} layers"
    return None


def no_channel(page: tifffile.TiffPage) -> str | None:
    """Why a page cannot be a channel, in a few words; None if it can, which float32 pages can."""
    return no_colours(page) if page.dtype != np.float32 or page.imagedepth != 1 else None


def not_decoded(page: tifffile.TiffPage) -> str | None:
    """Why a page's colours are not decoded here, though another reader may; None if they are."""
    if page.photometric not in COLOURS:
        return f"has colours of a kind (TIFF photometric {int(page.photometric)}) unknown here"
    if page.photometric == YCBCR and page.compression != JPEG:
        return "has YCbCr pixels without JPEG compression"
    if page.photometric == SEPARATED and page.compression == JPEG:
        return "has CMYK pixels in JPEG compression"
    if page.compression == APERIO_YCBCR or page.compression not in BOUNDED:
        return f"has an unsupported compression ({int(page.compression)})"
    if page.tags.valueof("Orientation", 1) not in (0, 1):
        return "its pixels are turned (Orientation tag)"
    return None


def _channels(page: tifffile.TiffPage) -> tuple[int, ...]:
    """Numbers of samples that a pixel may have: the colours alone, or with alpha."""
    colours = COLOURS[page.photometric]
    extra = page.extrasamples[0] if page.extrasamples else 0
    # Writers often leave the meaning of a fourth sample beside RGB open; it is then padding.
    if extra in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA) or page.photometric == RGB:
        return colours, colours + 1
    return (colours,)


def is_plain(page: tifffile.TiffPage) -> bool:
    """Whether all readers agree on a page's pixels: tiled 8-bit grey or RGB, usual compression."""
    return (
        page.is_tiled
        and page.bitspersample == 8
        and page.photometric in (MIN_IS_BLACK, RGB, YCBCR)
        and page.samplesperpixel in (1, 3)
        and page.compression in PLAIN_COMPRESSIONS
        and no_colours(page) is None
        # Not `not_decoded`, as the Orientation tag does not matter: OpenSlide ignores it, too.
        and not (page.photometric == YCBCR and page.compression != JPEG)
    )


def piece_size(page: tifffile.TiffPage) -> tuple[int, int]:
    """Width and height in px of the piece that is decoded at once."""
    if page.is_tiled:
        return page.tilewidth, page.tilelength
    if _is_uncompressed(page):
        return page.imagewidth, min(ROWS, page.imagelength)
    return page.imagewidth, min(page.rowsperstrip, page.imagelength)


def piece_bytes(page: tifffile.TiffPage) -> int:
    """Bytes of the piece that is decoded at once, with all its samples."""
    return math.prod(piece_size(page)) * int(page.samplesperpixel) * np.dtype(page.dtype).itemsize


def uncompressed_end(page: tifffile.TiffPage) -> int:
    """Bytes that the file must have for a page of uncompressed pixels; 0 for other pages."""
    return int(page.dataoffsets[0] + page.nbytes) if _is_uncompressed(page) else 0


def _is_uncompressed(page: tifffile.TiffPage) -> bool:
    return page.is_contiguous and not page.is_tiled and page.bitspersample in (8, 16, 32)


def make_level(page: tifffile.TiffPage, bits: int = 8) -> TiffLevel:
    """Take from a page everything needed to read its pixels as 8 or 16 bits, floats as 32.

    The page's file may then be closed.
    """
    if min(page.imagewidth, page.imagelength, *piece_size(page)) < 1:  # tags may be signed
        raise ValueError("its size is not positive")
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    to_rgb = _converter(page, bits)
    if _is_uncompressed(page):
        return _uncompressed(page, planes, to_rgb, bits)
    # Read now, as tifffile loads tags lazily, which moves the file's position.
    offsets = np.array(page.dataoffsets, np.int64)
    sizes = np.array(page.databytecounts, np.int64)
    tables: bytes | None = page.jpegtables
    decode_segment = page.decode
    arguments = {"jpegtables": tables} if tables is not None else {}
    compression = int(page.compression)
    most = 2 * math.prod(piece_size(page))  # JPEG strips may have extra rows

    def decode(data: bytes, index: int) -> NDArray[Any]:
        if compression in PICTURES and math.prod(encoded_size(compression, data)) > most:
            raise ValueError("a tile holds a picture that is larger than the tile")
        segment, _, _ = decode_segment(data, index, **arguments)
        if segment is None:
            raise ValueError("no pixels in a tile")
        pixels: NDArray[Any] = segment[0]
        return pixels

    width, height = piece_size(page)
    cols = -(-page.imagewidth // width)
    shape = (planes, cols * -(-page.imagelength // height))
    count = shape[0] * shape[1]
    if len(offsets) < count or len(sizes) < count:
        raise ValueError(f"lists {min(len(offsets), len(sizes))} of {count} tiles")
    return TiffLevel(
        page.imagewidth,
        page.imagelength,
        width,
        height,
        cols,
        offsets[:count].reshape(shape),
        sizes[:count].reshape(shape),
        decode,
        to_rgb,
        bits,
    )


def is_stack(series: tifffile.TiffPageSeries) -> bool:
    """Whether a series is a stack of up to 64 grey pages, which may be channels.

    A single page is one if its pixels are floats, as these are no colours.
    """
    if series.axes == "YX":
        return bool(series.keyframe.samplesperpixel == 1 and series.keyframe.dtype == np.float32)
    others = series.axes.replace("Y", "").replace("X", "")
    count = len(series.pages)
    return (
        series.axes.endswith("YX")
        and len(others) == 1
        and others in "CQIZT"
        and series.keyframe.samplesperpixel == 1
        and 1 < count == series.shape[0] <= MOST_CHANNELS
    )


def stacked(pages: Sequence[tifffile.TiffPage], bits: int = 8) -> TiffLevel:
    """A level whose channels are pages of grey, of equal size.

    Raises:
        ValueError: they are not.
    """
    levels = [make_level(page, bits) for page in pages]
    first, depth = levels[0], pages[0].bitspersample
    for page, level in zip(pages, levels, strict=True):
        shape = (level.width, level.height, level.tile_width, level.tile_height, level.cols)
        if (
            page.photometric != MIN_IS_BLACK
            or (page.samplesperpixel, page.bitspersample) != (1, depth)
            or shape != (first.width, first.height, first.tile_width, first.tile_height, first.cols)
        ):
            raise ValueError("its channels are no grey pages of equal size")
    count = first.offsets.shape[1]

    def to_channels(samples: NDArray[Any]) -> Pixels:
        pixels = np.ascontiguousarray(to_bits(samples, depth, bits))
        return finite(pixels if pixels.flags.writeable else pixels.copy()) if bits == 32 else pixels

    return replace(
        first,
        offsets=np.concatenate([level.offsets for level in levels]),
        sizes=np.concatenate([level.sizes for level in levels]),
        decode=lambda data, index: levels[index // count].decode(data, index % count),
        to_rgb=to_channels,
        samples=len(levels),
    )


def _uncompressed(
    page: tifffile.TiffPage, planes: int, to_rgb: Callable[[NDArray[Any]], Pixels], bits: int
) -> TiffLevel:
    """A level of strips of our own height, as the file may hold all rows in one strip."""
    samples = page.samplesperpixel // planes
    dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
    row_bytes = page.imagewidth * samples * dtype.itemsize
    tops = np.arange(0, page.imagelength, ROWS, dtype=np.int64)
    rows = np.minimum(page.imagelength - tops, ROWS)
    starts = page.dataoffsets[0] + np.arange(planes)[:, None] * page.imagelength * row_bytes

    def decode(data: bytes, index: int) -> NDArray[Any]:
        return np.frombuffer(data, dtype).reshape(-1, page.imagewidth, samples)

    return TiffLevel(
        page.imagewidth,
        page.imagelength,
        page.imagewidth,
        ROWS,
        1,
        starts + tops * row_bytes,
        np.broadcast_to(rows * row_bytes, (planes, len(tops))),
        decode,
        to_rgb,
        bits,
    )


def _converter(page: tifffile.TiffPage, wanted: int) -> Callable[[NDArray[Any]], Pixels]:
    bits, colours, photometric = page.bitspersample, COLOURS[page.photometric], page.photometric
    extra = page.extrasamples[0] if page.extrasamples else 0
    palette = None
    if photometric == PALETTE:
        colormap = np.asarray(page.colormap)
        if colormap.shape != (3, 2**bits):
            raise ValueError("its colour map does not have as many colours as its pixels need")
        palette = to_bits(np.moveaxis(colormap, 0, -1), 16, wanted)
    top = 2**wanted - 1

    def convert(samples: NDArray[Any]) -> Pixels:
        if palette is not None:
            coloured: Pixels = palette[samples[..., 0]]
            return coloured
        pixels = to_bits(samples[..., :colours], bits, wanted)
        if photometric == MIN_IS_WHITE:
            pixels = top - pixels
        elif photometric == SEPARATED:
            pixels = _from_cmyk(pixels)
        if pixels.shape[2] == 1:
            pixels = np.repeat(pixels, 3, axis=2)
        if extra in (ASSOCIATED_ALPHA, UNASSOCIATED_ALPHA):
            alpha = to_bits(samples[..., colours], bits, wanted)
            if extra == ASSOCIATED_ALPHA:
                behind = top - alpha[..., None].astype(np.uint32)
                laid: Pixels = np.minimum(pixels + behind, top).astype(pixels.dtype)
                return laid
            return composite(pixels, alpha, WHITE)
        return np.ascontiguousarray(pixels)

    return convert


def _from_cmyk(cmyk: Pixels) -> Pixels:
    """Convert ink on white paper, where 0 is no ink, without a colour profile."""
    top = np.iinfo(cmyk.dtype).max
    paper = top - cmyk.astype(np.uint32)
    rgb: Pixels = ((paper[..., :3] * paper[..., 3:] + top // 2) // top).astype(cmyk.dtype)
    return rgb
