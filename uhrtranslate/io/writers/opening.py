"""Which writer makes which file."""

from pathlib import Path
from typing import Protocol

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.journal import Job
from uhrtranslate.io.pixels import Pixels
from uhrtranslate.io.writers.formats import SLIDE_SUFFIXES
from uhrtranslate.io.writers.metadata import OutputSpec
from uhrtranslate.io.writers.photo import PHOTO_FORMATS, PhotoWriter
from uhrtranslate.io.writers.pyramid import PyramidWriter

OUTPUT_SUFFIXES = (*SLIDE_SUFFIXES, *PHOTO_FORMATS)


class Sink(Protocol):
    """What takes the pixels of an image."""

    def write(self, x: int, y: int, pixels: Pixels) -> None:
        """Take the rectangle [h, w, 3] whose left top corner is `x, y`.

        Every pixel of the image comes exactly once, in any order, from one thread.
        """

    def reached(self, y: int) -> None:
        """Every pixel above row `y` has come, and none below."""


def open_writer(
    target: Path,
    spec: OutputSpec,
    overwrite: bool = False,
    workers: int = 2,
    job: Job | None = None,
    resume: bool = False,
) -> PyramidWriter | PhotoWriter:
    """The writer for a target, by its ending: a pyramid or an ordinary photo.

    Args:
        target: the file to write.
        spec: everything about it but the pixels.
        overwrite: replace an existing file.
        workers: threads that encode a pyramid's tiles.
        job: what is written, if it can be resumed; see `journal.State`.
        resume: go on where an unfinished run of the same job was cut off.

    Raises:
        OutputError: the ending is unknown, the target exists, or the image is too large for it; an
            unfinished run is in the way, or was another job.
    """
    suffix = target.suffix.lower()
    if suffix in SLIDE_SUFFIXES:
        return PyramidWriter(target, spec, overwrite, workers, job, resume)
    if suffix in PHOTO_FORMATS:
        if spec.format:
            raise OutputError(f"{target}: is the name of a photo, not of {spec.format}")
        return PhotoWriter(target, spec, overwrite, job, resume)
    raise OutputError(
        f"{target}: the ending names no format; use one of {', '.join(OUTPUT_SUFFIXES)}"
    )
