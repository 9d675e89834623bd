"""Polygons of a GeoJSON document, as QuPath exports annotations, and their pixels."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon as fill

Ring = NDArray[np.float64]
Mask = NDArray[np.bool_]

# Larger coordinates are not pixels of any image: no scanner comes near this size.
LARGEST_COORDINATE = 1e7


@dataclass(frozen=True, eq=False)
class Polygon:
    """An area with holes.

    Attributes:
        outline: [n, 2] float64, x and y in level-0 px of the slide; pixel 0 is 0 <= x < 1.
        holes: likewise.
    """

    outline: Ring
    holes: tuple[Ring, ...] = ()


def read_polygons(document: object) -> list[Polygon]:
    """The polygons of a GeoJSON document (RFC 7946), of all classes.

    Args:
        document: parsed JSON: a feature collection, a feature, a geometry, or a list of these, as
            QuPath's export and its scripts write them. Points and lines are left out, and so are
            annotations of a class that QuPath ignores: one whose name ends with an asterisk.

    Raises:
        ValueError: it is not GeoJSON or has no polygons; the message follows the file's name.
    """
    polygons = [
        _polygon(rings) for geometry in _geometries(document) for rings in _ring_lists(geometry)
    ]
    if not polygons:
        raise ValueError("has no polygons; export annotations that outline the tissue")
    return polygons


def draw_polygons(
    polygons: Sequence[Polygon], size: tuple[int, int], shape: tuple[int, int]
) -> Mask:
    """The pixels of a small picture of a slide that polygons touch.

    Args:
        polygons: areas; where they overlap, one is enough.
        size: width and height of the slide at level 0 in px.
        shape: height and width of the picture in px; it is stretched over the slide.

    Returns:
        [h, w] bool. Pixels that an outline or the border of a hole runs through are True.
    """
    mask = np.zeros(shape, np.bool_)
    scale = np.array([shape[1] / size[0], shape[0] / size[1]])
    for one in polygons:
        outline = one.outline * scale
        # The part of the picture below the polygon.
        limit = np.array(shape[::-1])
        left, top = np.floor(outline.min(axis=0)).clip(0, limit).astype(int)
        right, bottom = np.ceil(outline.max(axis=0)).clip(0, limit).astype(int)
        part = mask[top:bottom, left:right]
        area = np.zeros(part.shape, np.bool_)
        _fill(area, outline - (left, top))
        for hole in one.holes:
            _fill(area, hole * scale - (left, top), value=False)
        part |= area
        for ring in (one.outline, *one.holes):
            _trace(mask, ring * scale)
    return mask


def _fill(mask: Mask, ring: Ring, value: bool = True) -> None:
    # skimage has pixel centres at whole coordinates.
    rows, cols = fill(  # type: ignore[no-untyped-call]
        ring[:, 1] - 0.5, ring[:, 0] - 0.5, mask.shape
    )
    mask[rows, cols] = value


def _trace(mask: Mask, ring: Ring) -> None:
    """Set the pixels that a closed line runs through, sampled every half pixel."""
    # A line far outside would have any number of points.
    ring = ring.clip(-2, np.array(mask.shape[::-1]) + 2.0)
    steps = np.abs(np.diff(ring, axis=0)).max(axis=1, initial=0)
    count = np.ceil(2 * steps).astype(np.intp) + 1
    which = np.repeat(np.arange(len(count)), count)
    share = (np.arange(len(which)) - np.repeat(count.cumsum() - count, count)) / count[which]
    points = ring[which] + share[:, None] * (ring[which + 1] - ring[which])
    cols, rows = np.floor(points).astype(np.intp).T
    inside = (rows >= 0) & (rows < mask.shape[0]) & (cols >= 0) & (cols < mask.shape[1])
    mask[rows[inside], cols[inside]] = True


def _geometries(document: object) -> Iterator[Mapping[str, object]]:
    """All geometries, also nested ones; without recursion, as a file may nest deeply."""
    todo = [document]
    while todo:
        item = todo.pop()
        if isinstance(item, list):
            todo += item
            continue
        kind = item.get("type") if isinstance(item, Mapping) else None
        if not isinstance(item, Mapping) or not isinstance(kind, str):
            raise ValueError("is not GeoJSON; export annotations as GeoJSON")
        if kind == "FeatureCollection":
            todo.append(item.get("features") or [])
        elif kind == "GeometryCollection":
            todo.append(item.get("geometries") or [])
        elif kind == "Feature":
            if item.get("geometry") is not None and not _is_ignored(item):
                todo.append(item["geometry"])
        else:
            yield item


def _is_ignored(feature: Mapping[str, object]) -> bool:
    properties = feature.get("properties")
    found = properties.get("classification") if isinstance(properties, Mapping) else None
    name = found.get("name") if isinstance(found, Mapping) else None
    return isinstance(name, str) and name.endswith("*")


def _ring_lists(geometry: Mapping[str, object]) -> list[object]:
    match geometry.get("type"):
        case "Polygon":
            return [geometry.get("coordinates")]
        case "MultiPolygon":
            parts = geometry.get("coordinates")
            if not isinstance(parts, list):
                raise ValueError("has a MultiPolygon without coordinates")
            return parts
        case "Point" | "MultiPoint" | "LineString" | "MultiLineString":
            return []
        case other:
            raise ValueError(f"has a geometry of unknown type {other!r}")


def _polygon(rings: object) -> Polygon:
    if not isinstance(rings, list) or not rings:
        raise ValueError("has a polygon without coordinates")
    outline, *holes = (_ring(ring) for ring in rings)
    return Polygon(outline, tuple(holes))


def _ring(points: object) -> Ring:
    try:
        ring = np.array([point[:2] for point in points], np.float64)  # type: ignore[attr-defined]
    except (TypeError, ValueError, KeyError):
        raise ValueError("has a polygon whose points are not pairs of numbers") from None
    if ring.ndim != 2 or ring.shape[1] != 2 or len(ring) < 3:
        raise ValueError("has a polygon of fewer than three points")
    if not np.isfinite(ring).all() or np.abs(ring).max() > LARGEST_COORDINATE:
        raise ValueError("has coordinates that are not pixels of a slide; use level-0 pixels")
    if (ring[0] != ring[-1]).any():
        ring = np.concatenate([ring, ring[:1]])
    return ring
