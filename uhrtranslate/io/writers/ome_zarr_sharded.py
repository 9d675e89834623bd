"""Pyramids as OME-Zarr of NGFF 0.5 with few files: 8 x 8 chunks lie in one, a shard.

File systems of clusters want few files, and a slide of 100,000 px square has 51,000 chunks. A shard
is its chunks, one after the other, and an index at the end: the position and size of each in 64
bits, all bits set if there is none, with a CRC-32C (zarr's codec `sharding_indexed`, version 1.0).
"""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from uhrtranslate.errors import require
from uhrtranslate.io.readers.unfinished_tiles import CHUNK
from uhrtranslate.io.writers.base import EncodedLevel, SlideFormat
from uhrtranslate.io.writers.ome_zarr import encode_chunk
from uhrtranslate.io.writers.ome_zarr_05 import write_levels
from uhrtranslate.io.writers.output_spec import OutputSpec

# Chunks along a side of a shard: 4,096 px of tiles of 512 px.
SIDE = 8
_NO_CHUNK = 2**64 - 1


class Shard:
    """A file of chunks, which are added in any order; a context manager that ends it."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("wb")
        self._end = 0
        self._index = np.full((SIDE, SIDE, 2), _NO_CHUNK, "<u8")

    def __enter__(self) -> Self:
        return self

    def add(self, row: int, column: int, chunk: bytes) -> None:
        """Append the chunk of a place inside the shard."""
        self._file.write(chunk)
        self._index[row, column] = self._end, len(chunk)
        self._end += len(chunk)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        with self._file as file:
            if kind is None:
                checksum: Any = require("google_crc32c", "zarr")
                index = self._index.tobytes()
                file.write(index + checksum.value(index).to_bytes(4, "little"))


def write_shards(folder: Path, spec: OutputSpec, level: EncodedLevel) -> None:
    """Write the tiles of a level as files `0/row/column` of 8 x 8 tiles, one row of them at a time.

    As many files are open as shards lie side by side: 25 for 100,000 px.
    """
    rows, columns = (-(-side // spec.tile) for side in (level.height, level.width))
    tiles = iter(level.tiles)
    for top in range(0, rows, SIDE):
        with ExitStack() as stack:
            paths = [folder / "0" / str(top // SIDE) / str(i) for i in range(-(-columns // SIDE))]
            shards: Sequence[Shard] = [stack.enter_context(Shard(path)) for path in paths]
            for row in range(min(SIDE, rows - top)):
                for column in range(columns):
                    shards[column // SIDE].add(row, column % SIDE, next(tiles))


def write_ome_zarr_sharded(path: Path, spec: OutputSpec, levels: list[EncodedLevel]) -> None:
    """Write a pyramid as a folder; see `SlideFormat.assemble`.

    Raises:
        MissingExtraError: zarr is not installed.
    """
    side = SIDE * spec.tile
    write_levels(path, spec, levels, write_shards, shards=(spec.samples, side, side))


OME_ZARR_SHARDED = SlideFormat(
    (".sharded.ome.zarr", ".ome.zarr", ".zarr"),
    write_ome_zarr_sharded,
    encode_chunk,
    bits=(8, 16, 32),
    is_folder=True,
    holds_channels=True,
    layout=CHUNK,
)
