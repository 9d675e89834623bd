"""Deep Zoom tiles of any slide: levels that halve, made where the file has none."""

import math
import tempfile
import threading
import zlib
from collections.abc import Hashable
from dataclasses import dataclass
from typing import IO

import numpy as np
from PIL import Image

from uhrtranslate.io import Pixels, Slide
from uhrtranslate.io.readers.block_cache import BlockCache
from uhrtranslate.io.resample import Resampled

# Side of the tiles in px. Larger ones take too long each when several people look at once.
TILE = 256
# A level that is stored at most so many times finer is resampled; coarser ones are made of tiles
# that were made before, so that no pixel is read twice for them.
REACH = 8
# A level whose downsample is within this share of the one needed is used as it is.
SAME = 1e-3
CACHE_BYTES = 4 << 20
# Of all tiles that were made of others, compressed, of one slide.
MOST_SPILLED = 1 << 31


@dataclass(frozen=True)
class _Step:
    """How a level of tiles comes about: read, resampled, or from the tiles of the next finer one.

    Attributes:
        width, height: of the level in px.
        stored: the slide's level with these very pixels.
        resampled: reads them.
    """

    width: int
    height: int
    stored: int | None = None
    resampled: Resampled | None = None


class TilePyramid:
    """A slide as Deep Zoom tiles; safe from several threads.

    Level `last` is level 0 of the slide, each one below has half its sides, level 0 is 1 px.

    Args:
        slide: must stay open; is not closed by this.

    Attributes:
        last: the number of the largest level.
    """

    def __init__(self, slide: Slide) -> None:
        self._slide = slide
        self.last = max(math.ceil(math.log2(max(slide.info.width, slide.info.height))), 0)
        self._steps = [self._step(2 ** (self.last - number)) for number in range(self.last + 1)]
        self._made = _Spilled()
        self._making = threading.Lock()

    def needs_making(self, level: int, column: int, row: int) -> bool:
        """Whether a tile takes many others that have not been made yet; False if there is none."""
        if not 0 <= level <= self.last:
            return False
        step = self._steps[level]
        made = step.stored is not None or step.resampled is not None
        return not made and (level, column, row) not in self._made

    @property
    def slow(self) -> bool:
        """Whether small levels are made of the whole slide, which takes a while once."""
        return any(step.stored is None and step.resampled is None for step in self._steps[8:])

    def shape(self, level: int) -> tuple[int, int]:
        """Columns and rows of tiles of a level.

        Raises:
            KeyError: there is no such level.
        """
        if not 0 <= level <= self.last:
            raise KeyError(level)
        step = self._steps[level]
        return -(-step.width // TILE), -(-step.height // TILE)

    def tile(self, level: int, column: int, row: int) -> Pixels:
        """The pixels of a tile, [h, w, c] of the slide's type; those at the end are smaller.

        Raises:
            KeyError: there is no such tile.
            InputError: the file is damaged.
        """
        columns, rows = self.shape(level)
        if not (0 <= column < columns and 0 <= row < rows):
            raise KeyError((level, column, row))
        step = self._steps[level]
        x, y = column * TILE, row * TILE
        w, h = min(TILE, step.width - x), min(TILE, step.height - y)
        if step.stored is not None:
            return self._stored(step.stored, x, y, w, h)
        if step.resampled is not None:
            return step.resampled(x, y, w, h)
        # One at a time, as each needs many others; what is stored in the file can go past it.
        with self._making:
            return self._of_finer(level, column, row)

    def level(self, number: int) -> Pixels:
        """All of a level, [h, w, c]; for small ones.

        Raises:
            KeyError: there is no such level.
            InputError: the file is damaged.
        """
        columns, rows = self.shape(number)
        return np.concatenate(
            [
                np.concatenate([self.tile(number, x, y) for x in range(columns)], axis=1)
                for y in range(rows)
            ]
        )

    def close(self) -> None:
        """Forget what was made."""
        self._made.close()

    def _step(self, downsample: int) -> _Step:
        info = self._slide.info
        width, height = -(-info.width // downsample), -(-info.height // downsample)
        finer = [
            (level.downsample, number)
            for number, level in enumerate(info.levels)
            if level.downsample <= downsample * (1 + SAME)
        ]
        found, number = max(finer)
        size = info.levels[number]
        if abs(downsample / found - 1) <= SAME:
            if abs(size.width - width) <= 1 and abs(size.height - height) <= 1:
                return _Step(width, height, number)
        elif downsample / found > REACH:
            return _Step(width, height)
        # A pixel stands for `downsample` px each way, also where the last ones lie half outside.
        ratio = downsample / found
        box = (0.0, 0.0, width * ratio, height * ratio)
        cache = BlockCache(CACHE_BYTES)
        whole = Resampled(self._slide, number, box, width, height, cache=cache)
        return _Step(width, height, resampled=whole)

    def _stored(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        """Pixels of a stored level; if it was rounded down, its last ones are there twice."""
        size = self._slide.info.levels[level]
        x0, y0 = min(x, size.width - 1), min(y, size.height - 1)
        inside = min(w, size.width - x0), min(h, size.height - y0)
        pixels = self._slide.read(x0, y0, *inside, level)
        if inside == (w, h):
            return pixels
        return np.pad(pixels, ((0, h - inside[1]), (0, w - inside[0]), (0, 0)), "edge")

    def _of_finer(self, level: int, column: int, row: int) -> Pixels:
        """A tile from the four of the next larger level."""
        key = level, column, row
        kept = self._made.get(key)
        if kept is not None:
            return kept
        columns, rows = self.shape(level + 1)
        parts = [
            [self._finer(level + 1, x, y) for x in range(2 * column, min(2 * column + 2, columns))]
            for y in range(2 * row, min(2 * row + 2, rows))
        ]
        tile = _halved(np.concatenate([np.concatenate(line, axis=1) for line in parts]))
        self._made.put(key, tile)
        return tile

    def _finer(self, level: int, column: int, row: int) -> Pixels:
        step = self._steps[level]
        if step.stored is None and step.resampled is None:
            return self._of_finer(level, column, row)
        return self.tile(level, column, row)


def _halved(pixels: Pixels) -> Pixels:
    """Means of 2 x 2 px, of fewer at odd ends."""
    if pixels.dtype == np.uint8 and pixels.shape[2] == 3:
        return np.asarray(Image.fromarray(pixels).reduce(2))
    planes = [
        np.asarray(Image.fromarray(plane.astype(np.float32)).reduce(2))
        for plane in np.moveaxis(pixels, 2, 0)
    ]
    halved = np.stack(planes, axis=2)
    return halved if pixels.dtype.kind == "f" else np.rint(halved).astype(pixels.dtype)


class _Spilled:
    """Tiles on the disk, in a file that no other process sees and that ends with this one."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None  # most slides need none
        self._places: dict[Hashable, tuple[int, int, tuple[int, ...], str]] = {}
        self._size = 0

    def __contains__(self, key: Hashable) -> bool:
        return key in self._places

    def get(self, key: Hashable) -> Pixels | None:
        place = self._places.get(key)
        if place is None or self._file is None:
            return None
        offset, length, shape, kind = place
        self._file.seek(offset)
        data = zlib.decompress(self._file.read(length))
        return np.frombuffer(data, kind).reshape(shape)

    def put(self, key: Hashable, pixels: Pixels) -> None:
        data = zlib.compress(np.ascontiguousarray(pixels).tobytes(), 1)
        if self._size + len(data) > MOST_SPILLED:
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="uhrt-view-")  # noqa: SIM115
        self._file.seek(self._size)
        self._file.write(data)
        self._places[key] = (self._size, len(data), pixels.shape, pixels.dtype.str)
        self._size += len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        self._places.clear()
