"""The last step of a pyramid: encoded tiles of every level, copied into one flat BigTIFF.

One page per level in the main chain, the smaller ones marked as reduced: the layout in which
OpenSlide, QuPath, libvips and tifffile see levels and mpp. Nothing in the file depends on the
machine or the time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import tifffile

from uhrtranslate.io.writers.metadata import SOFTWARE, OutputSpec, pixels_per_cm
from uhrtranslate.io.writers.tiff_codecs import COMPRESSIONS


@dataclass(frozen=True)
class EncodedLevel:
    """One level: its size in px and its encoded tiles, row by row, from left to right."""

    width: int
    height: int
    tiles: Iterator[bytes]


def write_tiff(path: Path, spec: OutputSpec, levels: list[EncodedLevel]) -> None:
    """Write a pyramid from tiles that are encoded already; only one tile is held at a time.

    Args:
        path: the file to create.
        spec: as the tiles were encoded.
        levels: the largest first.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("w+b") as stream, tifffile.TiffWriter(stream, bigtiff=True) as tiff:
        for number, level in enumerate(levels):
            first = number == 0
            downsample = spec.width / level.width, spec.height / level.height
            tiff.write(
                level.tiles,
                shape=(level.height, level.width, 3),
                dtype=spec.dtype,
                tile=(spec.tile, spec.tile),
                **COMPRESSIONS[spec.compression].tags,
                subfiletype=0 if first else 1,
                resolution=pixels_per_cm(spec.mpp, downsample) if spec.mpp else None,
                resolutionunit="CENTIMETER" if spec.mpp else "NONE",
                iccprofile=spec.icc_profile if first else None,
                # Encoded, as tifffile takes only ASCII text.
                description=spec.description.encode() if first and spec.description else None,
                extratags=spec.position_tags() if first else (),
                software=SOFTWARE if first else False,
                metadata=None,  # no description of tifffile's own
                contiguous=False,
            )
