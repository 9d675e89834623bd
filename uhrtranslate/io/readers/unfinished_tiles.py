"""Pixels that an unfinished run has saved: tiles of a pyramid, or rows of a photo."""

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError
from uhrtranslate.geometry.levels import Size
from uhrtranslate.io.files.journal import NAME
from uhrtranslate.io.files.positioned import PositionedFile
from uhrtranslate.io.readers.block_cache import BlockCache
from uhrtranslate.io.readers.tiff_level import SharedFile
from uhrtranslate.pixels import Pixels, halve

# How the bytes of a tile follow each other: RGB as in a TIFF tile; each plane encoded by itself,
# after the lengths of all; all planes one after the other, as in a chunk of OME-Zarr.
TILE, PLANES, CHUNK = "tile", "planes", "chunk"
# Rows of RGB, uncompressed, as photos save them.
ROWS = "rows"
# Of a plane's bytes, in front of them.
LENGTH = np.dtype("<u4")
CACHE_BYTES = 16 << 20
LARGEST_HEAD = 1 << 20

Shape = tuple[int, int, int]
Mask = NDArray[np.bool_]
Decode = Callable[[bytes, Shape, "np.dtype[Any]"], Pixels]


class Store(Protocol):
    """Where saved pixels are."""

    def read(self, level: int, x: int, y: int, pixels: Pixels) -> None:
        """Put what is done into [h, w, c] pixels whose first is `x, y` of a level."""

    def close(self) -> None:
        """Close the files."""


@dataclass(frozen=True)
class Saved:
    """What the state of a run says.

    Attributes:
        rows, height: that are done, and in all, in px.
        indices: offset and length of each tile, [rows, columns, 2], by the number of the level.
        parts: where in the file the arrays of tiles lie that are not full: offset, shape, type.
        file: of the state, open.
    """

    rows: int
    height: int
    indices: dict[int, NDArray[np.int64]]
    parts: dict[str, tuple[int, tuple[int, ...], "np.dtype[Any]"]]
    file: SharedFile = field(repr=False)

    @property
    def done(self) -> float:
        """Share of the rows that are done."""
        return min(self.rows / max(self.height, 1), 1.0)


def read_saved(folder: Path) -> Saved:
    """The state of a run; its pixels are passed by, and read later.

    Raises:
        OSError: there is none.
        ValueError, KeyError, TypeError, EOFError: it is damaged.
    """
    shared = SharedFile(folder / NAME)
    try:
        file = io.BufferedReader(PositionedFile(shared))
        head = json.loads(file.readline(LARGEST_HEAD))
        indices, parts = {}, {}
        for name in head["arrays"]:
            shape, dtype = _array_head(file)
            length = int(np.prod(shape)) * dtype.itemsize
            if dtype.kind not in "uifb" or file.tell() + length > shared.size:
                raise ValueError("is cut off")
            number, _, kind = str(name).partition("/")
            if kind == "index":
                indices[int(number)] = (
                    np.frombuffer(file.read(length), dtype).reshape(shape).astype(np.int64)
                )
            else:
                parts[name] = file.tell(), shape, dtype
                file.seek(length, os.SEEK_CUR)
        return Saved(int(head["rows"]), int(head["height"]), indices, parts, shared)
    except BaseException:
        shared.close()
        raise


def _array_head(file: "io.BufferedReader[Any]") -> tuple[tuple[int, ...], "np.dtype[Any]"]:
    version = np.lib.format.read_magic(file)
    first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


class RowStore:
    """The rows of a photo that are done.

    Args:
        folder: of the run.
        saved: its state.
        width: of the photo in px.
    """

    def __init__(self, folder: Path, saved: Saved, width: int) -> None:
        self._rows, self._width = saved.rows, width
        saved.file.close()
        self._file = SharedFile(folder / "rows")

    def read(self, level: int, x: int, y: int, pixels: Pixels) -> None:
        """See `Store`."""
        h, w = min(pixels.shape[0], self._rows - y), pixels.shape[1]
        if h <= 0:
            return
        data = self._file.read_at(3 * self._width * y, 3 * self._width * h)
        rows = np.frombuffer(data[: len(data) // (3 * self._width) * 3 * self._width], np.uint8)
        rows = rows.reshape(-1, self._width, 3)
        pixels[: len(rows)] = rows[:, x : x + w]

    def close(self) -> None:
        """See `Store`."""
        self._file.close()


class TileStore:
    """The tiles of a pyramid that are done, and what has arrived of others.

    Small levels lag behind, as a tile is halved when it is full; what they lack is made of the next
    larger ones here.

    Args:
        folder: of the run.
        saved: its state, whose file this closes.
        sizes: width and height of each level.
        shape: of a tile, [tile, tile, c].
        nothing: what is shown where nothing has arrived, [c] of the pixels' type.
        compression, layout: how tiles are encoded.
        name: of the result, for errors.

    Raises:
        InputError: the state does not fit.
        OSError: a file is missing.
    """

    def __init__(
        self,
        folder: Path,
        saved: Saved,
        sizes: list[Size],
        shape: Shape,
        nothing: Pixels,
        compression: str,
        layout: str,
        name: str,
    ) -> None:
        self._saved, self._shape, self._name = saved, shape, name
        self._nothing, self._dtype = nothing, nothing.dtype
        self._files: list[SharedFile] = [saved.file]
        self._decode = partial(_LAYOUTS[layout], _DECODERS[compression])
        if layout == CHUNK:
            self._decode = partial(_chunk, compression != "none")
        side = shape[0]
        self._index = []
        for number, (width, height) in enumerate(sizes):
            index = saved.indices.get(number, np.zeros(0, np.int64))
            if index.shape != (-(-height // side), -(-width // side), 2):
                self.close()
                raise InputError(f"{name}: its run's state is damaged; look again.")
            self._index.append(index)
        self._some = [self._has_some(number) for number in range(len(sizes))]
        for number in range(1, len(sizes)):
            self._some[number] |= _any_of_four(self._some[number - 1], self._some[number].shape)
        try:
            for number in range(len(sizes)):
                self._files.append(SharedFile(folder / f"level-{number}.tiles"))
        except OSError:
            self.close()
            raise
        self._cache = BlockCache(CACHE_BYTES)

    def read(self, level: int, x: int, y: int, pixels: Pixels) -> None:
        """See `Store`."""
        (h, w), side = pixels.shape[:2], self._shape[0]
        for row in range(y // side, -(-(y + h) // side)):
            for col in range(x // side, -(-(x + w) // side)):
                if not self._some[level][row, col]:
                    continue
                known = self._cache.get((level, row, col), partial(self._kept, level, row, col))
                left, top = max(x, col * side), max(y, row * side)
                right, bottom = min(x + w, (col + 1) * side), min(y + h, (row + 1) * side)
                part = known[
                    top - row * side : bottom - row * side, left - col * side : right - col * side
                ]
                pixels[top - y : bottom - y, left - x : right - x] = part

    def close(self) -> None:
        """See `Store`."""
        for file in self._files:
            file.close()

    def _kept(self, level: int, row: int, col: int) -> Pixels:
        """A tile as it is shown."""
        pixels, came = self._tile(level, row, col)
        if came is not None:
            pixels[~came] = self._nothing
        return pixels

    def _tile(self, level: int, row: int, col: int) -> tuple[Pixels, Mask | None]:
        """Pixels of a tile, and which of them have come; None if all have."""
        offset, length = (int(value) for value in self._index[level][row, col])
        if offset >= 0:
            return self._decoded(level, offset, length), None
        pixels, came = self._open_part(level, row, col)
        half = self._shape[0] // 2
        finer = self._some[level - 1] if level else np.zeros((0, 0), bool)
        for down in (0, 1):
            for across in (0, 1):
                below = 2 * row + down, 2 * col + across
                place = (slice(down * half, (down + 1) * half),
                         slice(across * half, (across + 1) * half))  # fmt: skip
                if not (below[0] < finer.shape[0] and below[1] < finer.shape[1]):
                    continue
                if not finer[below] or came[place].all():
                    continue
                fine, which = self._tile(level - 1, *below)
                new = ~came[place]
                if which is not None:
                    new &= which.reshape(half, 2, half, 2).all(axis=(1, 3))
                pixels[place][new] = halve(fine)[new]
                came[place] |= new
        return pixels, came

    def _open_part(self, level: int, row: int, col: int) -> tuple[Pixels, Mask]:
        """What has arrived of a tile that is not full."""
        pixels, came = np.zeros(self._shape, self._dtype), np.zeros(self._shape[:2], bool)
        kept = self._saved.parts.get(f"{level}/pixels/{row}/{col}")
        bits = self._saved.parts.get(f"{level}/came/{row}/{col}")
        if kept is not None and bits is not None:
            found, which = self._array(kept), np.unpackbits(self._array(bits), axis=1).astype(bool)
            h, w = which.shape[0], min(which.shape[1], self._shape[1])
            if found.shape != self._shape or h > self._shape[0]:
                raise InputError(f"{self._name}: its run's state is damaged; look again.")
            came[:h, :w] = which[:, :w]
            # What has not come is whatever was in memory.
            pixels[came] = found[came].astype(self._dtype)
        return pixels, came

    def _array(self, place: tuple[int, tuple[int, ...], "np.dtype[Any]"]) -> NDArray[Any]:
        offset, shape, dtype = place
        data = self._saved.file.read_at(offset, int(np.prod(shape)) * dtype.itemsize)
        return np.frombuffer(data, dtype).reshape(shape)

    def _decoded(self, level: int, offset: int, length: int) -> Pixels:
        data = self._files[1 + level].read_at(offset, length)
        try:
            return self._decode(data, self._shape, self._dtype).reshape(self._shape)
        except Exception as error:  # codecs' exceptions have no common base
            raise InputError(f"{self._name}: a tile cannot be read ({error}).") from error

    def _has_some(self, level: int) -> Mask:
        """Which tiles are full, or have had pixels arrive."""
        some: Mask = self._index[level][..., 0] >= 0
        for name in self._saved.parts:
            number, *kind, row, col = name.split("/")
            if kind == ["pixels"] and int(number) == level:
                some[int(row), int(col)] = True
        return some


def _any_of_four(finer: Mask, shape: tuple[int, ...]) -> Mask:
    """Which squares of 2 x 2 have something."""
    padded = np.zeros((2 * shape[0], 2 * shape[1]), bool)
    padded[: finer.shape[0], : finer.shape[1]] = finer
    return np.asarray(padded.reshape(shape[0], 2, shape[1], 2).any(axis=(1, 3)))


def _jpeg(data: bytes, shape: Shape, dtype: "np.dtype[Any]") -> Pixels:
    if shape[2] == 1:
        return np.asarray(imagecodecs.jpeg8_decode(data))
    return np.asarray(
        imagecodecs.jpeg8_decode(data, colorspace="ycbcr", outcolorspace="rgb"),
    )


def _summed(unpack: Callable[..., Any]) -> Decode:
    """A decoder of horizontal differences (TIFF predictor 2), which floats do not have."""

    def decode(data: bytes, shape: Shape, dtype: "np.dtype[Any]") -> Pixels:
        size = int(np.prod(shape)) * dtype.itemsize
        values = np.frombuffer(unpack(data, out=size), dtype).reshape(shape)
        return (
            values if dtype.kind == "f" else np.asarray(imagecodecs.delta_decode(values, axis=-2))
        )

    return decode


def _plain(data: bytes, shape: Shape, dtype: "np.dtype[Any]") -> Pixels:
    return np.frombuffer(data, dtype).reshape(shape)


def _whole(decode: Decode, data: bytes, shape: Shape, dtype: "np.dtype[Any]") -> Pixels:
    return decode(data, shape, dtype)


def _planes(decode: Decode, data: bytes, shape: Shape, dtype: "np.dtype[Any]") -> Pixels:
    side, _, planes = shape
    start = planes * LENGTH.itemsize
    found = []
    for length in np.frombuffer(data[:start], LENGTH):
        plane = decode(data[start : start + int(length)], (side, side, 1), dtype)
        found.append(plane.reshape(side, side))
        start += int(length)
    return np.stack(found, axis=2)


def _chunk(packed: bool, data: bytes, shape: Shape, dtype: "np.dtype[Any]") -> Pixels:
    side, _, planes = shape
    raw = imagecodecs.zstd_decode(data) if packed else data
    return np.ascontiguousarray(
        np.frombuffer(raw, dtype).reshape(planes, side, side).transpose(1, 2, 0)
    )


_DECODERS: dict[str, Decode] = {
    "jpeg": _jpeg,
    "deflate": _summed(imagecodecs.zlib_decode),
    "lzw": _summed(imagecodecs.lzw_decode),
    "zstd": _summed(imagecodecs.zstd_decode),
    "none": _plain,
}
_LAYOUTS = {TILE: _whole, PLANES: _planes, CHUNK: _whole}
LAYOUTS, COMPRESSIONS = (*_LAYOUTS, ROWS), tuple(_DECODERS)
