"""What is drawn over images: grids, seams that were measured, tissue, annotations."""

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from uhrtranslate.errors import InputError
from uhrtranslate.evaluation.made import Made
from uhrtranslate.io import Slide

# Bytes of a document, and points of its annotations, that a page can still draw.
LARGEST_FILE, MOST_POINTS = 128 << 20, 2_000_000
LONGEST_NAME = 200
LARGEST_COORDINATE = 1e7
# Colours of annotations that have none.
PLAIN = (255, 210, 0)


class _Loose(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class BorderMark(_Loose):
    """A border of two tiles that shows, in px of what was evaluated."""

    axis: str = Field(pattern="^[xy]$")
    x: float
    y: float
    length: float = 128
    step: float


class HeatMark(_Loose):
    """The steps around tiles: one byte each, in tenths of grey levels; 255 where none was measured.

    Attributes:
        x, y, step: where the first tile begins and the size of each, in px of what was evaluated.
        rows, columns: of tiles.
        values: base64 of the bytes, row by row.
    """

    x: float
    y: float
    step: float = Field(gt=0)
    rows: int = Field(ge=1, le=100_000)
    columns: int = Field(ge=1, le=100_000)
    values: str = Field(repr=False)

    def array(self) -> NDArray[np.uint8] | None:
        """[rows, columns] uint8; None if the text is damaged."""
        try:
            data = base64.b64decode(self.values, validate=True)
            return np.frombuffer(data, np.uint8).reshape(self.rows, self.columns)
        except (binascii.Error, ValueError):
            return None


class Evaluated(_Loose):
    """What an evaluation or comparison says of one image."""

    input: str | None = None
    output: str | None = None
    width: int = 0
    height: int = 0
    region: tuple[float, float, float, float] | None = None
    borders: list[BorderMark] = []
    heat: HeatMark | None = None
    metrics: dict[str, dict[str, Any]] = {}

    @property
    def path(self) -> str:
        """Of the image, as it was written."""
        return self.input or self.output or ""


@dataclass(frozen=True)
class Documents:
    """What JSON files say that were named among the images.

    Attributes:
        evaluated: by the name of the image's file, with the folder of the document.
        annotations: documents of GeoJSON, checked.
        transforms: parsed transforms, with the names of their files.
    """

    evaluated: list[tuple[Path, Evaluated]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    transforms: list[tuple[Any, str]] = field(default_factory=list)

    def read(self, path: Path) -> None:
        """Take what a file says: an evaluation, a comparison, annotations, or a transform.

        Raises:
            InputError: it is none of these, or cannot be read.
        """
        document = _parsed(path)
        if isinstance(document, dict) and document.get("format") == "uhrt-transform":
            self.transforms.append((document, str(path)))
            return
        records = None
        if isinstance(document, dict):
            records = document.get("images", document.get("candidates"))
        if isinstance(records, list) and "type" not in document:
            try:
                found = [Evaluated.model_validate(one) for one in records]
            except ValidationError as error:
                where = ".".join(map(str, error.errors()[0]["loc"]))
                raise InputError(
                    f"{path}: is no evaluation ({where[:80]}); make it again with uhrt evaluate -o."
                ) from None
            self.evaluated.extend((path.parent, one) for one in found)
            return
        self.annotations.append(read_annotations(document, path))

    def about(self, path: Path) -> Evaluated | None:
        """What was measured of an image: of its path, else of its name."""
        named = [
            (folder, one) for folder, one in self.evaluated if Path(one.path).name == path.name
        ]
        for folder, one in reversed(named):
            places = (Path(one.path), folder / Path(one.path).name, folder / one.path)
            if any(_same(place, path) for place in places):
                return one
        return named[-1][1] if len(named) == 1 else None


def _same(first: Path, second: Path) -> bool:
    try:
        return first.resolve() == second.resolve()
    except (OSError, RuntimeError):
        return False


def _parsed(path: Path) -> Any:
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise InputError(f"{path}: has more than {LARGEST_FILE >> 20} MB; name the right file.")
        return json.loads(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path}: is not JSON; name the right file.") from None


def read_annotations(document: object, path: Path) -> dict[str, Any]:
    """Shapes of a GeoJSON document (RFC 7946) in level-0 px, as a page draws them.

    Returns:
        `shapes`: each with a name, a colour, and lines: lists x, y, x, y, ...; closed ones are
        areas. Points are lines of one point.

    Raises:
        InputError: it is not GeoJSON, or has too many points.
    """
    shapes: list[dict[str, Any]] = []
    points = 0
    try:
        for feature in _features(document):
            lines, closed = _lines(feature.get("geometry"))
            points += sum(map(len, lines)) // 2
            if points > MOST_POINTS:
                raise InputError(
                    f"{path}: has more than {MOST_POINTS:,} points; export fewer annotations."
                )
            if lines:
                name, colour = _named(feature)
                shapes.append({"name": name, "colour": colour, "closed": closed, "lines": lines})
    except (TypeError, ValueError, KeyError, AttributeError):
        raise InputError(
            f"{path}: is no evaluation, transform or GeoJSON that uhrt view shows; name another."
        ) from None
    return {"name": path.name, "shapes": shapes}


def _features(document: object) -> Iterator[Mapping[str, Any]]:
    todo = [document]
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo += reversed(item)
        elif isinstance(item, Mapping) and item["type"] == "FeatureCollection":
            todo += reversed(item.get("features") or [])
        elif isinstance(item, Mapping) and item["type"] == "Feature":
            yield item
        elif isinstance(item, Mapping) and isinstance(item["type"], str):
            yield {"geometry": item}
        else:
            raise ValueError


def _lines(geometry: Any) -> tuple[list[list[float]], bool]:
    if geometry is None:
        return [], False
    kind = geometry["type"]
    if kind == "GeometryCollection":
        parts = [_lines(part) for part in geometry["geometries"]]
        return [line for lines, _ in parts for line in lines], all(closed for _, closed in parts)
    at = geometry["coordinates"]
    match kind:
        case "Point":
            rings = [[at]]
        case "MultiPoint":
            rings = [[point] for point in at]
        case "LineString":
            rings = [at]
        case "MultiLineString" | "Polygon":
            rings = at
        case "MultiPolygon":
            rings = [ring for polygon in at for ring in polygon]
        case _:
            raise ValueError(kind)
    return [_flat(ring) for ring in rings], kind.endswith("Polygon")


def _flat(ring: Any) -> list[float]:
    points = np.array([point[:2] for point in ring], np.float64)
    if points.ndim != 2 or not np.isfinite(points).all():
        raise ValueError
    if np.abs(points).max(initial=0) > LARGEST_COORDINATE:
        raise ValueError
    return [round(float(value), 2) for value in points.reshape(-1)]


def _named(feature: Mapping[str, Any]) -> tuple[str, str]:
    properties = feature.get("properties") or {}
    kind = properties.get("classification") or {}
    name = properties.get("name") or kind.get("name") or ""
    colour = kind.get("color") or properties.get("color") or PLAIN
    red, green, blue = (min(max(int(value), 0), 255) for value in colour[:3])
    return str(name)[:LONGEST_NAME], f"#{red:02x}{green:02x}{blue:02x}"


def grids(made: Made, slide: Slide) -> dict[str, dict[str, Any]]:
    """The grids of an image: squares of so many px from its first pixel on, by name."""
    found: dict[str, dict[str, Any]] = {}
    if made.cell:
        found["cells"] = {"step": [made.cell, made.cell], "name": f"cells of {made.cell} px"}
    if made.tile and made.overlap is not None and made.tile > made.overlap:
        step = made.tile - made.overlap
        found["tiles"] = {"step": [step, step], "name": f"tiles every {step} px"}
    else:
        across, down = slide.tile_size(0)
        found["tiles"] = {
            "step": [across, down],
            "name": f"stored in tiles of {across} x {down} px",
        }
    return found


def seams(evaluated: Evaluated) -> dict[str, Any]:
    """The worst borders and the extent of the heat map, in level-0 px."""
    x0, y0, across, down = _part(evaluated)
    borders = [
        {
            "axis": one.axis,
            "x": x0 + one.x * across,
            "y": y0 + one.y * down,
            "length": one.length * (down if one.axis == "x" else across),
            "step": one.step,
        }
        for one in evaluated.borders
    ]
    found: dict[str, Any] = {"borders": borders}
    heat = evaluated.heat
    if heat is not None and heat.array() is not None:
        found["heat"] = {
            "x": x0 + heat.x * across,
            "y": y0 + heat.y * down,
            "w": heat.columns * heat.step * across,
            "h": heat.rows * heat.step * down,
        }
    verdict = evaluated.metrics.get("seam", {}).get("verdict")
    if isinstance(verdict, str):
        found["verdict"] = verdict[:LONGEST_NAME]
    return found


def _part(evaluated: Evaluated) -> tuple[float, float, float, float]:
    if evaluated.region is None or not (evaluated.width and evaluated.height):
        return 0.0, 0.0, 1.0, 1.0
    x, y, w, h = evaluated.region
    return x, y, w / evaluated.width, h / evaluated.height


def heat_picture(evaluated: Evaluated) -> bytes | None:
    """The heat map as PNG, one px for each tile, transparent where nothing shows."""
    values = None if evaluated.heat is None else evaluated.heat.array()
    if values is None:
        return None
    known = values < 255
    top = max(int(values[known].max(initial=0)), 20)  # two grey levels are hardly seen
    share = np.where(known, values / top, 0.0).clip(0, 1)
    rgba = np.zeros((*values.shape, 4), np.uint8)
    rgba[..., 0] = 255
    rgba[..., 1] = (220 * (1 - share)).astype(np.uint8)
    rgba[..., 3] = (150 * share).astype(np.uint8)
    return _png(rgba)


def tissue_picture(picture: NDArray[np.uint8], mpp: float | None) -> bytes:
    """Where the tissue of a slide is, as PNG over all of it.

    Args:
        picture: of the whole slide, [h, w, 3] uint8.
        mpp: micrometres per pixel of it.
    """
    from uhrtranslate.tissue import detect_tissue  # takes a while, and is rarely needed

    mask = detect_tissue(picture, mpp)
    rgba = np.zeros((*mask.shape, 4), np.uint8)
    rgba[~mask] = (20, 60, 160, 110)
    return _png(rgba)


def _png(rgba: NDArray[np.uint8]) -> bytes:
    file = BytesIO()
    Image.fromarray(rgba).save(file, "PNG")
    return file.getvalue()
