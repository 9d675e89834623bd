"""Pyramids from a stream of pixels, in memory that does not grow with the image's height.

When the last pixel of a tile arrives, the tile is encoded and appended to its level's spill file,
and its half-sized copy becomes a quarter of a tile one level up, and so on. Only unfinished tiles
stay in memory: one row per level if the image arrives from top to bottom.
"""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import OutputError
from uhrtranslate.geometry.levels import pyramid_sizes
from uhrtranslate.io.files.journal import Journal, State
from uhrtranslate.io.readers.unfinished import ABOUT
from uhrtranslate.io.writers.base import Encode, EncodedLevel
from uhrtranslate.io.writers.formats import ASSOCIATING, holding, no_channels, slide_format
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.io.writers.writer import ImageWriter
from uhrtranslate.pixels import Pixels
from uhrtranslate.threads import Workers, result_of

# Tiles per worker that are being encoded: bounds memory, and evens out varying encoding times.
_IN_FLIGHT = 4
# Of the length of a plane's bytes.
_LENGTH = np.dtype("<u4")


class PyramidWriter(ImageWriter):
    """Writes a slide of any format in `FORMATS`; see `ImageWriter`.

    The result depends only on the pixels and the spec.
    """

    def _choose_format(self, target: Path) -> bool:
        spec = self._spec
        self._format = slide_format(target, spec.format)
        if spec.associated and not self._format.holds_associated:
            raise OutputError(
                f"{target}: this format has no place for label, macro image and thumbnail; "
                f"leave out --keep-associated, or use --format {' or '.join(ASSOCIATING)}"
            )
        if spec.channels and not self._format.holds_channels:
            raise no_channels(target, spec)
        if spec.bits not in self._format.bits:
            raise OutputError(
                f"{target}: this format cannot hold {spec.bits} bits; use --format "
                f"{' or '.join(holding(spec.bits))}, or --bits 8"
            )
        self._encode = self._format.encoder(spec.compression)
        self._planar = self._format.planar and bool(spec.channels)
        if self._planar:
            self._encode = each_plane(self._encode)
        return self._format.is_folder

    def _open(self, folder: Path, state: State | None, stack: ExitStack) -> None:
        spec = self._spec
        self._levels = []
        self._pending: deque[tuple[int, int, int, Future[tuple[bytes, Pixels | None]]]] = deque()
        sizes = pyramid_sizes(spec.width, spec.height, spec.smallest)
        write_about(folder, spec, readable=not (self._format.is_folder or spec.channels))
        for number, (width, height) in enumerate(sizes):
            level = _Level(folder / f"level-{number}.tiles", width, height, spec.tile)
            self._levels.append(level)
            stack.callback(level.close)
            level.open(None if state is None else _arrays_of(number, state))
        self._pool = stack.enter_context(Workers(self._workers, "uhrt-encode"))

    def _take(self, x: int, y: int, pixels: Pixels) -> None:
        for row, col, tile in self._levels[0].add(x, y, pixels):
            self._submit(0, row, col, tile)

    def _save(self, journal: Journal, y: int) -> None:
        while self._pending:
            self._collect()
        arrays = {
            f"{number}/{name}": array
            for number, level in enumerate(self._levels)
            for name, array in level.arrays().items()
        }
        journal.save(y, (level.spill for level in self._levels), arrays)

    def _submit(self, number: int, row: int, col: int, tile: Pixels) -> None:
        while len(self._pending) >= _IN_FLIGHT * self._workers:
            self._collect()
        last = number == len(self._levels) - 1
        future = self._pool.submit(self._encode_and_halve, tile, last)
        self._pending.append((number, row, col, future))

    def _encode_and_halve(self, tile: Pixels, last: bool) -> tuple[bytes, Pixels | None]:
        """The work of the threads."""
        return self._encode(tile, self._spec.quality), None if last else halve(tile)

    def _collect(self) -> None:
        """Take the oldest result: keep its bytes, and pass its half to the next level."""
        number, row, col, future = self._pending.popleft()
        encoded, half = result_of(future)
        self._levels[number].keep(row, col, encoded)
        if half is None:
            return
        above = self._levels[number + 1]
        x, y = col * half.shape[1], row * half.shape[0]
        inside = half[: above.height - y, : above.width - x]
        for full in above.add(x, y, inside):
            self._submit(number + 1, *full)

    def _finish(self, folder: Path) -> Path:
        while self._pending:
            self._collect()
        if not all(level.complete for level in self._levels):
            raise OutputError(
                f"{self._output.target}: some tiles of the previous run are missing; use "
                "--overwrite without --resume to start afresh"
            )
        path = folder / f"complete{self._format.endings[0]}"
        planes = len(self._spec.channels) if self._planar else 0
        levels = [
            EncodedLevel(
                level.width,
                level.height,
                level.tiles(),
                tuple(level.plane(number, planes) for number in range(planes)),
            )
            for level in self._levels
        ]
        self._format.assemble(path, self._spec, levels)
        return path

    def _missing_bytes(self) -> int:
        """How many bytes a full disk lacks. Every tile is spilled, then copied: hence twice."""
        spilled = sum(level.size for level in self._levels)
        share = max(self._written, 1) / (self._spec.width * self._spec.height)
        used = sum(file.stat().st_size for file in self._output.folder.rglob("*"))
        return int(2 * spilled / share) - used


def write_about(folder: Path, spec: OutputSpec, readable: bool) -> None:
    """Say how the tiles are to be read, for those who look on; see `io.readers.unfinished`."""
    facts = {
        "width": spec.width,
        "height": spec.height,
        "mpp": spec.mpp,
        "tile": spec.tile,
        "smallest": spec.smallest,
        "bits": spec.bits,
        "compression": spec.compression if readable else "",
    }
    (folder / ABOUT).write_text(json.dumps(facts))


def each_plane(encode: Encode) -> Encode:
    """An encoder of the planes of a tile one by one; before their bytes come their lengths."""

    def planes(pixels: Pixels, quality: int) -> bytes:
        parts = [
            encode(np.ascontiguousarray(pixels[..., c, None]), quality)
            for c in range(pixels.shape[2])
        ]
        return np.array([len(part) for part in parts], _LENGTH).tobytes() + b"".join(parts)

    return planes


def halve(pixels: Pixels) -> Pixels:
    """Average squares of 2 x 2 pixels, rounding .5 of whole numbers up; both sides must be even."""
    half = np.empty((pixels.shape[0] // 2, pixels.shape[1] // 2, pixels.shape[2]), pixels.dtype)
    whole = pixels.dtype.kind != "f"
    wide = (np.uint16 if pixels.itemsize == 1 else np.uint32) if whole else np.float32
    rows = np.add(pixels[0::2], pixels[1::2], dtype=wide)
    for channel in range(half.shape[2]):  # numpy's inner loop then runs along a row
        sums = rows[:, 0::2, channel] + rows[:, 1::2, channel]
        if whole:
            sums += 2
            sums >>= 2
        else:
            sums *= 0.25
        half[..., channel] = sums
    return half


@dataclass
class _OpenTile:
    """A tile that is not full yet.

    Attributes:
        pixels: [tile, tile, c].
        came: which pixels inside the image have arrived, [h, w].
        missing: how many have not.
    """

    pixels: Pixels
    came: NDArray[np.bool_]
    missing: int


def _arrays_of(number: int, state: State) -> dict[str, NDArray[Any]]:
    """The part of a state that belongs to one level."""
    prefix = f"{number}/"
    return {
        name.removeprefix(prefix): array
        for name, array in state.arrays.items()
        if name.startswith(prefix)
    }


class _Level:
    """One level of the pyramid: tiles that are not full yet, and an open spill file of the rest."""

    spill: BinaryIO

    def __init__(self, path: Path, width: int, height: int, tile: int) -> None:
        self.width, self.height = width, height
        self.size = 0  # bytes of the spill
        self._tile = tile
        rows, cols = -(-height // tile), -(-width // tile)
        self._open: dict[tuple[int, int], _OpenTile] = {}
        self._full = np.zeros((rows, cols), bool)
        self._index = np.full((rows, cols, 2), -1, np.int64)  # offset and length in the spill
        self._path = path

    def open(self, arrays: Mapping[str, NDArray[Any]] | None) -> None:
        """Open a new spill, or that of the run whose `arrays` are given.

        Raises:
            OutputError: the spill is shorter than it was.
        """
        if arrays is None:
            self.spill = self._path.open("w+b")
            return
        self.spill = self._path.open("r+b")
        self._index[...] = arrays["index"]
        self._full = self._index[..., 0] >= 0
        self.size = int(self._index.sum(-1).max(initial=0, where=self._full))
        if self.spill.seek(0, os.SEEK_END) < self.size:
            raise OutputError(
                f"{self._path}: has lost its end; use --overwrite without --resume to start afresh"
            )
        self.spill.truncate(self.size)
        self.spill.seek(self.size)
        for key in arrays:
            if key.startswith("came/"):
                row, col = (int(part) for part in key.split("/")[1:])
                h, w = self._inside(row, col)
                came = np.unpackbits(arrays[key], axis=1, count=w).astype(bool)
                tile = np.array(arrays[f"pixels/{row}/{col}"])
                self._open[row, col] = _OpenTile(tile, came, h * w - int(np.count_nonzero(came)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The state apart from the spill: where tiles lie in it, and the tiles not full yet."""
        arrays: dict[str, NDArray[Any]] = {"index": self._index}
        for (row, col), tile in self._open.items():
            arrays[f"came/{row}/{col}"] = np.packbits(tile.came, axis=1)
            arrays[f"pixels/{row}/{col}"] = tile.pixels
        return arrays

    @property
    def complete(self) -> bool:
        return bool((self._index[..., 0] >= 0).all())

    def add(self, x: int, y: int, pixels: Pixels) -> Iterator[tuple[int, int, Pixels]]:
        """Copy a rectangle into its tiles; yield row, col and pixels of those that are now full.

        Tiles are [tile, tile, c]; beyond the image they repeat its last pixels.
        """
        size = self._tile
        h, w = pixels.shape[:2]
        for row in range(y // size, -(-(y + h) // size)):
            for col in range(x // size, -(-(x + w) // size)):
                full = self._place(row, col, x - col * size, y - row * size, pixels)
                if full is not None:
                    yield row, col, full

    def _place(self, row: int, col: int, x: int, y: int, pixels: Pixels) -> Pixels | None:
        """Copy the part that falls into one tile; `x, y` are relative to the tile."""
        size = self._tile
        h, w = self._inside(row, col)
        top, left = max(y, 0), max(x, 0)
        part = pixels[top - y : h - y, left - x : w - x]
        place = slice(top, top + part.shape[0]), slice(left, left + part.shape[1])
        key = row, col
        tile = self._open.get(key)
        if self._full[key] or (tile and tile.came[place].any()):
            raise ValueError(f"pixels of tile ({row}, {col}) came twice")
        if tile is None and part.shape[:2] == (
            h,
            w,
        ):  # arrived all at once: nothing to keep track of
            full = np.empty((size, size, pixels.shape[2]), pixels.dtype)
            full[:h, :w] = part
        else:
            if tile is None:
                blank = np.empty((size, size, pixels.shape[2]), pixels.dtype)
                tile = self._open[key] = _OpenTile(blank, np.zeros((h, w), bool), h * w)
            tile.pixels[place] = part
            tile.came[place] = True
            tile.missing -= part.shape[0] * part.shape[1]
            if tile.missing:
                return None
            full = self._open.pop(key).pixels
        self._full[key] = True
        full[:h, w:] = full[:h, w - 1 : w]
        full[h:] = full[h - 1]
        return full

    def _inside(self, row: int, col: int) -> tuple[int, int]:
        """Height and width in px of the part of a tile that lies inside the image."""
        size = self._tile
        return min(size, self.height - row * size), min(size, self.width - col * size)

    def keep(self, row: int, col: int, encoded: bytes) -> None:
        self.spill.write(encoded)
        self._index[row, col] = self.size, len(encoded)
        self.size += len(encoded)

    def tiles(self) -> Iterator[bytes]:
        for offset, length in self._index.reshape(-1, 2):
            self.spill.seek(offset)
            yield self.spill.read(length)

    def plane(self, number: int, planes: int) -> Iterator[bytes]:
        """The tiles of one plane, as `each_plane` has encoded it."""
        for offset, _ in self._index.reshape(-1, 2):
            self.spill.seek(offset)
            lengths = np.frombuffer(self.spill.read(planes * _LENGTH.itemsize), _LENGTH)
            self.spill.seek(int(lengths[:number].sum()), os.SEEK_CUR)
            yield self.spill.read(int(lengths[number]))

    def close(self) -> None:
        if hasattr(self, "spill"):
            with suppress(OSError):  # the disk is full, which was reported already
                self.spill.close()
