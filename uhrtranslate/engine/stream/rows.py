"""Decoded rows of the image: each is read once, kept while it is needed, then dropped."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Self

import numpy as np

from uhrtranslate.geometry import Box, reflect, spans
from uhrtranslate.pixels import Pixels, Source
from uhrtranslate.threads import Workers, result_of

# Width of one read: wide enough that storage tiles are seldom cut, narrow enough to share a
# strip among the reader threads. Pixels of more bytes than the last number, as of many channels,
# are read in narrower pieces, since each takes memory while it is decoded.
READ_WIDTH, NARROW_WIDTH, WIDE_PIXEL = 2048, 512, 16
# Rows that are dropped together.
BLOCK = 128
# Strips are read one ahead unless they are larger: then each begins to be read when it is needed,
# and is used while its other columns are still read.
AHEAD_BYTES = 320 << 20
# An image of at most so many px is read by whoever asks, as threads take about as long to start.
SMALL = 1 << 19


@dataclass(frozen=True, eq=False)
class _Block:
    """Some rows of a strip: the first row, the pixels, and reads under way by columns."""

    start: int
    pixels: Pixels
    reads: list[tuple[int, int, Future[None]]]

    @property
    def end(self) -> int:
        return self.start + len(self.pixels)

    def wait(self, left: int, right: int) -> None:
        """Wait until the columns `left <= x < right` are there."""
        for x0, x1, read in self.reads:
            if x0 < right and left < x1:
                result_of(read)


class RowBuffer:
    """A window of decoded rows that moves down the image.

    Rows are read in strips by several threads, small strips one ahead of what was requested.
    Dropped rows cannot be requested again.

    Args:
        source: the image.
        workers: number of reader threads.
        tail: rows at the image's lower end that are never dropped, because the continuation beyond
            the end is their reflection.
        first: nothing above this row will be requested.
        wanted: whether any of a rectangle may be requested; otherwise it is not read.
    """

    def __init__(
        self,
        source: Source,
        workers: int,
        tail: int,
        first: int = 0,
        wanted: Callable[[Box], bool] = lambda box: True,
    ) -> None:
        self._source = source
        self._samples: int = getattr(source, "samples", 3)
        self._wanted = wanted
        small = source.width * source.height <= SMALL
        self._pool = None if small else Workers(workers, "uhrt-read")
        self._blocks: deque[_Block] = deque()
        # Dropped blocks are reused: freeing and allocating blocks of this size would fragment the
        # heap, which could double the memory.
        self._spare: list[Pixels] = []
        bytes_per_pixel = self._samples * source.dtype.itemsize
        self._step = READ_WIDTH if bytes_per_pixel <= WIDE_PIXEL else NARROW_WIDTH
        strip_bytes = bytes_per_pixel * source.width * min(source.strip_height, source.height)
        self._ahead = not small and strip_bytes <= AHEAD_BYTES
        self._requested = 0  # the end of the last strip, or its start if one is read ahead
        self._tail = max(source.height - tail, 0)
        first = max(min(first, self._tail), 0) // source.strip_height * source.strip_height
        self._strips = (
            (y0, y1)
            for y0, y1 in spans(source.height, source.strip_height)
            if y0 >= first and wanted(Box(0, y0, source.width, y1 - y0))
        )
        if self._ahead:
            self._request_next()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool:
            self._pool.close()

    def view(self, box: Box) -> Pixels:
        """A copy of a rectangle of the image, continued by reflection, [h, w, c]."""
        ys = reflect(box.y, box.y + box.h, self._source.height)
        xs = reflect(box.x, box.x + box.w, self._source.width)
        top, bottom = int(ys.min()), int(ys.max()) + 1
        left, right = int(xs.min()), int(xs.max()) + 1
        while self._requested < bottom and self._request_next():
            pass
        copy = np.empty((bottom - top, right - left, self._samples), self._source.dtype)
        there = 0
        for block in self._blocks:
            first, last = max(block.start, top), min(block.end, bottom)
            if first < last:
                block.wait(left, right)
                rows = block.pixels[first - block.start : last - block.start]
                copy[first - top : last - top] = rows[:, left:right]
                there += last - first
        if there < bottom - top:
            raise RuntimeError(f"rows {top} to {bottom} were dropped or never wanted")
        if copy.shape[:2] == (box.h, box.w) and (ys[0], xs[0]) == (top, left):
            return copy
        return copy.take(ys - top, axis=0).take(xs - left, axis=1)

    def drop_above(self, y: int) -> None:
        """Forget rows above `y`, except the image's tail."""
        keep = min(y, self._tail)
        while self._blocks and self._blocks[0].end <= keep:
            block = self._blocks.popleft()
            block.wait(0, self._source.width)  # nothing may be written into what is reused
            self._spare.append(block.pixels)

    def _request_next(self) -> bool:
        """Have the next strip read; returns whether there is one."""
        y0, y1 = next(self._strips, (0, 0))
        if y1 == 0:
            return False
        blocks = [self._empty(bottom - top) for top, bottom in spans(y1 - y0, BLOCK)]
        reads: list[tuple[int, int, Future[None]]] = []
        for x0, x1 in spans(self._source.width, self._step):
            if self._wanted(Box(x0, y0, x1 - x0, y1 - y0)):
                if self._pool:
                    reads.append((x0, x1, self._pool.submit(self._read, blocks, x0, x1, y0, y1)))
                else:
                    self._read(blocks, x0, x1, y0, y1)
            else:
                for block in blocks:
                    block[:, x0:x1] = 255  # never used, but no run may depend on leftovers
        for number, block in enumerate(blocks):
            self._blocks.append(_Block(y0 + number * BLOCK, block, reads))
        self._requested = y0 if self._ahead else y1
        return True

    def _empty(self, rows: int) -> Pixels:
        """Memory for a block, which may hold anything."""
        shape = rows, self._source.width, self._samples
        for number, block in enumerate(self._spare):
            if block.shape == shape:
                return self._spare.pop(number)
        return np.empty(shape, self._source.dtype)

    def _read(self, blocks: list[Pixels], x0: int, x1: int, y0: int, y1: int) -> None:
        """The work of the threads."""
        pixels = self._source.read(x0, y0, x1 - x0, y1 - y0)
        for number, block in enumerate(blocks):
            block[:, x0:x1] = pixels[number * BLOCK : number * BLOCK + len(block)]
