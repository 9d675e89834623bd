"""Pyramids from a stream of pixels, in memory that does not grow with the image's height.

When the last pixel of a tile arrives, the tile is encoded and appended to its level's spill file,
and its half-sized copy becomes a quarter of a tile one level up, and so on. Only unfinished tiles
stay in memory: one row per level if the image arrives from top to bottom.
"""

import secrets
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.io.files.journal import Journal, State, check_same_job, load_state
from uhrtranslate.io.readers.unfinished_tiles import PLANES
from uhrtranslate.io.writers.about import write_about
from uhrtranslate.io.writers.base import Encode, EncodedLevel, SlideFormat
from uhrtranslate.io.writers.formats import ASSOCIATING, holding, no_channels, slide_format
from uhrtranslate.io.writers.levels import Levels, each_plane
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.io.writers.writer import ImageWriter
from uhrtranslate.pixels import Pixels

# Ending of the folders of bands that are being written.
UNFINISHED = ".unfinished"


class PyramidWriter(ImageWriter):
    """Writes a slide of any format in `FORMATS`; see `ImageWriter`.

    The result depends only on the pixels and the spec.
    """

    def _choose_format(self, target: Path) -> bool:
        spec = self._spec
        self._format = slide_format(target, spec.format)
        if spec.associated and not self._format.holds_associated:
            raise OutputError(
                f"{target}: this format has no place for label, macro image and thumbnail; "
                f"leave out --keep-associated, or use --format {' or '.join(ASSOCIATING)}"
            )
        if spec.channels and not self._format.holds_channels:
            raise no_channels(target, spec)
        if spec.bits not in self._format.bits:
            raise OutputError(
                f"{target}: this format cannot hold {spec.bits} bits; use --format "
                f"{' or '.join(holding(spec.bits))}, or --bits 8"
            )
        self._encode, self._planar = _encoder(self._format, spec)
        return self._format.is_folder

    def _open(self, folder: Path, state: State | None, stack: ExitStack) -> None:
        write_about(folder, self._spec, PLANES if self._planar else self._format.layout)
        self._made = Levels(folder, self._spec, self._encode, self._workers, stack, state)

    def _take(self, x: int, y: int, pixels: Pixels) -> None:
        self._made.take(x, y, pixels)

    def _save(self, journal: Journal, y: int) -> None:
        self._made.save(journal, y)

    @property
    def folder(self) -> Path:
        """Of the unfinished output; also of bands that others write for it."""
        return self._output.folder

    def begin(self) -> None:
        """Save the state now, so that bands which others write outlive this process."""
        if self._journal is not None and self._output.state is None:
            with output_errors(self._output.target, self._missing_bytes):
                self._save(self._journal, 0)

    def adopt(self, band: Path, y0: int, y1: int) -> None:
        """Take a band of rows that a `BandWriter` has written, and remove its folder.

        The bands must come from top to bottom, after the rows that are there.

        Raises:
            OutputError: it is damaged, or of another job; or the disk is full.
        """
        with output_errors(self._output.target, self._missing_bytes):
            state = load_state(band)
            if state is None:
                raise OutputError(f"{band}: is missing; use --resume to make it again")
            if self._job is not None:
                check_same_job(self._output.target, state, self._job)
            self._made.adopt(band, state)
            self._written += (y1 - y0) * self._spec.width
            if self._journal is not None:
                self._save(self._journal, y1)
            shutil.rmtree(band)

    def _finish(self, folder: Path) -> Path:
        self._made.settle()
        if not all(level.complete for level in self._made.levels):
            raise OutputError(
                f"{self._output.target}: some tiles of the previous run are missing; use "
                "--overwrite without --resume to start afresh"
            )
        path = folder / f"complete{self._format.endings[0]}"
        planes = len(self._spec.channels) if self._planar else 0
        levels = [
            EncodedLevel(
                level.width,
                level.height,
                level.tiles(),
                tuple(level.plane(number, planes) for number in range(planes)),
            )
            for level in self._made.levels
        ]
        self._format.assemble(path, self._spec, levels)
        return path

    def _missing_bytes(self) -> int:
        """How many bytes a full disk lacks. Every tile is spilled, then copied: hence twice."""
        spilled = self._made.size
        share = max(self._written, 1) / (self._spec.width * self._spec.height)
        used = sum(file.stat().st_size for file in self._output.folder.rglob("*"))
        return int(2 * spilled / share) - used


class BandWriter:
    """Writes a band of a slide's rows for a `PyramidWriter` to adopt; a context manager and `Sink`.

    Leaving the block puts the finished folder under its name. After an exception nothing is left.

    Args:
        folder: to make, beside those of other bands.
        target: the slide.
        spec: of the slide.
        rows: `y0, y1` of the band.
        workers: threads that encode.
        job: as of the slide's writer.
    """

    def __init__(
        self,
        folder: Path,
        target: Path,
        spec: OutputSpec,
        rows: tuple[int, int],
        workers: int,
        job: Mapping[str, Any] | None,
    ) -> None:
        self._folder, self._spec, self._rows = folder, spec, rows
        self._workers, self._job, self._target = workers, job, target
        self._encode, _ = _encoder(slide_format(target, spec.format), spec)
        # Of this worker alone: another one may still be dying over the same band.
        self._own = folder.with_name(f"{folder.name}-{secrets.token_hex(4)}{UNFINISHED}")
        self._stack = ExitStack()
        self._written = 0

    def __enter__(self) -> Self:
        with output_errors(self._target), ExitStack() as stack:
            self._own.mkdir()
            self._made = Levels(self._own, self._spec, self._encode, self._workers, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            with self._stack, output_errors(self._target):
                if kind is None:
                    self._save()
            if kind is None:
                with output_errors(self._target):
                    shutil.rmtree(self._folder, ignore_errors=True)  # as another worker made it
                    self._own.rename(self._folder)
        finally:
            shutil.rmtree(self._own, ignore_errors=True)

    def _save(self) -> None:
        y0, y1 = self._rows
        if self._written != (y1 - y0) * self._spec.width:
            raise OutputError(f"{self._target}: pixels of rows {y0} to {y1} never came")
        self._made.save(Journal(self._own, self._job or {}, self._spec.height), y1)

    def write(self, x: int, y: int, pixels: Pixels) -> None:
        """See `Sink`."""
        with output_errors(self._target):
            self._made.take(x, y, pixels)
        self._written += pixels.shape[0] * pixels.shape[1]

    def reached(self, y: int) -> None:
        """See `Sink`; a band is saved as a whole."""


def _encoder(format: SlideFormat, spec: OutputSpec) -> tuple[Encode, bool]:
    """The encoder of tiles, and whether it encodes each plane by itself."""
    encode = format.encoder(spec.compression)
    planar = format.planar and bool(spec.channels)
    return (each_plane(encode), True) if planar else (encode, False)
