"""What the writers of slides and of photos have in common."""

from contextlib import ExitStack
from pathlib import Path
from typing import Self

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.atomic import PartialOutput
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.io.files.journal import Job, Journal, State
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.pixels import Pixels


class ImageWriter:
    """Writes an image from rectangles that arrive in any order; a context manager.

    Leaving the block writes the result and gives it its name. After an exception nothing is left
    except, for a job, the state to continue from.

    Args:
        target: the file or folder to write; its ending determines the format.
        spec: everything about the output except its pixels.
        overwrite: replace an existing target.
        workers: threads that encode the tiles of a slide.
        job: what is being written, if it can be resumed; see `journal.State`.
        resume: continue where an unfinished run of the same job was interrupted.

    Attributes:
        start: rows from the top that such a run has finished, in px; known inside the block.

    Raises:
        OutputError: the target exists, cannot be written, is being written by another run, or
            cannot hold the image; an unfinished run has left its state, or was a different job.
    """

    def __init__(
        self,
        target: Path,
        spec: OutputSpec,
        overwrite: bool = False,
        workers: int = 2,
        job: Job | None = None,
        resume: bool = False,
    ) -> None:
        self._spec = spec
        self._workers = max(1, workers)
        is_folder = self._choose_format(target)
        self._output = PartialOutput(target, overwrite, job, resume, is_folder)
        self._job = job
        self._journal: Journal | None = None
        self._stack = ExitStack()
        self._written = 0  # px
        self.start = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack, output_errors(self._output.target):
            folder = stack.enter_context(self._output).folder
            state = self._output.state
            self._open(folder, state, stack)
            if state:
                self.start = state.rows
                self._written = state.rows * self._spec.width
            if self._job is not None:
                self._journal = Journal(folder, self._job, self._spec.height)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._stack:
            if kind is not None:
                return
            missing = self._spec.width * self._spec.height - self._written
            if missing:
                raise OutputError(
                    f"{self._output.target}: {missing:,} pixels never came; nothing was written"
                )
            with output_errors(self._output.target, self._missing_bytes):
                self._output.publish(self._finish(self._output.folder))

    def write(self, x: int, y: int, pixels: Pixels) -> None:
        """Take a rectangle of pixels; it is copied.

        Args:
            x, y: its top left corner, in px of the image.
            pixels: [h, w, c] of the spec's type: RGB, or its channels; every pixel must arrive
                exactly once.

        Raises:
            OutputError: the disk is full, or cannot be written.
            ValueError: the rectangle leaves the image, or covers a pixel that has arrived before.
        """
        spec = self._spec
        if pixels.shape[2:] != (spec.samples,) or pixels.dtype != spec.dtype:
            raise ValueError(
                f"pixels must be [h, w, {spec.samples}] {spec.dtype}, not {pixels.shape} "
                f"{pixels.dtype}"
            )
        h, w = pixels.shape[:2]
        if not (h and w and 0 <= x <= spec.width - w and 0 <= y <= spec.height - h):
            raise ValueError(
                f"{w} x {h} px at ({x}, {y}) do not lie in an image of {spec.width} x "
                f"{spec.height} px"
            )
        with output_errors(self._output.target, self._missing_bytes):
            self._take(x, y, pixels)
        self._written += h * w

    def reached(self, y: int) -> None:
        """Save the state if it is time: every pixel above row `y` has arrived, and none below.

        Raises:
            OutputError: the disk is full, or cannot be written.
        """
        journal = self._journal
        if journal is not None and journal.due and not journal.is_quick(y):
            with output_errors(self._output.target, self._missing_bytes):
                self._save(journal, y)

    def _choose_format(self, target: Path) -> bool:
        """Choose the format by the name, and check that it can hold the image.

        Returns whether the target is a folder of files.
        """
        raise NotImplementedError

    def _open(self, folder: Path, state: State | None, stack: ExitStack) -> None:
        """Prepare, from the state of a previous run if there is one; `stack` cleans up."""
        raise NotImplementedError

    def _take(self, x: int, y: int, pixels: Pixels) -> None:
        """Copy pixels, which have been checked to lie in the image."""
        raise NotImplementedError

    def _save(self, journal: Journal, y: int) -> None:
        """Save what the rows above `y` have become."""
        raise NotImplementedError

    def _finish(self, folder: Path) -> Path:
        """Write the result into a folder once all pixels have arrived; returns its path."""
        raise NotImplementedError

    def _missing_bytes(self) -> int:
        """How many bytes a full disk lacks, if known."""
        return 0
