"""A latent that lies on the disk: steps read one file and write another, in turn.

A step that is interrupted, or whose disk is full, leaves what it reads as it was, so it can be
taken again. Rows are read and written as they are needed: a mapped file would end the process
where the disk is full, and its pages would count as memory.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from uhrtranslate.diffusion.noise import noise_rows
from uhrtranslate.diffusion.schedulers import Array, Prediction, Step
from uhrtranslate.diffusion.tracking import Predict, Rows, advanced
from uhrtranslate.diffusion.weights import Tiling


@dataclass(frozen=True)
class Canvas:
    """Two files of a latent, and two of what the last step expected if a sampler has a history.

    Attributes:
        folder: that they lie in.
        name: begins their names.
        channels, height, width: of the latent.
    """

    folder: Path
    name: str
    channels: int
    height: int
    width: int

    @property
    def nbytes(self) -> int:
        """Bytes of one file."""
        return 4 * self.channels * self.height * self.width

    def rows(self, step: int, kind: str = "latent") -> Rows:
        """Read the latent as it is after `step` steps; see `tracking.Rows`."""
        path, line = self._path(step, kind), self.channels * self.width

        def read(y0: int, y1: int) -> Array:
            values = np.fromfile(path, np.float32, (y1 - y0) * line, offset=4 * y0 * line)
            shape = y1 - y0, self.channels, self.width
            return np.ascontiguousarray(values.reshape(shape).transpose(1, 0, 2))

        return read

    @contextmanager
    def writing(self, step: int, kind: str = "latent") -> Iterator[BinaryIO]:
        """Open the file of the latent after `step` steps, to `put` rows from top to bottom.

        Raises:
            OSError: it cannot be written.
        """
        with self._path(step, kind).open("w+b") as file:
            yield file

    def fill(self, rows: Rows, band: int) -> None:
        """Write the latent before the first step, `band` rows at a time.

        Raises:
            OSError: it cannot be written.
        """
        with self.writing(0) as file:
            for y in range(0, self.height, band):
                put(file, rows(y, min(y + band, self.height)))

    def _path(self, step: int, kind: str) -> Path:
        return self.folder / f"{self.name}.{kind}-{step % 2}"


def put(file: BinaryIO, rows: Array) -> None:
    """Append rows, [c, rows, width].

    Raises:
        OSError: they cannot be written.
    """
    file.write(np.ascontiguousarray(rows.transpose(1, 0, 2), np.float32).tobytes())


Finished = Callable[[int, Sequence[BinaryIO]], None]
"""Called with the number of steps that a canvas has behind it, and the open files that hold it."""


def denoise(
    canvas: Canvas,
    tiling: Tiling,
    predict: Predict,
    steps: Sequence[Step],
    prediction: Prediction = "epsilon",
    *,
    seed: int = 0,
    stream: int = 0,
    batch: int = 1,
    start: int = 0,
    finished: Finished = lambda number, files: None,
    progress: Callable[[float], None] = lambda share: None,
) -> None:
    """Take the steps of a sampler on a canvas, all tiles together.

    Args:
        canvas: as it is after `start` steps.
        tiling: of the canvas.
        predict: the network, see `tracking.guided`.
        steps: of the sampler.
        prediction: what the network predicts.
        seed: of the noise that steps add.
        stream: number of the first step's field of noise.
        batch: tiles that are predicted together.
        start: steps that are behind it.
        finished: called after each step, while its files are open; only then are they needed.
        progress: called with the share of a step that is done since the last call.

    Raises:
        UhrError: the network's outputs are not finite.
        OSError: the disk is full, or cannot be written; the canvas stays as it was before the step.
    """
    with_past = any(step.past for step in steps)
    for number, step in enumerate(steps[start:], start):

        def noise(y0: int, y1: int, number: int = number) -> Array:
            field = stream + number
            return noise_rows(seed, field, canvas.channels, canvas.width, y0, y1)

        with ExitStack() as files:
            latent = files.enter_context(canvas.writing(number + 1))
            opened, expected = [latent], None
            if with_past:
                expected = files.enter_context(canvas.writing(number + 1, "expected"))
                opened.append(expected)
            before = canvas.rows(number, "expected") if step.past else None
            for _, after, clean in advanced(
                canvas.rows(number), tiling, predict, step, prediction,
                before=before, noise=noise, batch=batch,
            ):  # fmt: skip
                put(latent, after)
                if expected is not None:
                    put(expected, clean)
                progress(after.shape[1] / canvas.height)
            finished(number + 1, opened)
