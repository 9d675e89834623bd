"""How an output of uhrt was made, as its tags say."""

import json
from pathlib import Path
from typing import Any

import tifffile
from PIL import ExifTags, Image

from uhrtranslate.io.complete import description_of
from uhrtranslate.io.files.inputs import Source
from uhrtranslate.io.opening import open_slide
from uhrtranslate.io.writers.formats import photo_format

# Begins what our outputs name as their software.
OURS = "uhrtranslate "


def read_provenance(place: Source) -> dict[str, Any]:
    """The names and settings that an output tells; empty for URLs and what others made.

    The description is whatever its file says: callers check the values that they use.
    """
    if not isinstance(place, Path):
        return {}
    try:
        description = _description(place)
    except Exception:  # of damaged files and those of others, readers raise all kinds of errors
        return {}
    return parsed(description)


def parsed(description: str) -> dict[str, Any]:
    """A description as its names and settings; empty if uhrt did not write it."""
    try:
        values = json.loads(description)
    except (ValueError, RecursionError):
        return {}
    ours = isinstance(values, dict) and str(values.get("software", "")).startswith(OURS)
    return values if ours else {}


def _description(path: Path) -> str:
    if photo_format(path):
        with Image.open(path) as image:
            return str(image.getexif().get(ExifTags.Base.ImageDescription, ""))
    if path.is_dir():
        with open_slide(path, channels=True) as slide:
            return slide.info.properties.get("description", "")
    with tifffile.TiffFile(path) as tiff:
        return description_of(tiff.pages.first)
