import json

import numpy as np
import pytest

from uhrtranslate.tissue import draw_polygons, read_polygons

SQUARE = [[100, 100], [300, 100], [300, 300], [100, 300], [100, 100]]
HOLE = [[150, 150], [250, 150], [250, 250], [150, 250], [150, 150]]
AWAY = [[600, 20], [700, 20], [650, 90], [600, 20]]


def polygon(*rings):
    return {"type": "Polygon", "coordinates": list(rings)}


def feature(geometry, name=None):
    properties = {"objectType": "annotation"}
    if name:
        properties["classification"] = {"name": name, "color": [150, 150, 0]}
    return {"type": "Feature", "id": "x", "geometry": geometry, "properties": properties}


MULTI = {"type": "MultiPolygon", "coordinates": [[SQUARE, HOLE], [AWAY]]}
DOCUMENTS = {
    "collection": {"type": "FeatureCollection", "features": [feature(MULTI)]},
    "feature": feature(MULTI, "Tissue"),
    "list": [feature(polygon(SQUARE, HOLE)), feature(polygon(AWAY))],
    "geometry": MULTI,
    "geometries": {
        "type": "GeometryCollection",
        "geometries": [polygon(SQUARE, HOLE), polygon(AWAY)],
    },
    "with points": [feature(MULTI), feature({"type": "Point", "coordinates": [1, 2]})],
    "with an ignored class": [
        feature(MULTI),
        feature(polygon([[0, 0], [9, 0], [9, 9]]), "Ignore*"),
    ],
    "open rings": polygon(SQUARE[:-1], HOLE[:-1]) | {},
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_wrapping_is_read(name):
    document = json.loads(json.dumps(DOCUMENTS[name]))
    mask = draw_polygons(read_polygons(document), (1000, 500), (50, 100))
    assert mask[15, 12]
    assert not mask[20, 20], "a hole"
    assert not mask[45, 12]
    assert not mask[0, 0]
    if name != "open rings":
        assert mask[3, 65]
    assert mask[10:31, 10:31].sum() == 21 * 21 - 9 * 9  # borders belong to what is drawn


def test_what_is_thinner_than_a_pixel_is_drawn():
    line = polygon([[5, 5], [995, 495], [994, 496], [5, 5]])
    mask = draw_polygons(read_polygons(line), (1000, 500), (50, 100))
    assert mask.any(axis=0).all()
    dot = polygon([[501, 251], [502, 251], [502, 252]])
    assert draw_polygons(read_polygons(dot), (1000, 500), (50, 100)).sum() == 1


def test_what_lies_outside_is_left_out():
    huge = polygon([[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]])
    assert draw_polygons(read_polygons(huge), (1000, 500), (50, 100)).all()
    away = polygon([[5000, 5000], [6000, 5000], [6000, 6000]])
    assert not draw_polygons(read_polygons(away), (1000, 500), (50, 100)).any()


def test_area_of_a_disc():
    angle = np.linspace(0, 2 * np.pi, 200)
    disc = polygon(np.stack([500 + 200 * np.cos(angle), 250 + 200 * np.sin(angle)], 1).tolist())
    mask = draw_polygons(read_polygons(disc), (1000, 500), (500, 1000))
    assert mask.sum() == pytest.approx(np.pi * 200**2, rel=0.02)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "is not GeoJSON"),
        (7, "is not GeoJSON"),
        ({"type": 3}, "is not GeoJSON"),
        ({"type": "FeatureCollection", "features": []}, "has no polygons"),
        ({"type": "FeatureCollection"}, "has no polygons"),
        ([feature({"type": "Point", "coordinates": [1, 2]})], "has no polygons"),
        ([feature(None)], "has no polygons"),
        ({"type": "Circle"}, "unknown type 'Circle'"),
        ({"type": "Polygon"}, "without coordinates"),
        ({"type": "MultiPolygon"}, "without coordinates"),
        (polygon(), "without coordinates"),
        (polygon([[1, 1], [2, 2]]), "fewer than three"),
        (polygon([["a", 1], [2, 2], [3, 3]]), "not pairs of numbers"),
        (polygon([1, 2, 3]), "not pairs of numbers"),
        (polygon([[1], [2], [3]]), "fewer than three|not pairs"),
        (polygon(None), "not pairs of numbers"),
        (polygon([[1, 1], [float("nan"), 2], [3, 3]]), "not pixels"),
        (polygon([[1, 1], [1e12, 2], [3, 3]]), "not pixels"),
    ],
)
def test_what_is_wrong_is_said(document, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_polygons(document)
