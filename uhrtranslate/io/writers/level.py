"""The levels of a pyramid while they are made: tiles that are not full, and the encoded rest."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.journal import State
from uhrtranslate.io.readers.unfinished_tiles import LENGTH
from uhrtranslate.pixels import Pixels

# Bytes that are copied at once.
COPIED = 1 << 22


@dataclass
class OpenTile:
    """A tile that is not full yet.

    Attributes:
        pixels: [tile, tile, c].
        came: which pixels inside the image have arrived, [h, w].
        missing: how many have not.
    """

    pixels: Pixels
    came: NDArray[np.bool_]
    missing: int


def arrays_of(number: int, state: State) -> dict[str, NDArray[Any]]:
    """The part of a state that belongs to one level."""
    prefix = f"{number}/"
    return {
        name.removeprefix(prefix): array
        for name, array in state.arrays.items()
        if name.startswith(prefix)
    }


class Level:
    """One level of the pyramid: tiles that are not full yet, and an open spill file of the rest."""

    spill: BinaryIO

    def __init__(self, path: Path, width: int, height: int, tile: int) -> None:
        self.width, self.height = width, height
        self.size = 0  # bytes of the spill
        self._tile = tile
        rows, cols = -(-height // tile), -(-width // tile)
        self._open: dict[tuple[int, int], OpenTile] = {}
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
                self._open[row, col] = OpenTile(tile, came, h * w - int(np.count_nonzero(came)))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The state apart from the spill: where tiles lie in it, and the tiles not full yet."""
        arrays: dict[str, NDArray[Any]] = {"index": self._index}
        for (row, col), tile in self._open.items():
            arrays[f"came/{row}/{col}"] = np.packbits(tile.came, axis=1)
            arrays[f"pixels/{row}/{col}"] = tile.pixels
        return arrays

    def adopt(
        self, spill: Path, arrays: Mapping[str, NDArray[Any]]
    ) -> Iterator[tuple[int, int, Pixels]]:
        """Take what another run has made of other pixels of the same level.

        Args:
            spill: its file, which is copied.
            arrays: its state, as `arrays` gives it.

        Yields: what `add` yields, of tiles that are now full.

        Raises:
            OutputError: the file has lost its end.
            ValueError: it has a tile that is here, too.
        """
        index = arrays["index"]
        there = index[..., 0] >= 0
        if (self._full & there).any():
            raise ValueError(f"{spill}: has tiles that are there already")
        size = int(index.sum(-1).max(initial=0, where=there))
        if size:
            with spill.open("rb") as file:
                if file.seek(0, os.SEEK_END) < size:
                    raise OutputError(f"{spill}: has lost its end; make it again")
                file.seek(0)
                shutil.copyfileobj(file, self.spill, COPIED)
                copied = file.tell()
            self._index[there] = index[there] + np.array([self.size, 0])
            self._full |= there
            self.size += copied
        for key in arrays:
            if key.startswith("came/"):
                row, col = (int(part) for part in key.split("/")[1:])
                _, w = self._inside(row, col)
                came = np.unpackbits(arrays[key], axis=1, count=w).astype(bool)
                full = self._merge(row, col, arrays[f"pixels/{row}/{col}"], came)
                if full is not None:
                    yield row, col, full

    def _merge(self, row: int, col: int, pixels: Pixels, came: NDArray[np.bool_]) -> Pixels | None:
        """Put the pixels of a tile that came elsewhere to those that came here."""
        h, w = came.shape
        key = row, col
        tile = self._open.get(key)
        if self._full[key] or (tile and (tile.came & came).any()):
            raise ValueError(f"pixels of tile ({row}, {col}) came twice")
        if tile is None:
            tile = self._open[key] = OpenTile(np.empty_like(pixels), np.zeros((h, w), bool), h * w)
        tile.pixels[:h, :w][came] = pixels[:h, :w][came]
        tile.came |= came
        tile.missing -= int(np.count_nonzero(came))
        return None if tile.missing else self._filled(key, self._open.pop(key).pixels)

    @property
    def complete(self) -> bool:
        """Whether all tiles are in the file."""
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
        if tile is None:
            blank = np.empty((size, size, pixels.shape[2]), pixels.dtype)
            if part.shape[:2] == (h, w):  # arrived all at once: nothing to keep track of
                blank[:h, :w] = part
                return self._filled(key, blank)
            tile = self._open[key] = OpenTile(blank, np.zeros((h, w), bool), h * w)
        tile.pixels[place] = part
        tile.came[place] = True
        tile.missing -= part.shape[0] * part.shape[1]
        return None if tile.missing else self._filled(key, self._open.pop(key).pixels)

    def _filled(self, key: tuple[int, int], full: Pixels) -> Pixels:
        """Note that a tile is full, and repeat the image's last pixels beyond it."""
        h, w = self._inside(*key)
        self._full[key] = True
        full[:h, w:] = full[:h, w - 1 : w]
        full[h:] = full[h - 1]
        return full

    def _inside(self, row: int, col: int) -> tuple[int, int]:
        """Height and width in px of the part of a tile that lies inside the image."""
        size = self._tile
        return min(size, self.height - row * size), min(size, self.width - col * size)

    def keep(self, row: int, col: int, encoded: bytes) -> None:
        """Append an encoded tile to the file."""
        self.spill.write(encoded)
        self._index[row, col] = self.size, len(encoded)
        self.size += len(encoded)

    def tiles(self) -> Iterator[bytes]:
        """The encoded tiles, row by row, from left to right."""
        for offset, length in self._index.reshape(-1, 2):
            self.spill.seek(offset)
            yield self.spill.read(length)

    def plane(self, number: int, planes: int) -> Iterator[bytes]:
        """The tiles of one plane, as `each_plane` has encoded it."""
        for offset, _ in self._index.reshape(-1, 2):
            self.spill.seek(offset)
            lengths = np.frombuffer(self.spill.read(planes * LENGTH.itemsize), LENGTH)
            self.spill.seek(int(lengths[:number].sum()), os.SEEK_CUR)
            yield self.spill.read(int(lengths[number]))

    def close(self) -> None:
        """Close the file."""
        if hasattr(self, "spill"):
            with suppress(OSError):  # the disk is full, which was reported already
                self.spill.close()
