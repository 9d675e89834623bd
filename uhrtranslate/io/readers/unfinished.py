"""Results that are being written: the tiles that are done so far, as a slide."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError
from uhrtranslate.geometry.levels import level_downsample, pyramid_sizes
from uhrtranslate.io.files.inputs import PARTIAL
from uhrtranslate.io.files.journal import NAME
from uhrtranslate.io.readers.block_cache import BlockCache
from uhrtranslate.io.readers.tiff_level import SharedFile
from uhrtranslate.io.slide import Level, Slide, SlideInfo, read_padded
from uhrtranslate.pixels import Pixels, dtype_of, to_bits

# What the writer of a pyramid says of it, beside its tiles.
ABOUT = "about.json"
# What is not done yet.
NOTHING = (236, 236, 240)
CACHE_BYTES = 16 << 20
LARGEST_HEAD = 1 << 20
LARGEST_SIDE = 1 << 31


@dataclass(frozen=True)
class About:
    """How the tiles of an unfinished pyramid are to be read.

    Attributes:
        width, height: of the image in px.
        mpp: micrometres per pixel.
        tile: side of its tiles in px.
        smallest: see `OutputSpec`.
        bits: of a sample.
        compression: how tiles are encoded, a name in `COMPRESSIONS`; empty if the format has an
            encoding of its own, which is not read here.
    """

    width: int
    height: int
    mpp: tuple[float, float] | None
    tile: int
    smallest: int
    bits: int
    compression: str


def find_unfinished(folder: Path) -> list[Path]:
    """Folders of unfinished runs in a folder and its subfolders that have saved something."""
    found = []
    for where, folders, _ in os.walk(folder):
        partial_ones = [name for name in folders if name.endswith(PARTIAL)]
        found += [Path(where, name) for name in partial_ones if Path(where, name, NAME).is_file()]
        folders[:] = [name for name in folders if name[0] != "." and name not in partial_ones]
    return sorted(found)


def target_name(folder: Path) -> str:
    """The name that the result will have."""
    return folder.name.removesuffix(PARTIAL)


class UnfinishedSlide(Slide):
    """The part of a pyramid that an unfinished run has saved; it is as it was when opened.

    Args:
        folder: of the unfinished run.

    Attributes:
        done: share of its rows.

    Raises:
        InputError: the run has saved nothing, has ended, or its tiles cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            about = _read_about(folder / ABOUT)
            rows, height, indices = _read_state(folder / NAME)
            indices = {name: index.astype(np.int64) for name, index in indices.items()}
        except FileNotFoundError:
            raise InputError(
                f"{target_name(folder)}: its run has saved nothing yet, or has ended; look again."
            ) from None
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise InputError(
                f"{target_name(folder)}: what its run has saved cannot be read ({error})."
            ) from error
        if about.compression not in _DECODERS:
            raise InputError(
                f"{target_name(folder)}: its format is shown only when it is complete; wait."
            )
        self._about = about
        self.done = min(rows / max(height, 1), 1.0)
        base = (about.width, about.height)
        sizes = pyramid_sizes(*base, about.smallest)
        self.info = SlideInfo(
            path=str(folder),
            reader="unfinished",
            format="unfinished",
            levels=tuple(Level(*size, level_downsample(base, size)) for size in sizes),
            mpp=about.mpp,
            background=NOTHING,
            bits=about.bits,
        )
        nothing = np.zeros(0, np.int64)
        self._indices = [indices.get(f"{number}/index", nothing) for number in range(len(sizes))]
        for size, index in zip(sizes, self._indices, strict=True):
            if index.shape != (-(-size[1] // about.tile), -(-size[0] // about.tile), 2):
                raise InputError(f"{target_name(folder)}: its run's state is damaged; look again.")
        self._files: list[SharedFile] = []
        try:
            for number in range(len(sizes)):
                self._files.append(SharedFile(folder / f"level-{number}.tiles"))
        except OSError as error:
            self.close()
            raise InputError(f"{target_name(folder)}: its run has ended; look again.") from error
        self._cache = BlockCache(CACHE_BYTES)

    def tile_size(self, level: int) -> tuple[int, int]:
        """See `Slide`."""
        return self._about.tile, self._about.tile

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide`; what is not done is background."""
        return read_padded(self.info, (x, y, w, h), level, partial(self._inside, level))

    def close(self) -> None:
        """See `Slide`."""
        for file in self._files:
            file.close()

    def _inside(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        side = self._about.tile
        pixels = np.empty((h, w, 3), self.info.dtype)
        pixels[:] = to_bits(np.array(NOTHING, np.uint8), 8, self.info.bits)
        index = self._indices[level]
        for row in range(y // side, -(-(y + h) // side)):
            for col in range(x // side, -(-(x + w) // side)):
                offset, length = (int(value) for value in index[row, col])
                if offset < 0:
                    continue
                decode = partial(self._tile, level, offset, length)
                tile = self._cache.get((level, row, col), decode)
                left, top = max(x, col * side), max(y, row * side)
                right, bottom = min(x + w, (col + 1) * side), min(y + h, (row + 1) * side)
                pixels[top - y : bottom - y, left - x : right - x] = tile[
                    top - row * side : bottom - row * side, left - col * side : right - col * side
                ]
        return pixels

    def _tile(self, level: int, offset: int, length: int) -> Pixels:
        data = self._files[level].read_at(offset, length)
        shape = self._about.tile, self._about.tile, 3
        try:
            tile = _DECODERS[self._about.compression](data, shape, dtype_of(self._about.bits))
            return tile.reshape(shape)
        except Exception as error:  # codecs' exceptions have no common base
            raise InputError(f"{self.info.path}: a tile cannot be read ({error}).") from error


Shape = tuple[int, int, int]


def _jpeg(data: bytes, shape: Shape, dtype: np.dtype[Any]) -> Pixels:
    pixels: Pixels = imagecodecs.jpeg8_decode(data, colorspace="ycbcr", outcolorspace="rgb")
    return pixels


def _summed(unpack: Callable[..., Any]) -> Callable[[bytes, Shape, np.dtype[Any]], Pixels]:
    """A decoder of horizontal differences (TIFF predictor 2)."""

    def decode(data: bytes, shape: Shape, dtype: np.dtype[Any]) -> Pixels:
        size = int(np.prod(shape)) * dtype.itemsize
        differences = np.frombuffer(unpack(data, out=size), dtype).reshape(shape)
        pixels: Pixels = imagecodecs.delta_decode(differences, axis=-2)
        return pixels

    return decode


def _plain(data: bytes, shape: Shape, dtype: np.dtype[Any]) -> Pixels:
    return np.frombuffer(data, dtype).reshape(shape)


_DECODERS: dict[str, Callable[[bytes, Shape, np.dtype[Any]], Pixels]] = {
    "jpeg": _jpeg,
    "deflate": _summed(imagecodecs.zlib_decode),
    "lzw": _summed(imagecodecs.lzw_decode),
    "zstd": _summed(imagecodecs.zstd_decode),
    "none": _plain,
}


def _read_about(path: Path) -> About:
    facts = json.loads(path.read_bytes())
    mpp = facts["mpp"]
    about = About(
        int(facts["width"]),
        int(facts["height"]),
        None if mpp is None else (float(mpp[0]), float(mpp[1])),
        int(facts["tile"]),
        int(facts["smallest"]),
        int(facts["bits"]),
        str(facts["compression"]),
    )
    sides = (about.width, about.height, about.smallest)
    if not all(0 < side < LARGEST_SIDE for side in sides) or not 16 <= about.tile <= 4096:
        raise ValueError("sizes that no image has")
    return about


def _read_state(path: Path) -> tuple[int, int, dict[str, NDArray[np.int64]]]:
    """Rows that are done, rows in all, and where tiles lie; pixels in the file are passed by."""
    with path.open("rb") as file:
        head = json.loads(file.readline(LARGEST_HEAD))
        size = os.fstat(file.fileno()).st_size
        indices = {}
        for name in head["arrays"]:
            version = np.lib.format.read_magic(file)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(file)
            length = int(np.prod(shape)) * dtype.itemsize
            if file.tell() + length > size:
                raise ValueError("is cut off")
            if name.endswith("/index"):
                indices[name] = np.frombuffer(file.read(length), dtype).reshape(shape)
            else:
                file.seek(length, os.SEEK_CUR)
    return int(head["rows"]), int(head["height"]), indices
