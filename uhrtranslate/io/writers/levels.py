"""All levels of a pyramid: full tiles are encoded, halved, and passed to the level above."""

from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.geometry.levels import pyramid_sizes
from uhrtranslate.io.files.journal import Journal, State
from uhrtranslate.io.readers.unfinished_tiles import LENGTH
from uhrtranslate.io.writers.base import Encode
from uhrtranslate.io.writers.level import Level, arrays_of
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.pixels import Pixels, halve
from uhrtranslate.threads import Workers, result_of

# Tiles per worker that are being encoded: bounds memory, and evens out varying encoding times.
_IN_FLIGHT = 4


class Levels:
    """The levels of a pyramid, in spill files of a folder.

    Args:
        folder: of the files.
        spec: of the image.
        encode: a tile.
        workers: threads that encode.
        stack: closes files and ends threads.
        state: of the run to continue; None for new files.

    Raises:
        OutputError: a file is shorter than it was.
    """

    def __init__(
        self,
        folder: Path,
        spec: OutputSpec,
        encode: Encode,
        workers: int,
        stack: ExitStack,
        state: State | None = None,
    ) -> None:
        self._spec, self._encode, self._workers = spec, encode, workers
        self._pending: deque[tuple[int, int, int, Future[tuple[bytes, Pixels | None]]]] = deque()
        self.levels: list[Level] = []
        sizes = pyramid_sizes(spec.width, spec.height, spec.smallest)
        for number, (width, height) in enumerate(sizes):
            level = Level(_spill(folder, number), width, height, spec.tile)
            self.levels.append(level)
            stack.callback(level.close)
            level.open(None if state is None else arrays_of(number, state))
        self._pool = stack.enter_context(Workers(workers, "uhrt-encode"))

    def take(self, x: int, y: int, pixels: Pixels) -> None:
        """Copy pixels [h, w, c] of the largest level."""
        for row, col, tile in self.levels[0].add(x, y, pixels):
            self._submit(0, row, col, tile)

    def adopt(self, folder: Path, state: State) -> None:
        """Take what other levels, of the same image, have made of other pixels.

        Their encoded tiles are copied. Tiles of which both have a part are put together.

        Args:
            folder: of their files, which are closed.
            state: that they have saved.

        Raises:
            OutputError: a file has lost its end.
            ValueError: a pixel is in both.
        """
        self.settle()
        for number, level in enumerate(self.levels):
            arrays = arrays_of(number, state)
            for row, col, tile in level.adopt(_spill(folder, number), arrays):
                self._submit(number, row, col, tile)
        self.settle()

    def save(self, journal: Journal, rows: int) -> None:
        """Save the state: see `Journal.save`."""
        self.settle()
        arrays: Mapping[str, NDArray[Any]] = {
            f"{number}/{name}": array
            for number, level in enumerate(self.levels)
            for name, array in level.arrays().items()
        }
        journal.save(rows, (level.spill for level in self.levels), arrays)

    def settle(self) -> None:
        """Wait until all full tiles are encoded, on all levels."""
        while self._pending:
            self._collect()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(level.size for level in self.levels)

    def _submit(self, number: int, row: int, col: int, tile: Pixels) -> None:
        while len(self._pending) >= _IN_FLIGHT * self._workers:
            self._collect()
        last = number == len(self.levels) - 1
        future = self._pool.submit(self._encode_and_halve, tile, last)
        self._pending.append((number, row, col, future))

    def _encode_and_halve(self, tile: Pixels, last: bool) -> tuple[bytes, Pixels | None]:
        """The work of the threads."""
        return self._encode(tile, self._spec.quality), None if last else halve(tile)

    def _collect(self) -> None:
        """Take the oldest result: keep its bytes, and pass its half to the next level."""
        number, row, col, future = self._pending.popleft()
        encoded, half = result_of(future)
        self.levels[number].keep(row, col, encoded)
        if half is None:
            return
        above = self.levels[number + 1]
        x, y = col * half.shape[1], row * half.shape[0]
        inside = half[: above.height - y, : above.width - x]
        for full in above.add(x, y, inside):
            self._submit(number + 1, *full)


def _spill(folder: Path, number: int) -> Path:
    return folder / f"level-{number}.tiles"


def each_plane(encode: Encode) -> Encode:
    """An encoder of the planes of a tile one by one; before their bytes come their lengths."""

    def planes(pixels: Pixels, quality: int) -> bytes:
        parts = [
            encode(np.ascontiguousarray(pixels[..., c, None]), quality)
            for c in range(pixels.shape[2])
        ]
        return np.array([len(part) for part in parts], LENGTH).tobytes() + b"".join(parts)

    return planes
