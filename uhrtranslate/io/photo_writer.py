"""Ordinary photos as outputs: held in memory, written at the end."""

import struct
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from uhrtranslate.errors import OutputError
from uhrtranslate.io.atomic import PartialOutput
from uhrtranslate.io.disk import human_size, output_errors
from uhrtranslate.io.metadata import SOFTWARE, OutputSpec, pixels_per_cm
from uhrtranslate.io.pyramid import check_rectangle

_CENTIMETRE = 3  # EXIF ResolutionUnit


@dataclass(frozen=True)
class PhotoFormat:
    """What one format can hold.

    Attributes:
        name: Pillow's name.
        side: px that width and height may have.
        exif: bytes that its EXIF block may have.
        memory: bytes per pixel at the peak, the encoder's included.
        options: for Pillow's `save`.
    """

    name: str
    side: int
    exif: int
    memory: int
    options: dict[str, Any] = field(default_factory=dict)


_PNG = PhotoFormat("PNG", 2**31 - 1, 2**31 - 1, 5, {"compress_level": 6})
_JPEG = PhotoFormat("JPEG", 65_500, 65_533, 5, {"subsampling": "4:2:0"})
_WEBP = PhotoFormat("WEBP", 16_383, 2**31 - 1, 21, {"method": 4})

PHOTO_FORMATS: dict[str, PhotoFormat] = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
}


class PhotoWriter:
    """Writes a PNG, JPEG or WebP file from rectangles in any order; a context manager.

    Leaving the block writes the file and gives it its name; leaving it by an exception leaves
    nothing.

    Args:
        target: the file to write; its ending says the format.
        spec: everything about it but the pixels.
        overwrite: replace an existing file.

    Raises:
        OutputError: the target exists or cannot be written, or the image is too large for it.
    """

    def __init__(self, target: Path, spec: OutputSpec, overwrite: bool = False) -> None:
        self._spec = spec
        self._format = PHOTO_FORMATS[target.suffix.lower()]
        self._output = PartialOutput(target, overwrite)
        self._stack = ExitStack()
        self._check_size()
        self._exif = _exif(spec, self._format.exif)

    def __enter__(self) -> Self:
        size = self._spec.width, self._spec.height
        with ExitStack() as stack:
            stack.enter_context(self._output)
            self._image = Image.new("RGB", size)
            self._came = np.zeros(size[::-1], bool)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if kind is None:
                with output_errors(self._output.target):
                    self._finish()

    def write(self, x: int, y: int, pixels: NDArray[np.uint8]) -> None:
        """Take a rectangle of pixels; it is copied.

        Args:
            x, y: its left top corner, in px of the image.
            pixels: [h, w, 3] RGB; every pixel of the image must come exactly once.

        Raises:
            ValueError: the rectangle leaves the image, or covers a pixel that came before.
        """
        check_rectangle(self._spec, x, y, pixels)
        h, w = pixels.shape[:2]
        came = self._came[y : y + h, x : x + w]
        if came.any():
            raise ValueError(f"pixels of {w} x {h} px at ({x}, {y}) came twice")
        came[:] = True
        self._image.paste(Image.fromarray(pixels), (x, y))

    def _finish(self) -> None:
        missing = self._came.size - np.count_nonzero(self._came)
        if missing:
            raise OutputError(
                f"{self._output.target}: {missing:,} pixels never came; nothing was written"
            )
        path = self._output.folder / "complete"
        self._image.save(
            path,
            format=self._format.name,
            quality=self._spec.quality,
            icc_profile=self._spec.icc_profile,
            exif=self._exif,
            **self._format.options,
        )
        self._output.publish(path)

    def _check_size(self) -> None:
        target, width, height = self._output.target, self._spec.width, self._spec.height
        if max(width, height) > self._format.side:
            raise OutputError(
                f"{target}: {self._format.name} holds at most {self._format.side:,} px a side and "
                f"the image has {width:,} x {height:,}; write a .tif instead"
            )
        needed, available = width * height * self._format.memory, available_memory()
        if available is not None and needed > available:
            raise OutputError(
                f"{target}: an image of {width:,} x {height:,} px needs {human_size(needed)} of "
                f"memory and {human_size(available)} are free; write a .tif instead"
            )


def available_memory() -> int | None:
    """Bytes of memory that can be had without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(kilobytes[0]) * 1024 if kilobytes else None


def _exif(spec: OutputSpec, limit: int) -> bytes:
    """The EXIF block: the input's if it is sound and not too long, and what we know better."""
    try:
        block = _exif_with(spec, spec.exif)
    except (SyntaxError, struct.error, ValueError, TypeError, LookupError, OSError):
        block = b""  # what Pillow raises for blocks that cameras and editors have damaged
    return block if 0 < len(block) <= limit else _exif_with(spec, None)


def _exif_with(spec: OutputSpec, block: bytes | None) -> bytes:
    exif = Image.Exif()
    if block:
        exif.load(block)
    # The pixels are upright already, and their number is the image's own affair.
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
