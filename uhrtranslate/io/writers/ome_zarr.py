"""Pyramids as OME-Zarr: a folder of chunks that can be read over the network.

NGFF 0.4 (zarr format 2), axes c, y, x, one chunk per tile. Chunks are lossless: zstd or
uncompressed.
"""

from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from uhrtranslate.errors import require
from uhrtranslate.io.channels import Channel
from uhrtranslate.io.readers.unfinished_tiles import CHUNK
from uhrtranslate.io.writers.base import Encode, EncodedLevel, SlideFormat
from uhrtranslate.io.writers.output_spec import SOFTWARE, OutputSpec
from uhrtranslate.pixels import Pixels

# Within 1% of level 9's size on stained tissue, and 9 times faster.
ZSTD_LEVEL = 3
_RGB = (
    Channel("red", (255, 0, 0)),
    Channel("green", (0, 255, 0)),
    Channel("blue", (0, 0, 255)),
)


def encode_chunk(compression: str) -> Encode:
    """The encoder of a tile [tile, tile, c] as a chunk [c, tile, tile].

    Raises:
        MissingExtraError: zarr, which is needed at the end, is not installed.
    """
    require("zarr", "zarr")

    def encode(pixels: Pixels, quality: int) -> bytes:
        planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
        if compression == "none":
            return planes.tobytes()
        return bytes(imagecodecs.zstd_encode(planes.tobytes(), level=ZSTD_LEVEL))

    return encode


def write_ome_zarr(path: Path, spec: OutputSpec, levels: list[EncodedLevel]) -> None:
    """Write a pyramid as a folder; see `SlideFormat.assemble`.

    Raises:
        MissingExtraError: zarr is not installed.
    """
    zarr = require("zarr", "zarr")
    numcodecs = require("numcodecs", "zarr")
    compressor = None if spec.compression == "none" else numcodecs.Zstd(level=ZSTD_LEVEL)
    group = zarr.open_group(path, mode="w", zarr_format=2)
    for number, level in enumerate(levels):
        slashes = {"name": "v2", "separator": "/"}
        create_level(group, number, spec, level, compressor, chunk_key_encoding=slashes)
        write_chunks(path / str(number), spec, level)
    group.attrs.update(ngff_metadata(spec, [(level.width, level.height) for level in levels]))


def create_level(
    group: Any, number: int, spec: OutputSpec, level: EncodedLevel, compressor: Any, **layout: Any
) -> None:
    """Create the array of a level, [c, h, w] with one chunk per tile; `layout` is zarr's."""
    group.create_array(
        str(number),
        shape=(spec.samples, level.height, level.width),
        chunks=(spec.samples, spec.tile, spec.tile),
        dtype=spec.dtype,
        compressors=compressor,
        fill_value=0,
        **layout,
    )


def write_chunks(folder: Path, spec: OutputSpec, level: EncodedLevel) -> None:
    """Write the tiles of a level as files `0/row/column`: chunk 0 of the channels."""
    columns = -(-level.width // spec.tile)
    for index, chunk in enumerate(level.tiles):
        row, column = divmod(index, columns)
        file = folder / "0" / str(row) / str(column)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(chunk)


def ngff_metadata(spec: OutputSpec, sizes: list[tuple[int, int]]) -> dict[str, Any]:
    """The group's attributes by NGFF 0.4: scales, position and colours.

    The sizes are the width and height of each level, the largest first.
    """
    unit = {"unit": "micrometer"} if spec.mpp else {}
    mpp = spec.mpp or (1.0, 1.0)
    origin = spec.position_um or (0.0, 0.0)
    datasets = []
    for number, (width, height) in enumerate(sizes):
        scale = mpp[0] * spec.width / width, mpp[1] * spec.height / height
        # As pixels grow, the centre of the first one moves.
        shift = [origin[i] + (scale[i] - mpp[i]) / 2 for i in (0, 1)]
        datasets.append(
            {
                "path": str(number),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1.0, scale[1], scale[0]]},
                    {"type": "translation", "translation": [0.0, shift[1], shift[0]]},
                ],
            }
        )
    low, high = spec.shown or (0, 1 if spec.bits == 32 else 2**spec.bits - 1)
    channels = [
        {
            "label": channel.name,
            "color": bytes(channel.colour).hex().upper(),
            "active": True,
            "window": {"start": low, "end": high, "min": low, "max": high},
        }
        for channel in spec.channels or _RGB
    ]
    return {
        "multiscales": [
            {
                "version": "0.4",
                "name": "image",
                "axes": [
                    {"name": "c", "type": "channel"},
                    {"name": "y", "type": "space", **unit},
                    {"name": "x", "type": "space", **unit},
                ],
                "datasets": datasets,
                "type": "mean of 2 x 2",
            }
        ],
        "omero": {"version": "0.4", "channels": channels, "rdefs": {"model": "color"}},
        "uhrt": {"software": SOFTWARE, "description": spec.description},
    }


OME_ZARR = SlideFormat(
    (".ome.zarr", ".zarr"),
    write_ome_zarr,
    encode_chunk,
    bits=(8, 16, 32),
    is_folder=True,
    holds_channels=True,
    layout=CHUNK,
)
