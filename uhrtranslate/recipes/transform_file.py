"""Reading and writing files of transforms and of points that belong together."""

import csv
import io
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError, OutputError
from uhrtranslate.io.files.disk import write_text
from uhrtranslate.registration import Transform, dump_transform, load_transform
from uhrtranslate.registration.file import LARGEST_FILE

Points = NDArray[np.float64]
# Bytes of a table of points, which people set by hand or programs found.
LARGEST_TABLE = 64 << 20


def read_transform(path: Path) -> Transform:
    """The transform in a file that `uhrt register` wrote.

    Raises:
        InputError: it cannot be read, is too large, or is no transform.
    """
    text = read_limited(path, LARGEST_FILE)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise InputError(f"{path}: is no transform; make one with uhrt register.") from None
    return load_transform(document, str(path))


def write_transform(path: Path, transform: Transform, overwrite: bool = False) -> None:
    """Write a transform completely or not at all.

    Raises:
        OutputError: the file exists already, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path}: exists already; use --overwrite or choose another with -o.")
    write_text(path, json.dumps(dump_transform(transform), indent=1))


def read_pairs(path: Path) -> tuple[Points, Points]:
    """Points of the moving and of the fixed slide, [n, 2] each, in level-0 px.

    The file is CSV with the columns moving_x, moving_y, fixed_x and fixed_y.

    Raises:
        InputError: it cannot be read, or lacks a column or a number.
    """
    table = _table(path, ("moving_x", "moving_y", "fixed_x", "fixed_y"))
    return table[:, :2], table[:, 2:]


def read_landmarks(moving: Path, fixed: Path) -> tuple[Points, Points]:
    """Landmarks of both slides, [n, 2] each: rows of equal number belong together.

    The files are CSV with the columns X and Y, as ANHIR and BIRL have them; what one has more than
    the other is left out.

    Raises:
        InputError: they cannot be read, or have no rows.
    """
    first, second = (_table(path, ("x", "y")) for path in (moving, fixed))
    count = min(len(first), len(second))
    if count == 0:
        raise InputError(f"{moving}: has no landmarks that {fixed} has, too.")
    return first[:count], second[:count]


def read_limited(path: Path, most: int) -> str:
    """The text of a file of at most so many bytes.

    Raises:
        InputError: it is missing, larger, or no text.
    """
    try:
        if path.stat().st_size > most:
            raise InputError(f"{path}: has more than {most >> 20} MB; name the right file.")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: does not exist; check the path.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: is no text; name the right file.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None


def _table(path: Path, columns: tuple[str, ...]) -> Points:
    rows = csv.DictReader(io.StringIO(read_limited(path, LARGEST_TABLE)))
    names = {name.strip().lower(): name for name in rows.fieldnames or ()}
    missing = [name for name in columns if name not in names]
    if missing:
        raise InputError(f"{path}: has no column {missing[0]}; it needs {', '.join(columns)}.")
    values: list[list[float]] = []
    for number, row in enumerate(rows, 2):
        try:
            values.append([float(row[names[name]]) for name in columns])
        except (TypeError, ValueError):
            raise InputError(f"{path}: line {number} has no numbers; correct it.") from None
    table = np.array(values, np.float64).reshape(-1, len(columns))
    if not np.isfinite(table).all():
        raise InputError(f"{path}: has numbers that are not finite; correct them.")
    return table
