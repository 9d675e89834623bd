"""Classes of images, as pathologists give them: a table of images and 0, 1+, 2+ or 3+."""

import csv
import io
from pathlib import Path

from uhrtranslate.errors import InputError
from uhrtranslate.io import result_stem
from uhrtranslate.tables import RESULT_SUFFIXES

CLASSES = (0, 1, 2, 3)
_LARGEST = 64 << 20


def read_classes(path: Path) -> dict[str, int]:
    """Classes by the stem of the image's name.

    Args:
        path: CSV with the columns image and class; the second is 0, 1, 2 or 3, perhaps with a +.

    Raises:
        InputError: it cannot be read, lacks a column, or has another class.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path}: has more than {_LARGEST >> 20} MB; name the right file.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise InputError(f"{path}: cannot be read ({reason}).") from None
    rows = csv.DictReader(io.StringIO(text))
    for name in ("image", "class"):
        if name not in (rows.fieldnames or ()):
            raise InputError(f"{path}: has no column {name}; it needs image and class.")
    found: dict[str, int] = {}
    for number, row in enumerate(rows, 2):
        given = (row["class"] or "").strip().removesuffix("+")
        if given not in map(str, CLASSES):
            raise InputError(f"{path}: line {number} has no class 0, 1+, 2+ or 3+; correct it.")
        found[class_key(row["image"] or "")] = int(given)
    return found


def class_key(name: str) -> str:
    """What an image is known by: its name without folders, endings and what a result adds."""
    return result_stem(Path(name.strip()).name, RESULT_SUFFIXES)
