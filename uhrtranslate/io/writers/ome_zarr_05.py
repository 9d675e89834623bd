"""Pyramids as OME-Zarr of NGFF 0.5: zarr format 3, with all metadata under the attribute `ome`.

Axes, chunks and their compression are those of the older version.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from uhrtranslate.errors import require
from uhrtranslate.io.readers.unfinished_tiles import CHUNK
from uhrtranslate.io.writers.base import EncodedLevel, SlideFormat
from uhrtranslate.io.writers.ome_zarr import (
    ZSTD_LEVEL,
    create_level,
    encode_chunk,
    ngff_metadata,
    write_chunks,
)
from uhrtranslate.io.writers.output_spec import OutputSpec

VERSION = "0.5"


def write_ome_zarr_05(path: Path, spec: OutputSpec, levels: list[EncodedLevel]) -> None:
    """Write a pyramid as a folder; see `SlideFormat.assemble`.

    Raises:
        MissingExtraError: zarr is not installed.
    """
    write_levels(path, spec, levels, write_chunks)


def write_levels(
    path: Path,
    spec: OutputSpec,
    levels: list[EncodedLevel],
    write: Callable[[Path, OutputSpec, EncodedLevel], None],
    **layout: Any,
) -> None:
    """Write the group and the arrays, whose files `write` writes; `layout` is zarr's.

    Raises:
        MissingExtraError: zarr is not installed.
    """
    zarr = require("zarr", "zarr")
    codecs = require("zarr.codecs", "zarr")
    compressor = None if spec.compression == "none" else codecs.ZstdCodec(level=ZSTD_LEVEL)
    attributes = ngff_05_metadata(spec, [(level.width, level.height) for level in levels])
    (image,) = attributes["ome"]["multiscales"]
    group = zarr.open_group(path, mode="w", zarr_format=3, attributes=attributes)
    for number, level in enumerate(levels):
        axes = [axis["name"] for axis in image["axes"]]
        create_level(group, number, spec, level, compressor, dimension_names=axes, **layout)
        # Zarr 3 keeps the chunks of an array in its folder `c`.
        write(path / str(number) / "c", spec, level)


def ngff_05_metadata(spec: OutputSpec, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    """The group's attributes by NGFF 0.5, which states its version once; see `ngff_metadata`."""
    older = ngff_metadata(spec, sizes)
    unversioned = {
        "multiscales": [_without_version(image) for image in older.pop("multiscales")],
        "omero": _without_version(older.pop("omero")),
    }
    return {"ome": {"version": VERSION, **unversioned}, **older}


def _without_version(block: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != "version"}


OME_ZARR_05 = SlideFormat(
    (".v05.ome.zarr", ".ome.zarr", ".zarr"),
    write_ome_zarr_05,
    encode_chunk,
    bits=(8, 16, 32),
    is_folder=True,
    holds_channels=True,
    layout=CHUNK,
)
