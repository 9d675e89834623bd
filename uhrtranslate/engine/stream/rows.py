"""Decoded rows of the image: each is read once, kept while it is needed, then dropped."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Self

import numpy as np

from uhrtranslate.geometry import Box, reflect, spans
from uhrtranslate.pixels import Pixels, Source
from uhrtranslate.threads import Workers, result_of

# Width of one read: wide enough that storage tiles are seldom cut, narrow enough to share a
# strip among the reader threads.
READ_WIDTH = 2048


class RowBuffer:
    """A window of decoded rows that moves down the image.

    Rows are read in strips, by several threads, one strip ahead of what was requested. Dropped rows
    cannot be requested again.

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
        self._pool = Workers(workers, "uhrt-read")
        self._strips: deque[tuple[int, Pixels]] = deque()
        # Dropped strips are reused: freeing and allocating blocks of this size would fragment the
        # heap, which could double the memory.
        self._spare: list[Pixels] = []
        self._pending: tuple[int, Pixels, list[Future[None]]] | None = None
        self._tail = max(source.height - tail, 0)
        first = max(min(first, self._tail), 0) // source.strip_height * source.strip_height
        self._starts = (
            (y0, y1)
            for y0, y1 in spans(source.height, source.strip_height)
            if y0 >= first and wanted(Box(0, y0, source.width, y1 - y0))
        )
        self._request_next()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def view(self, box: Box) -> Pixels:
        """A copy of a rectangle of the image, continued by reflection, [h, w, c]."""
        ys = reflect(box.y, box.y + box.h, self._source.height)
        xs = reflect(box.x, box.x + box.w, self._source.width)
        top, bottom = int(ys.min()), int(ys.max()) + 1
        left, right = int(xs.min()), int(xs.max()) + 1
        self._read_to(bottom)
        block = np.empty((bottom - top, right - left, self._samples), self._source.dtype)
        there = 0
        for start, strip in self._strips:
            first, last = max(start, top), min(start + len(strip), bottom)
            if first < last:
                block[first - top : last - top] = strip[first - start : last - start, left:right]
                there += last - first
        if there < bottom - top:
            raise RuntimeError(f"rows {top} to {bottom} were dropped or never wanted")
        if block.shape[:2] == (box.h, box.w) and (ys[0], xs[0]) == (top, left):
            return block
        return block.take(ys - top, axis=0).take(xs - left, axis=1)

    def drop_above(self, y: int) -> None:
        """Forget rows above `y`, except the image's tail."""
        keep = min(y, self._tail)
        while self._strips and self._strips[0][0] + len(self._strips[0][1]) <= keep:
            self._spare.append(self._strips.popleft()[1])

    def _read_to(self, y: int) -> None:
        while self._pending is not None and self._pending[0] < y:
            start, strip, reads = self._pending
            self._pending = None
            for read in reads:
                result_of(read)
            self._strips.append((start, strip))
            self._request_next()

    def _request_next(self) -> None:
        y0, y1 = next(self._starts, (0, 0))
        if y1 == 0:
            return
        shape = y1 - y0, self._source.width, self._samples
        if self._spare and self._spare[-1].shape == shape:
            strip = self._spare.pop()
        else:
            strip = np.empty(shape, self._source.dtype)
        reads = []
        for x0, x1 in spans(self._source.width, READ_WIDTH):
            if self._wanted(Box(x0, y0, x1 - x0, y1 - y0)):
                reads.append(self._pool.submit(self._read, strip, x0, x1, y0))
            else:
                strip[:, x0:x1] = 255  # never used, but no run may depend on leftovers
        self._pending = (y0, strip, reads)

    def _read(self, strip: Pixels, x0: int, x1: int, y0: int) -> None:
        strip[:, x0:x1] = self._source.read(x0, y0, x1 - x0, len(strip))
