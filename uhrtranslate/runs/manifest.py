"""A table of inputs, each with its own output, model, resolution or region if needed."""

import csv
from pathlib import Path
from typing import Any

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.io import Found, Missing
from uhrtranslate.io.files.inputs import remote_input
from uhrtranslate.io.files.remote import is_url
from uhrtranslate.options import make_options
from uhrtranslate.runs.items import Item

COLUMNS = ("path", "output", "model", "mpp", "region", "source_mpp", "source_power")


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, Any]]]]:
    """The columns of a CSV file (UTF-8), and its rows as text, each with its line.

    Raises:
        OptionError: it cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = [(reader.line_num, row) for row in reader]
            return list(reader.fieldnames or ()), rows
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{path}: cannot be read as CSV ({reason}).") from error


def read_manifest(path: Path) -> list[Item]:
    """Read a CSV file (UTF-8) with the column path, and optionally the others of `COLUMNS`.

    An empty field counts as absent. A path may be a URL; relative ones are relative to the
    manifest, and relative outputs to the run's output folder or, without it, to the manifest.

    Raises:
        OptionError: the file cannot be read, has other columns, or has a wrong row; names it.
    """
    names, rows = read_table(path)
    unknown = [name for name in names if name not in COLUMNS]
    if "path" not in names or unknown:
        wrong = f"has a column {unknown[0]!r}" if unknown else "has no column 'path'"
        raise OptionError(f"{path}: {wrong}; the columns are {', '.join(COLUMNS)}.")
    return [_item(path, number, row) for number, row in rows]


def _item(manifest: Path, number: int, row: dict[str, str | None]) -> Item:
    if None in row:
        raise OptionError(f"{manifest}: line {number} has more fields than the header.")
    given = {name: value.strip() for name, value in row.items() if value and value.strip()}
    source = given.pop("path", None)
    if source is None:
        raise OptionError(f"{manifest}: line {number} has no path.")
    output = given.pop("output", None)
    try:
        make_options(dict(given))
    except OptionError as error:
        raise OptionError(f"{manifest}: line {number}: {error}") from error
    folder = manifest.parent
    path = folder / Path(source).expanduser()
    found: Found | Missing = Found(path, path.parent)
    if is_url(source):
        found = remote_input(source)
    elif not path.exists():
        sentence = f"{path}: does not exist; check line {number} of {manifest}."
        found = Missing(str(path), InputError(sentence))
    return Item(found, Path(output).expanduser() if output else None, given or None, folder)
