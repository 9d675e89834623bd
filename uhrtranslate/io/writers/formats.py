"""The formats in which slides are written, and which of them a name asks for."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from uhrtranslate.errors import OutputError
from uhrtranslate.io.writers.aperio import write_aperio
from uhrtranslate.io.writers.metadata import OutputSpec
from uhrtranslate.io.writers.ome_tiff import write_ome_tiff
from uhrtranslate.io.writers.ome_zarr import encode_chunk, write_ome_zarr
from uhrtranslate.io.writers.tiff import EncodedLevel, write_tiff
from uhrtranslate.io.writers.tiff_codecs import COMPRESSIONS, Encode


@dataclass(frozen=True)
class SlideFormat:
    """How pyramids of one format are written.

    Attributes:
        suffix: what names end with by default.
        endings: what names may end with.
        assemble: makes the file, or folder, from encoded tiles.
        encoder: from a compression's name to what encodes one tile.
        holds_associated: whether label, macro image and thumbnail have a place in it.
        bits: of pixels that it holds.
    """

    suffix: str
    endings: tuple[str, ...]
    assemble: Callable[[Path, OutputSpec, list[EncodedLevel]], None]
    encoder: Callable[[str], Encode]
    holds_associated: bool = False
    bits: tuple[int, ...] = (8, 16)


def _tiff_encoder(compression: str) -> Encode:
    return COMPRESSIONS[compression].encode


_TIFF_ENDINGS = (".tif", ".tiff", ".btf")
FORMATS = {
    "tiff": SlideFormat(".tif", _TIFF_ENDINGS, write_tiff, _tiff_encoder),
    "ome-tiff": SlideFormat(".ome.tif", _TIFF_ENDINGS, write_ome_tiff, _tiff_encoder, True),
    "svs": SlideFormat(".svs", (".svs", *_TIFF_ENDINGS), write_aperio, _tiff_encoder, True, (8,)),
    "ome-zarr": SlideFormat(".ome.zarr", (".zarr",), write_ome_zarr, encode_chunk),
}
SLIDE_SUFFIXES = (*_TIFF_ENDINGS, ".svs", ".zarr")


def suffix_of(format: str | None) -> str:
    """What the name of an output ends with by default; None stands for the default format."""
    return FORMATS[format or "tiff"].suffix


def format_of(target: Path, asked: str | None) -> str:
    """The format of a slide to be written.

    Args:
        target: its name; `.ome.tif` and `.ome.tiff` say OME-TIFF.
        asked: a format that was asked for; None: by the name.

    Raises:
        OutputError: the name ends with no format of slides, or with another one.
    """
    name = target.name.lower()
    if asked is None:
        if name.endswith((".ome.tif", ".ome.tiff", ".ome.btf")):
            return "ome-tiff"
        for format, facts in FORMATS.items():
            if name.endswith(facts.endings):
                return format
        raise OutputError(
            f"{target}: the ending names no format of slides; use one of "
            f"{', '.join(SLIDE_SUFFIXES)}"
        )
    if not name.endswith(FORMATS[asked].endings):
        raise OutputError(
            f"{target}: is no name for the format {asked}; let it end with "
            f"{' or '.join(FORMATS[asked].endings)}"
        )
    return asked
