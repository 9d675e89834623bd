"""Pairs of slides: by name from two places, or from a table."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uhrtranslate.errors import OptionError
from uhrtranslate.io import Found, Source, find_images, shown
from uhrtranslate.io.files.remote import is_url
from uhrtranslate.runs.manifest import read_table
from uhrtranslate.runs.outputs import unique_names
from uhrtranslate.tables import RESULT_SUFFIXES
from uhrtranslate.training.data.pictures import partners_by_name

MOVING, FIXED = "moving", "fixed"
# What a table of pairs may say of each; other columns are for people.
COLUMNS = (
    MOVING, FIXED, "transform", "verdict", "name", "group", "split", "points", "moving_landmarks",
    "fixed_landmarks",
)  # fmt: skip
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Pair:
    """Two slides of one place.

    Attributes:
        name: that results begin with, unique among pairs.
        moving, fixed: the slides; of training, the source and the target.
        transform: between them; None before registration.
        verdict: of the registration, if known.
        group: what must not be parted, such as a patient; empty: the slides alone.
        split: that its user wants it in; empty: any.
        points: file of points to register by.
        landmarks: files of landmarks of both, to measure by.
    """

    name: str
    moving: Source
    fixed: Source
    transform: Path | None = None
    verdict: str = ""
    group: str = ""
    split: str = ""
    points: Path | None = None
    landmarks: tuple[Path, Path] | None = None


def pairs_by_name(moving: Source, fixed: Source) -> list[Pair]:
    """Pairs of the slides of two places that have equal names; single slides are a pair.

    Raises:
        InputError: there are none, or one has no partner.
    """
    if is_url(moving) or is_url(fixed):
        return named([(moving, fixed)])
    first, second = (find_images(place, RESULT_SUFFIXES) for place in (moving, fixed))
    return named([*partners_by_name(first, second)])


def named(slides: Sequence[tuple[Source, Source]]) -> list[Pair]:
    """Pairs of a moving and a fixed slide each, named after the moving ones."""
    names = unique_names([(Path("/") / Found.at(one).path) for one, _ in slides])
    return [Pair(name, *two) for name, two in zip(names, slides, strict=True)]


def read_pairs(path: Path) -> list[Pair]:
    """Read a table of pairs: CSV (UTF-8) with the columns moving and fixed, and more of `COLUMNS`.

    Slides may be URLs; relative paths are relative to the table. Other columns are not read.

    Raises:
        OptionError: the table cannot be read, lacks a column, or has a wrong row; names it.
    """
    rows = read_rows(path)
    pairs = [_pair(path, number, row) for number, row in rows]
    if not pairs:
        raise OptionError(f"{path}: has no pairs; add rows below the header.")
    plain = named([(pair.moving, pair.fixed) for pair in pairs])
    pairs = [
        pair if pair.name else replace(pair, name=other.name)
        for pair, other in zip(pairs, plain, strict=True)
    ]
    times = Counter(pair.name.casefold() for pair in pairs)
    for pair in pairs:
        if times[pair.name.casefold()] > 1:
            raise OptionError(f"{path}: the name {pair.name} is there twice; make names unique.")
    return pairs


def read_rows(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """The rows of a table of pairs as text, each with its line.

    Raises:
        OptionError: it cannot be read, or lacks a column.
    """
    columns, rows = read_table(path)
    for name in (MOVING, FIXED):
        if name not in columns:
            raise OptionError(
                f"{path}: has no column {name!r}; a table of pairs has {MOVING} and {FIXED}, and "
                f"if wanted {', '.join(COLUMNS[2:])}."
            )
    return rows


def pair_row(pair: Pair, folder: Path) -> dict[str, str]:
    """A pair as a row of a table in a folder: transforms below it are named from there."""

    def place(path: Path | None) -> str:
        if path is None:
            return ""
        inside = path.is_relative_to(folder)
        return str(path.relative_to(folder)) if inside else os.path.abspath(path)

    def slide(source: Source) -> str:
        return os.path.abspath(source) if isinstance(source, Path) else shown(source)

    landmarks = pair.landmarks or (None, None)
    values = (
        slide(pair.moving), slide(pair.fixed), place(pair.transform), pair.verdict, pair.name,
        pair.group, pair.split, place(pair.points), *map(place, landmarks),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _pair(table: Path, number: int, row: dict[str, Any]) -> Pair:
    line = f"{table}: line {number}"
    if None in row:
        raise OptionError(f"{line} has more fields than the header.")
    given = {name: text.strip() for name, text in row.items() if text and text.strip()}
    for name in (MOVING, FIXED):
        if name not in given:
            raise OptionError(f"{line} has no {name} slide.")

    def place(name: str) -> Path | None:
        return table.parent / Path(given[name]).expanduser() if name in given else None

    def source(name: str) -> Source:
        return given[name] if is_url(given[name]) else table.parent / Path(given[name]).expanduser()

    marks = place("moving_landmarks"), place("fixed_landmarks")
    if (marks[0] is None) != (marks[1] is None):
        raise OptionError(f"{line} has landmarks of one slide only; name those of both.")
    if (split := given.get("split", "")) not in ("", *SPLITS):
        raise OptionError(f"{line}: split must be {', '.join(SPLITS)} or empty, not {split}.")
    name = given.get("name", "")
    if Path(name).name != name:
        raise OptionError(f"{line}: the name {name} is part of names of files; leave out folders.")
    return Pair(
        name=name,
        moving=source(MOVING),
        fixed=source(FIXED),
        transform=place("transform"),
        verdict=given.get("verdict", ""),
        group=given.get("group", ""),
        split=split,
        points=place("points"),
        landmarks=(marks[0], marks[1]) if marks[0] and marks[1] else None,
    )
