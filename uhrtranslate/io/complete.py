"""Whether an output is complete. Its contents are read, as a broken copy may look complete."""

import json
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import tifffile
from PIL import ExifTags, Image

from uhrtranslate.errors import InputError
from uhrtranslate.io.opening import open_slide
from uhrtranslate.io.writers.formats import photo_format

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"


@dataclass(frozen=True)
class Complete:
    """A complete image.

    Attributes:
        width, height: size of its largest level in px.
        description: how it was made, as stored in the file; may be empty.
    """

    width: int
    height: int
    description: str


def check_complete(path: Path) -> Complete:
    """Check that an output of uhrt is complete.

    A photo is decoded completely. In a TIFF every tile must lie inside the file, and JPEG tiles
    must have their start and end markers; the first and last tile of each level and the whole
    smallest level are decoded.

    Raises:
        InputError: the output is incomplete, or not an image.
    """
    try:
        if photo_format(path):
            return _photo(path)
        return _zarr(path) if path.is_dir() else _tiff(path)
    except InputError:
        raise
    except Exception as error:  # damaged files make readers raise all kinds of exceptions
        raise InputError(f"{path}: is not complete ({error}); make it again.") from error


def _photo(path: Path) -> Complete:
    with open_slide(path) as slide:
        info = slide.info
        slide.read(0, info.height - 1, info.width, 1)
        exif = Image.Exif()
        if info.exif:
            exif.load(info.exif)
        description = exif.get(ExifTags.Base.ImageDescription) or ""
        return Complete(info.width, info.height, str(description))


def _zarr(path: Path) -> Complete:
    with open_slide(path, channels=True) as slide:
        info = slide.info
        for number, level in enumerate(info.levels):
            width, height = slide.tile_size(number)
            array = path / str(number)
            chunks = array / "0"
            if (array / "zarr.json").exists():  # zarr format 3, which may put chunks together
                grid = json.loads((array / "zarr.json").read_bytes())["chunk_grid"]
                _, height, width = grid["configuration"]["chunk_shape"]
                chunks = array / "c" / "0"
            for row in range(-(-level.height // height)):
                for column in range(-(-level.width // width)):
                    chunk = chunks / str(row) / str(column)
                    if not chunk.stat().st_size:
                        raise InputError(f"{path}: one of its chunks is empty; make it again.")
                    if (width, height) != slide.tile_size(number):  # the index is at the end
                        slide.read(column * width, row * height, 1, 1, number)
        last = info.levels[-1]
        slide.read(0, 0, last.width, last.height, len(info.levels) - 1)
        return Complete(info.width, info.height, info.properties.get("description", ""))


def _tiff(path: Path) -> Complete:
    size = path.stat().st_size
    with tifffile.TiffFile(path) as tiff:
        pages = [one.aspage() for page in tiff.pages for one in (page, *(page.pages or ()))]
        for page in pages:
            _check_page(path, page, size)
        min(pages, key=lambda page: page.imagewidth * page.imagelength).asarray()
        first = pages[0]
        return Complete(first.imagewidth, first.imagelength, description_of(first))


def _check_page(path: Path, page: tifffile.TiffPage, size: int) -> None:
    handle = page.parent.filehandle
    # Read before seeking: tifffile loads these lazily, which moves the file's position.
    decode, tables = page.decode, page.jpegtables
    places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    rows = -(-page.imagelength // (page.tilelength or page.rowsperstrip))
    cols = -(-page.imagewidth // (page.tilewidth or page.imagewidth))
    if len(places) != rows * cols * (page.samplesperpixel if page.planarconfig == 2 else 1):
        raise InputError(f"{path}: tiles are missing; make it again.")
    for offset, length in places:
        if not (length > 0 and offset > 0 and offset + length <= size):
            raise InputError(f"{path}: one of its tiles lies beyond its end; make it again.")
        if page.compression == tifffile.COMPRESSION.JPEG:
            handle.seek(offset)
            start = handle.read(2)
            handle.seek(offset + length - 2)
            if start != _JPEG_START or handle.read(2) != _JPEG_END:
                raise InputError(f"{path}: one of its tiles is damaged; make it again.")
    for index in {0, len(places) - 1}:
        offset, length = places[index]
        handle.seek(offset)
        decode(handle.read(length), index, jpegtables=tables)


def description_of(page: tifffile.TiffPage) -> str:
    """How an output's first page says that it was made, whichever format it has."""
    tag = page.tags.get(270)
    value = tag.value if tag is not None else ""
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    if text.startswith("Aperio"):
        return text.partition("|uhrt = ")[2]
    if text.startswith("<OME "):
        return ElementTree.fromstring(text).findtext(".//{*}Description") or ""
    return text
