"""Pyramids that say of themselves what Aperio's do, so that readers report the objective's power.

For programs that take nothing else: every tiled page is a level, the second page is the thumbnail,
label and macro image come last, and each page describes itself.
"""

from pathlib import Path

import numpy as np
import tifffile

from uhrtranslate.io.pixels import Pixels
from uhrtranslate.io.writers.metadata import SOFTWARE, OutputSpec, pixels_per_cm
from uhrtranslate.io.writers.tiff import EncodedLevel
from uhrtranslate.io.writers.tiff_codecs import COMPRESSIONS

# NewSubfileType of label and macro image in Aperio's files.
_KINDS = {"label": 1, "macro": 9}
_HEAD = f"Aperio Image Library (layout by {SOFTWARE})"


def write_aperio(path: Path, spec: OutputSpec, levels: list[EncodedLevel]) -> None:
    """Write a pyramid from tiles that are encoded already, as Aperio's scanners lay it out.

    Args:
        path: the file to create.
        spec: as the tiles were encoded; its objective power and associated images are written.
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
                dtype=np.uint8,
                tile=(spec.tile, spec.tile),
                **COMPRESSIONS[spec.compression].tags,
                subfiletype=0,
                resolution=pixels_per_cm(spec.mpp, downsample) if spec.mpp else None,
                resolutionunit="CENTIMETER" if spec.mpp else "NONE",
                iccprofile=spec.icc_profile,
                description=_level_text(spec, level, first).encode(),
                extratags=spec.position_tags(),
                software=False,
                metadata=None,
                contiguous=False,
            )
            if first:
                thumbnail = spec.associated.get("thumbnail")
                if thumbnail is not None:
                    _write_strip(tiff, thumbnail, _size_text(spec, thumbnail), 0)
        for name, kind in _KINDS.items():
            image = spec.associated.get(name)
            if image is not None:
                text = f"{_HEAD}\n{name} {image.shape[1]}x{image.shape[0]}"
                _write_strip(tiff, image, text, kind)


def _level_text(spec: OutputSpec, level: EncodedLevel, first: bool) -> str:
    """A level's description: what OpenSlide and others parse, and ours in a field of its own."""
    whole = f"{spec.width}x{spec.height}"
    reduced = "" if first else f" -> {level.width}x{level.height}"
    fields = [f"{_HEAD}\n{whole} [0,0 {whole}] ({spec.tile}x{spec.tile}){reduced} RGB"]
    if spec.objective_power:
        fields.append(f"AppMag = {spec.objective_power:g}")
    if spec.mpp:
        fields.append(f"MPP = {sum(spec.mpp) / 2:.6g}")
    if spec.description and first:
        fields.append(f"uhrt = {spec.description.replace('|', ' ')}")
    return "|".join(fields)


def _size_text(spec: OutputSpec, image: Pixels) -> str:
    return f"{_HEAD}\n{spec.width}x{spec.height} -> {image.shape[1]}x{image.shape[0]} - "


def _write_strip(tiff: tifffile.TiffWriter, image: Pixels, text: str, kind: int) -> None:
    """A page that is not tiled, and so no level."""
    tiff.write(
        image,
        photometric="rgb",
        compression="jpeg",
        compressionargs={"level": 90},
        subfiletype=kind,
        description=text.encode(),
        software=False,
        metadata=None,
        contiguous=False,
        resolutionunit="NONE",
    )
