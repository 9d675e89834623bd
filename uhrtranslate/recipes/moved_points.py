"""Moving annotations from one slide to the other."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError, OutputError
from uhrtranslate.io.files.disk import csv_text, write_text
from uhrtranslate.recipes.transform_file import LARGEST_TABLE, read_limited
from uhrtranslate.registration import Transform

Points = NDArray[np.float64]
Side = Literal["fixed", "moving"]
LARGEST_GEOJSON = 512 << 20
# A point misses, in px, if inverting the transform leaves more than this.
MISSES = 1.0


def move_points(
    source: Path, target: Path, transform: Transform, to: Side, overwrite: bool = False
) -> tuple[int, int]:
    """Move the points of a CSV table or a GeoJSON file; everything else in it stays.

    Args:
        source: GeoJSON by its ending, or CSV with columns x and y (any case), in level-0 px.
        target: the file to write, in the same format.
        transform: between the slides.
        to: the slide that the points are moved to: `fixed` for annotations of the moving slide.
        overwrite: replace an existing file.

    Returns: how many points were moved, and how many of them have no exact place there (beyond a
        horizon or in a fold); these are moved as well as it goes, or in CSV left empty.

    Raises:
        InputError: the source cannot be read or has no points.
        OutputError: the target exists already or cannot be written.
    """
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists already; use --overwrite or choose another with -o.")
    missed = 0

    def move(points: Points) -> Points:
        nonlocal missed
        if to == "moving":
            made = transform.to_moving(points)
            missed += int((~np.isfinite(made).all(axis=1)).sum())
            return made
        made, error = transform.to_fixed(points)
        missed += int((~(error <= MISSES) | ~np.isfinite(made).all(axis=1)).sum())
        return made

    if source.suffix.lower() in (".json", ".geojson"):
        try:
            document = json.loads(read_limited(source, LARGEST_GEOJSON))
            count = _move_geojson(document, move)
        except (ValueError, RecursionError):
            raise InputError(f"{source}: is no GeoJSON; export it again.") from None
        text = json.dumps(document)
    else:
        text, count = _move_table(source, move)
    if count == 0:
        raise InputError(f"{source}: has no points; name a CSV with x and y, or a GeoJSON file.")
    write_text(target, text)
    return count, missed


def _move_table(source: Path, move: Callable[[Points], Points]) -> tuple[str, int]:
    rows = csv.DictReader(io.StringIO(read_limited(source, LARGEST_TABLE)))
    columns = list(rows.fieldnames or ())
    names = {name.strip().lower(): name for name in columns}
    if not {"x", "y"} <= names.keys():
        raise InputError(f"{source}: has no columns x and y; name them so.")
    table = [{key: row.get(key) or "" for key in columns} for row in rows]
    try:
        points = np.array([[float(row[names[axis]]) for axis in "xy"] for row in table])
    except ValueError:
        raise InputError(f"{source}: has points that are no numbers; correct them.") from None
    for row, point in zip(table, move(points.reshape(-1, 2)), strict=True):
        for axis, value in zip("xy", point, strict=True):
            row[names[axis]] = f"{value:.3f}" if np.isfinite(value) else ""
    return csv_text(columns, table), len(table)


def _move_geojson(document: Any, move: Callable[[Points], Points]) -> int:
    """Move all coordinates of a parsed document in place, and count them."""
    places: list[list[float]] = []

    def collect(value: Any) -> None:
        if not isinstance(value, list):
            raise ValueError("coordinates")
        if value and all(isinstance(one, int | float) for one in value):
            if len(value) < 2:
                raise ValueError("coordinates")
            places.append(value)
        else:
            for one in value:
                collect(one)

    def search(value: Any) -> None:
        if isinstance(value, dict):
            for key, one in value.items():
                if key == "coordinates":
                    collect(one)
                elif key != "properties":
                    search(one)
        elif isinstance(value, list):
            for one in value:
                search(one)

    search(document)
    if places:
        made = move(np.array([place[:2] for place in places], np.float64))
        for place, point in zip(places, np.nan_to_num(made), strict=True):
            place[:2] = [round(float(value), 3) for value in point]
    return len(places)
