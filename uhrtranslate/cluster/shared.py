"""One slide that several workers share: what they are told, and how their bands are joined.

The client is the slide's writer: it holds its lock, copies encoded tiles from the bands' folders
in order, and saves its state after each. So a run that dies, whoever dies, is resumed as any other.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from uhrtranslate.cluster.crew import Ordered
from uhrtranslate.cluster.orders import BandOrder, CellsOrder, FinishOrder, Job
from uhrtranslate.io import open_writer
from uhrtranslate.io.writers.pyramid import PyramidWriter
from uhrtranslate.runs.bands import (
    BandDone,
    Divided,
    band_path,
    cells_of,
    cells_path,
    finished,
)
from uhrtranslate.runs.events import ImageResult


@dataclass(frozen=True)
class Part:
    """What an order is about: the number of its slide, and what it is in words."""

    slide: int
    words: str = ""
    pixels: int = 0


class SharedSlide:
    """A divided slide while it is worked on; `close` must be called at the end.

    Args:
        number: of the slide among the tasks.
        job: what is to become of it.
        divided: how it is shared.

    Attributes:
        start: rows of pixels that an earlier run has finished.

    Raises:
        OutputError: the output exists, is locked, or cannot be written.
    """

    def __init__(self, number: int, job: Job, divided: Divided, again: bool) -> None:
        self._number, self._divided = number, divided
        options = job.options.model_copy(update=dict(divided.options))
        self._job = replace(job, options=options, threads=divided.threads)
        self._began = time.monotonic()
        self._stack = ExitStack()
        self._done: dict[tuple[int, int], BandDone] = {}
        self._hosts: set[str] = set()
        writer = open_writer(
            job.target,
            divided.spec,
            overwrite=divided.overwrite,
            workers=job.options.workers,
            job=divided.job,
            resume=job.options.resume or again,
        )
        assert isinstance(writer, PyramidWriter)
        self._writer = self._stack.enter_context(writer)
        try:
            writer.begin()
            self.start = writer.start
            self._plan()
        except BaseException:
            self.close()
            raise

    def _plan(self) -> None:
        """Which bands and which statistics are missing."""
        divided, folder = self._divided, self._writer.folder
        some = [
            (max(y0, self.start), y1, place)
            for place, (y0, y1) in enumerate(divided.bands)
            if y1 > self.start
        ]
        self._bands = [(y0, y1) for y0, y1, _ in some]
        self._needs: dict[tuple[int, int], tuple[Path, ...]] = {}
        self._lacking: set[Path] = set()
        if divided.cells is not None and some:
            needed = [divided.cells[place] for _, _, place in some]
            first, end = min(a for a, _ in needed), max(b for _, b in needed)
            step = max(1, -(-(end - first) // len(some)))
            paths = [
                cells_path(folder, (row, min(row + step, end))) for row in range(first, end, step)
            ]
            for band, (low, high) in zip(self._bands, needed, strict=True):
                self._needs[band] = tuple(
                    path for path in paths if cells_of(path)[0] < high and cells_of(path)[1] > low
                )
            self._lacking = {path for path in paths if not path.exists()}
        self._waiting = [band for band in self._bands if not band_path(folder, band).is_dir()]
        for band in self._bands:
            if band not in self._waiting:
                self._done[band] = BandDone(0.0, {})
        wanted = {path for band in self._waiting for path in self._needs.get(band, ())}
        self._lacking &= wanted

    def orders(self) -> Iterator[Ordered]:
        """What workers are to do first."""
        for path in sorted(self._lacking, key=cells_of):
            rows = cells_of(path)
            words = f"statistics of cells, rows {rows[0]:,} to {rows[1] - 1:,}"
            yield Ordered(CellsOrder(self._job, rows, path), Part(self._number, words))
        yield from self._ready()
        if not self._waiting and not self._lacking:
            yield from self._join()

    def done(self, order: object, answer: object, host: str) -> Iterator[Ordered]:
        """Take what a worker has done; what is to be done next.

        Raises:
            OutputError: the output cannot be written.
        """
        self._hosts.add(host)
        if isinstance(order, CellsOrder):
            self._lacking.discard(order.path)
            yield from self._ready()
        elif isinstance(order, BandOrder):
            assert isinstance(answer, BandDone)
            self._done[order.rows] = answer
            yield from self._join()

    def result(self, seen: ImageResult) -> ImageResult:
        """The result of the slide.

        Args:
            seen: of the `FinishOrder`.
        """
        return finished(
            self._divided,
            list(self._done.values()),
            resumed=self.start,
            seams=seen.seams,
            worst_channel=seen.worst_channel,
            worst_seams=seen.worst_seams,
            preview=seen.preview,
            seconds=round(time.monotonic() - self._began, 3),
            host=", ".join(sorted(self._hosts)) or None,
        )

    def close(self, error: BaseException | None = None) -> None:
        """Let go of the output; after an error, of a run that can be resumed."""
        stack, self._stack = self._stack, ExitStack()
        why = error or RuntimeError("not all bands are there")
        stack.__exit__(type(why), why, None)

    def _ready(self) -> Iterator[Ordered]:
        """Bands whose statistics are there."""
        for band in list(self._waiting):
            needs = self._needs.get(band)
            if needs is not None and self._lacking.intersection(needs):
                continue
            self._waiting.remove(band)
            order = BandOrder(
                self._job, band, band_path(self._writer.folder, band), self._divided.job, needs
            )
            words = f"rows {band[0]:,} to {band[1] - 1:,}"
            pixels = (band[1] - band[0]) * self._divided.spec.width
            yield Ordered(order, Part(self._number, words, pixels))

    def _join(self) -> Iterator[Ordered]:
        """Adopt bands from the top as far as they are there; finish after the last."""
        folder = self._writer.folder
        while self._bands and self._bands[0] in self._done:
            band = self._bands.pop(0)
            self._writer.adopt(band_path(folder, band), *band)
        if not self._bands:
            for path in folder.glob("band-*"):  # of runs with other bands
                shutil.rmtree(path, ignore_errors=True)
            stack, self._stack = self._stack, ExitStack()
            stack.close()  # writes the file
            yield Ordered(FinishOrder(self._job), Part(self._number, "looks at the result"))
