"""Photos as outputs: held in memory, written at the end."""

import math
import struct
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.disk import human_size
from uhrtranslate.io.files.journal import Journal, State
from uhrtranslate.io.files.memory import available_memory
from uhrtranslate.io.readers.unfinished_tiles import ROWS
from uhrtranslate.io.writers.about import write_about
from uhrtranslate.io.writers.formats import no_channels, photo_format
from uhrtranslate.io.writers.output_spec import SOFTWARE, OutputSpec, pixels_per_cm
from uhrtranslate.io.writers.writer import ImageWriter
from uhrtranslate.pixels import Pixels

_CENTIMETRE = 3  # EXIF ResolutionUnit
_STRIP = 256  # rows that are read back together


class PhotoWriter(ImageWriter):
    """Writes a photo of any format in `PHOTO_FORMATS`; see `ImageWriter`."""

    def _choose_format(self, target: Path) -> bool:
        spec, format = self._spec, photo_format(target)
        if format is None:
            raise OutputError(f"{target}: the ending names no format of photos")
        if spec.channels:
            raise no_channels(target, spec)
        if spec.bits != 8:
            raise OutputError(
                f"{target}: photos are written with 8 bits; for {spec.bits}, write a .tif"
            )
        if max(spec.width, spec.height) > format.side:
            raise OutputError(
                f"{target}: {format.name} holds at most {format.side:,} px a side and the image "
                f"has {spec.width:,} x {spec.height:,}; write a .tif instead"
            )
        needed, available = spec.width * spec.height * format.memory, available_memory()
        if available is not None and needed > available:
            raise OutputError(
                f"{target}: an image of {spec.width:,} x {spec.height:,} px needs "
                f"{human_size(needed)} of memory and {human_size(available)} are free; write a "
                ".tif instead"
            )
        self._format = format
        self._exif = _exif(spec, format.exif)
        return False

    def _open(self, folder: Path, state: State | None, stack: ExitStack) -> None:
        size = self._spec.width, self._spec.height
        self._image = Image.new("RGB", size)
        self._came = np.zeros(size[::-1], bool)
        self._saved = 0  # rows that are on the disk
        if self._job is not None:
            write_about(folder, self._spec, ROWS)
            self._rows = stack.enter_context((folder / "rows").open("r+b" if state else "w+b"))
        if state:
            self._restore(state.rows)

    def _take(self, x: int, y: int, pixels: Pixels) -> None:
        h, w = pixels.shape[:2]
        came = self._came[y : y + h, x : x + w]
        if came.any():
            raise ValueError(f"pixels of {w} x {h} px at ({x}, {y}) came twice")
        came[:] = True
        self._image.paste(Image.fromarray(pixels), (x, y))

    def _save(self, journal: Journal, y: int) -> None:
        rows = self._image.crop((0, self._saved, self._spec.width, y))
        self._rows.write(rows.tobytes())
        journal.save(y, [self._rows], {})
        self._saved = y

    def _restore(self, rows: int) -> None:
        """Read the rows that the previous run has saved."""
        for y in range(0, rows, _STRIP):
            size = self._spec.width, min(_STRIP, rows - y)
            self._image.paste(
                Image.frombytes("RGB", size, self._rows.read(3 * math.prod(size))), (0, y)
            )
        self._rows.truncate(3 * self._spec.width * rows)
        self._came[:rows] = True
        self._saved = rows

    def _finish(self, folder: Path) -> Path:
        path = folder / "complete"
        self._image.save(
            path,
            format=self._format.name,
            quality=self._spec.quality,
            icc_profile=self._spec.icc_profile,
            exif=self._exif,
            **self._format.options,
        )
        return path


def _exif(spec: OutputSpec, limit: int) -> bytes:
    """The EXIF block: the input's, if it is valid and fits, with our own facts added."""
    try:
        block = _exif_with(spec, spec.exif)
    except (SyntaxError, struct.error, ValueError, TypeError, LookupError, OSError):
        block = b""  # everything that Pillow raises for damaged blocks
    return block if 0 < len(block) <= limit else _exif_with(spec, None)


def _exif_with(spec: OutputSpec, block: bytes | None) -> bytes:
    exif = Image.Exif()
    if block:
        exif.load(block)
    # The pixels are upright already, and the file's header states the size.
    for tag in (ExifTags.Base.Orientation, ExifTags.Base.ImageWidth, ExifTags.Base.ImageLength):
        exif.pop(tag, None)
    exif[ExifTags.Base.Software] = SOFTWARE
    if spec.description:
        exif[ExifTags.Base.ImageDescription] = spec.description
    if spec.mpp:
        x, y = pixels_per_cm(spec.mpp, (1, 1))
        exif[ExifTags.Base.XResolution] = x
        exif[ExifTags.Base.YResolution] = y
        exif[ExifTags.Base.ResolutionUnit] = _CENTIMETRE
    return exif.tobytes()
