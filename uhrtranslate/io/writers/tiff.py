"""Pyramids as plain BigTIFF: one page per level in the main chain, smaller levels marked as such.

OpenSlide, QuPath, libvips and tifffile recognise the levels and mpp of this layout.
"""

from pathlib import Path

from uhrtranslate.io.writers.base import EncodedLevel, SlideFormat
from uhrtranslate.io.writers.output_spec import OutputSpec
from uhrtranslate.io.writers.tiff_pages import image_tags, open_tiff, write_level


def write_tiff(path: Path, spec: OutputSpec, levels: list[EncodedLevel]) -> None:
    """Write a pyramid; see `SlideFormat.assemble`."""
    first = image_tags(spec, spec.description)
    with open_tiff(path) as tiff:
        for level in levels:
            write_level(tiff, spec, level, **(first if level is levels[0] else {"subfiletype": 1}))


TIFF = SlideFormat((".tif", ".tiff", ".btf"), write_tiff)
