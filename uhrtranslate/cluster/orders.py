"""What workers are told to do: plain values, with all that they depend on."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from uhrtranslate.io.files.atomic import LockedError
from uhrtranslate.options import ImageOptions
from uhrtranslate.recipes.recipe import Recipe
from uhrtranslate.runs.bands import BandDone, Divided, compute_band, divide, record_cells
from uhrtranslate.runs.events import ImageResult, OnEvent
from uhrtranslate.runs.one_image import begin, compute, finish, refuse_input_as_output
from uhrtranslate.runs.prepared import Prepared, opened, prepare

# Seconds that a worker may hold on to a slide after the scheduler has lost it.
DYING = 60
_THREADS = torch.get_num_threads()

Maker = Callable[[ImageOptions], Recipe]
"""Makes a recipe on a worker; a plain value that can be sent."""


class Order(Protocol):
    """Something to be done by one worker."""

    def repeated(self) -> "Order":
        """The same, for another worker, after one that may have begun it."""

    def carry_out(self, tell: OnEvent) -> Any:
        """Do it; the answer must be a plain value.

        Args:
            tell: takes events; it raises `Interrupted` if nobody wants the answer any more.

        Raises:
            Exception: it cannot be done, by any worker.
        """


@dataclass(frozen=True)
class Made:
    """A `Maker` for recipes that are plain values themselves."""

    recipe: Recipe

    def __call__(self, options: ImageOptions) -> Recipe:
        """The recipe."""
        return self.recipe


@dataclass(frozen=True)
class Job:
    """What is to become of a slide.

    Attributes:
        source: path or URL.
        target: of the result.
        options: of this slide.
        maker: makes its recipe.
        threads: that torch computes with on a CPU; None: as many as the worker usually has. They
            change results by rounding, so all who share a slide must agree.
    """

    source: Path | str
    target: Path
    options: ImageOptions
    maker: Maker
    threads: int | None = None

    @contextmanager
    def prepared(self) -> Iterator[Prepared]:
        """The slide, open within the block.

        Raises:
            UhrError: it cannot be worked on.
        """
        torch.set_num_threads(self.threads or _THREADS)
        recipe = self.maker(self.options)
        refuse_input_as_output(self.source, self.target)
        with opened(recipe, self.source) as slide:
            yield prepare(recipe, slide, self.target)


@dataclass(frozen=True)
class SlideOrder:
    """A slide is to be worked on, or, if it is large, to be divided.

    Attributes:
        job: the slide.
        split: rows of cells in a band, see `divide`.
        again: a worker has begun it before, and died.
        sharers: workers for each slide, if fewer slides are left than have come; else 0.
    """

    job: Job
    split: int | None = 0
    again: bool = False
    sharers: int = 0

    def repeated(self) -> "SlideOrder":
        """See `Order`."""
        return replace(self, again=True)

    def carry_out(self, tell: OnEvent) -> ImageResult | Divided:
        """See `Order`; a worker that had the slide before may need a moment to die."""
        end = time.monotonic() + DYING
        options = self.job.options
        while True:
            try:
                with self.job.prepared() as prepared:
                    result = self._work_on(prepared, tell)
            except LockedError:
                if time.monotonic() > end or not (self.again or options.resume):
                    raise
                time.sleep(1)
                continue
            if isinstance(result, Divided):
                return result
            wanted = options.resume or options.skip_existing
            if self.again and not wanted and result.status == "skipped" and result.output:
                return replace(result, status="done")  # the receipt had been lost
            return result

    def _work_on(self, prepared: Prepared, tell: OnEvent) -> ImageResult | Divided:
        found = begin(prepared, tell, self.again)
        if isinstance(found, ImageResult):
            return found
        divided = divide(prepared, found, self.split, self.sharers)
        return divided or compute(prepared, found, tell, self.again)


@dataclass(frozen=True)
class CellsOrder:
    """Statistics of some rows of a divided slide's cells are to be recorded.

    Attributes:
        job: the slide, with the options that all share.
        rows: of cells.
        path: of the file to write.
    """

    job: Job
    rows: tuple[int, int]
    path: Path

    def repeated(self) -> "CellsOrder":
        """See `Order`."""
        return self

    def carry_out(self, tell: OnEvent) -> Path:
        """See `Order`."""
        with self.job.prepared() as prepared:
            record_cells(prepared, self.rows, self.path, tell)
        return self.path


@dataclass(frozen=True)
class BandOrder:
    """A band of a divided slide is to be computed.

    Attributes:
        job: the slide, with the options that all share.
        rows: of pixels.
        folder: to write.
        facts: the job of its writer.
        cells: files with the statistics that it needs; None if it records them.
    """

    job: Job
    rows: tuple[int, int]
    folder: Path
    facts: Mapping[str, Any] | None
    cells: tuple[Path, ...] | None

    def repeated(self) -> "BandOrder":
        """See `Order`."""
        return self

    def carry_out(self, tell: OnEvent) -> BandDone:
        """See `Order`."""
        with self.job.prepared() as prepared:
            return compute_band(prepared, self.rows, self.folder, self.facts, self.cells, tell)


@dataclass(frozen=True)
class FinishOrder:
    """A divided slide's output is there, and is to be looked at."""

    job: Job

    def repeated(self) -> "FinishOrder":
        """See `Order`."""
        return self

    def carry_out(self, tell: OnEvent) -> ImageResult:
        """See `Order`."""
        with self.job.prepared() as prepared:
            return finish(prepared)
