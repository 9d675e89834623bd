"""Pyramids in the layout of Aperio's SVS, for programs that read nothing else.

Every tiled page is a level, the second page is the thumbnail, and the label and macro image come
last. Each page has its own description, which includes the objective's power.
"""

from pathlib import Path

from uhrtranslate.io.writers.base import EncodedLevel, SlideFormat
from uhrtranslate.io.writers.output_spec import SOFTWARE, OutputSpec
from uhrtranslate.io.writers.tiff_pages import image_tags, open_tiff, write_level, write_picture
from uhrtranslate.pixels import Pixels

# NewSubfileType of the label and macro image in Aperio's files.
_KINDS = {"label": 1, "macro": 9}
_HEAD = f"Aperio Image Library (layout by {SOFTWARE})"


def write_aperio(path: Path, spec: OutputSpec, levels: list[EncodedLevel]) -> None:
    """Write a pyramid as Aperio's scanners lay it out; see `SlideFormat.assemble`."""
    thumbnail = spec.associated.get("thumbnail")
    with open_tiff(path) as tiff:
        for level in levels:
            first = level is levels[0]
            tags = {**image_tags(spec, _level_text(spec, level, first)), "software": False}
            write_level(tiff, spec, level, **tags)
            if first and thumbnail is not None:
                text = f"{_HEAD}\n{spec.width}x{spec.height} -> {_size(thumbnail)} - "
                write_picture(tiff, thumbnail, subfiletype=0, description=text.encode())
        for name, kind in _KINDS.items():
            image = spec.associated.get(name)
            if image is not None:
                text = f"{_HEAD}\n{name} {_size(image)}"
                write_picture(tiff, image, subfiletype=kind, description=text.encode())


def _level_text(spec: OutputSpec, level: EncodedLevel, first: bool) -> str:
    """A level's description: what OpenSlide and others parse, and ours in a separate field."""
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


def _size(image: Pixels) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


APERIO = SlideFormat(
    (".svs", ".tif", ".tiff", ".btf"), write_aperio, holds_associated=True, bits=(8,)
)
