"""Choosing the reader that opens a file, and the writer that makes one."""

from collections.abc import Callable
from pathlib import Path

from uhrtranslate.errors import InputError, OutputError
from uhrtranslate.io.files.inputs import SLIDE_ENDINGS
from uhrtranslate.io.files.journal import Job
from uhrtranslate.io.files.remote import RemoteFile, is_url, name_of, shown_url
from uhrtranslate.io.readers.ome_zarr import ZarrSlide
from uhrtranslate.io.readers.openslide import OpenSlideSlide
from uhrtranslate.io.readers.photo import PhotoSlide
from uhrtranslate.io.readers.tiff import StackError, TiffSlide, open_direct
from uhrtranslate.io.readers.tiff_directories import check_directories
from uhrtranslate.io.slide import NotForThisReaderError, Slide
from uhrtranslate.io.stated import Stated
from uhrtranslate.io.writers.formats import OUTPUT_SUFFIXES, SLIDE_SUFFIXES, photo_format
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.io.writers.photo import PhotoWriter
from uhrtranslate.io.writers.pyramid import PyramidWriter
from uhrtranslate.io.writers.writer import ImageWriter

# An MRXS slide's index file is a small JPEG; opened as a photo, it would give the wrong image.
NEVER_PHOTOS = (".mrxs",)


def open_slide(
    path: str | Path,
    deep: bool = False,
    sparse: bool = False,
    channels: bool = False,
    stated: Stated | None = None,
) -> Slide:
    """Open a whole-slide file, a TIFF or a photo with the first reader that can read it.

    OpenSlide is tried first, then tifffile, then Pillow. By URL (`https://`, `http://`, `s3://`),
    TIFFs and OME-Zarr images are read.

    Args:
        path: the file, or its URL; for formats of several files, the one that OpenSlide expects.
        deep: return 16-bit pixels where the file has more than 8 bits and is read by tifffile, zarr
            or (grey images only) Pillow. Otherwise pixels are scaled to 8 bits, except for channels
            of float32, whose range nobody knows.
        sparse: accept a TIFF whose tiles are nearly all missing, which is otherwise refused.
        channels: also open OME-Zarr and stacks of grey TIFF pages whose up to 64 channels are no
            colours; `info.channels` names them. Other images are RGB as always.
        stated: the resolution that its user states.

    Raises:
        InputError: the file is missing, empty or damaged, or no reader can read it.
        MissingExtraError: a package that its format or its URL needs is not installed.
    """
    slide = _open(path, deep, sparse, channels)
    if stated is not None:
        stated.of(slide)
    return slide


def _open(path: str | Path, deep: bool, sparse: bool, channels: bool) -> Slide:
    if isinstance(path, str) and is_url(path):
        return _open_remote(path, deep, sparse)
    path = Path(path)
    if path.suffix.lower() == ".zarr" and path.is_dir():
        slide = ZarrSlide(path, deep)
        if slide.info.channels and not channels:
            slide.close()
            raise InputError(
                f"{path}: has {slide.info.samples} channels of its own "
                f"({slide.info.channels[0].name}, ...); only colour images are read here."
            )
        return slide
    _check_file(path, sparse)
    if channels and (stack := _stack(path, deep)):
        return stack
    if deep and (tiff := _deep_tiff(path)):
        return tiff
    readers: dict[str, Callable[[], Slide]] = {
        "OpenSlide": lambda: open_direct(path, OpenSlideSlide(path)),
        "tifffile": lambda: TiffSlide(path),
        "Pillow": lambda: _photo(path, deep),
    }
    reasons = []
    for name, opened in readers.items():
        try:
            return opened()
        except NotForThisReaderError as error:
            reasons.append(f"{name}: {error}")
    raise InputError(
        f"{path}: no reader takes it ({'; '.join(reasons)}); "
        f"check that it is an image, and that it and the files belonging to it are complete."
    )


def _open_remote(url: str, deep: bool, sparse: bool) -> Slide:
    suffix = Path(name_of(url)).suffix.lower()
    if suffix == ".zarr":
        return ZarrSlide(url, deep)
    if suffix in SLIDE_ENDINGS and suffix != ".svs":
        raise InputError(
            f"{shown_url(url)}: {suffix[1:]} slides are read by OpenSlide, which needs a file on "
            "this machine; download it first."
        )
    file = RemoteFile(url)
    try:
        check_directories(file, sparse)
        return TiffSlide(file, deep=deep)
    except NotForThisReaderError as error:
        raise InputError(
            f"{file}: cannot be read over the network ({error}), as only TIFF, SVS and OME-Zarr "
            "can; download it first."
        ) from error
    except ValueError as error:
        raise InputError(f"{file}: cannot be read ({error}).") from error


def _photo(path: Path, deep: bool) -> Slide:
    if path.suffix.lower() in NEVER_PHOTOS:
        raise NotForThisReaderError("the name is not that of a photo")
    return PhotoSlide(path, deep)


def _deep_tiff(path: Path) -> Slide | None:
    """The slide, if it is a TIFF with more than 8 bits."""
    try:
        slide = TiffSlide(path, deep=True)
    except (NotForThisReaderError, InputError):
        return None  # the other readers will report what is wrong
    if slide.info.bits > 8:
        return slide
    slide.close()
    return None


def _stack(path: Path, deep: bool) -> Slide | None:
    """The slide, if it is a TIFF whose pages are channels."""
    try:
        slide = TiffSlide(path, deep=deep, channels=True)
    except StackError:
        raise
    except (NotForThisReaderError, InputError):
        return None  # the other readers will report what is wrong
    if slide.info.channels:
        return slide
    slide.close()
    return None


def _check_file(path: Path, sparse: bool) -> None:
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name the image in it.")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty; copy it again.")
        check_directories(path, sparse)
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist; check the path.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read ({reason}).") from error


def open_writer(
    target: Path,
    spec: OutputSpec,
    overwrite: bool = False,
    workers: int = 2,
    job: Job | None = None,
    resume: bool = False,
) -> ImageWriter:
    """Choose a writer for slides or photos by the ending of the target.

    Takes the arguments of `ImageWriter` and raises the same errors; an unknown ending is also an
    OutputError.
    """
    if target.suffix.lower() in SLIDE_SUFFIXES:
        return PyramidWriter(target, spec, overwrite, workers, job, resume)
    if photo_format(target):
        if spec.format:
            raise OutputError(f"{target}: is the name of a photo, not of {spec.format}")
        return PhotoWriter(target, spec, overwrite, workers, job, resume)
    raise OutputError(
        f"{target}: the ending names no format; use one of {', '.join(OUTPUT_SUFFIXES)}"
    )
