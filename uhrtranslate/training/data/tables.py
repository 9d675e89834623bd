"""Tables that name a training's images: patches as `uhrt tiles` lists them, or pairs of slides."""

import csv
from pathlib import Path, PurePosixPath

from uhrtranslate.errors import InputError

SIDES = ("A", "B")


def is_table(place: Path) -> bool:
    """Whether a place is a table, and not a folder, image or pattern."""
    return place.suffix.lower() == ".csv"


def names_slides(table: Path) -> bool:
    """Whether a table names pairs of slides, and not patches.

    Raises:
        InputError: it cannot be read, or is neither.
    """
    columns = set(_rows(table)[0])
    if not ({"file"} <= columns or {"moving", "fixed"} <= columns):
        raise InputError(
            f"{table}: is neither a table of patches, as uhrt tiles makes it, nor one of pairs of "
            "slides, as uhrt register makes it; name one of these, or a folder."
        )
    return "file" not in columns


def tile_pairs(table: Path, split: str, ncc: float | None = None) -> list[tuple[Path, Path]]:
    """The pairs of patches that a table lists.

    Args:
        table: `tiles.csv` of pairs. Patches lie beside it, in `A` and `B` under equal names.
        split: which is used, if the table has splits.
        ncc: least local correlation, if the table has it; None: all that were kept.

    Raises:
        InputError: it cannot be read, or has no such pairs; or one has no partner.
    """
    found: dict[tuple[str, str], dict[str, Path]] = {}
    _, rows = _rows(table)
    for row in rows:
        file = PurePosixPath(row.get("file") or "")
        side = file.parent.name
        if side not in SIDES or row.get("split") not in (None, "", split):
            continue
        if ncc is not None and row.get("ncc") and float(row["ncc"]) < ncc:
            continue
        key = (str(file.parent.parent), file.name)
        found.setdefault(key, {})[side] = (table.parent / file).resolve()
    for pair in found.values():
        if len(pair) < len(SIDES):
            (one,) = pair.values()
            raise InputError(f"{table}: {one} has no partner; cut the pairs again with uhrt tiles.")
    if not found:
        raise InputError(
            f"{table}: has no pairs of patches for {split}; name a table that uhrt tiles or uhrt "
            "pairs made of pairs, or another data.split."
        )
    return [(pair["A"], pair["B"]) for pair in found.values()]


def _rows(table: Path) -> tuple[list[str], list[dict[str, str]]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            rows = list(reader)
            return list(reader.fieldnames or ()), rows
    except FileNotFoundError:
        raise InputError(f"{table}: does not exist; check the path.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{table}: cannot be read as CSV ({reason}).") from error
