"""Which writer makes which file."""

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import OutputError
from uhrtranslate.io.metadata import OutputSpec
from uhrtranslate.io.photo_writer import PHOTO_FORMATS, PhotoWriter
from uhrtranslate.io.pyramid import PyramidWriter

PYRAMID_SUFFIXES = (".tif", ".tiff", ".btf")
OUTPUT_SUFFIXES = (*PYRAMID_SUFFIXES, *PHOTO_FORMATS)


class Sink(Protocol):
    """What takes the pixels of an image."""

    def write(self, x: int, y: int, pixels: NDArray[np.uint8]) -> None:
        """Take the rectangle [h, w, 3] whose left top corner is `x, y`.

        Every pixel of the image comes exactly once, in any order, from one thread.
        """


def open_writer(
    target: Path, spec: OutputSpec, overwrite: bool = False, workers: int = 2
) -> PyramidWriter | PhotoWriter:
    """The writer for a target, by its ending: a pyramid or an ordinary photo.

    Args:
        target: the file to write.
        spec: everything about it but the pixels.
        overwrite: replace an existing file.
        workers: threads that encode a pyramid's tiles.

    Raises:
        OutputError: the ending is unknown, the target exists, or the image is too large for it.
    """
    suffix = target.suffix.lower()
    if suffix in PYRAMID_SUFFIXES:
        return PyramidWriter(target, spec, overwrite, workers)
    if suffix in PHOTO_FORMATS:
        return PhotoWriter(target, spec, overwrite)
    raise OutputError(
        f"{target}: the ending names no format; use one of {', '.join(OUTPUT_SUFFIXES)}"
    )
