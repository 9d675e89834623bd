"""From what a user asks for to the cells that are translated."""

import json

import numpy as np
import pytest
from PIL import Image

from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.geometry import CellGrid
from uhrtranslate.io import OutputSpec, VirtualSlide, open_view, open_writer
from uhrtranslate.io.background import parse_background
from uhrtranslate.runs.masks import make_cell_mask, make_masking

# Tissue of the slide below, in level-0 px: x, y, w, h.
TISSUE = (900, 300, 700, 500)


def paint(x, y, w, h):
    pixels = np.full((h, w, 3), 243, np.uint8)
    left, top, width, height = TISSUE
    here = np.s_[
        max(top - y, 0) : max(top + height - y, 0), max(left - x, 0) : max(left + width - x, 0)
    ]
    pixels[here] = (190, 120, 170)
    return pixels


@pytest.fixture
def slide():
    return VirtualSlide(3000, 2000, paint, mpp=(0.5, 0.5), levels=3)


def masked(slide, mask, cell=100, **how):
    view = open_view(slide, **how)
    return make_cell_mask(view, CellGrid(view.width, view.height, cell), str(mask))


def expected(cols, rows, cell, scale=1.0, dx=0, dy=0, around=0.0):
    """Cells that overlap the tissue, widened by `around` px of the view."""
    x, y, w, h = TISSUE
    left, right = ((v - dx) / scale for v in (x, x + w))
    top, bottom = ((v - dy) / scale for v in (y, y + h))
    col, row = np.arange(cols) * cell, np.arange(rows) * cell
    across = (col + cell > left - around) & (col < right + around)
    down = (row + cell > top - around) & (row < bottom + around)
    return down[:, None] & across


def lies_between(mask, least, most):
    assert (mask.kept | ~least).all()
    assert (most | ~mask.kept).all()


def test_none_is_no_mask(slide):
    assert masked(slide, "none") is None


def test_tissue_is_detected(slide):
    mask = masked(slide, "auto")
    # Rims are widened by two to three px of the thumbnail of 1024 px.
    lies_between(mask, expected(30, 20, 100), expected(30, 20, 100, around=10))
    assert 0.1 < mask.share < 0.25


def test_masks_follow_region_and_level(slide, tmp_path):
    Image.fromarray(
        (expected(300, 200, 10) * 255).astype(np.uint8)
    ).save(tmp_path / "mask.png")  # fmt: skip
    left, top, w, h = TISSUE
    square = [[left, top], [left + w, top], [left + w, top + h], [left, top + h]]
    (tmp_path / "mask.geojson").write_text(json.dumps({"type": "Polygon", "coordinates": [square]}))
    for given in ("auto", tmp_path / "mask.png", tmp_path / "mask.geojson"):
        mask = masked(slide, given, level=1)
        lies_between(mask, expected(15, 10, 100, 2), expected(15, 10, 100, 2, around=10))
        mask = masked(slide, given, region=(1000, 600, 1200, 800))
        lies_between(
            mask,
            expected(12, 8, 100, 1, 1000, 600),
            expected(12, 8, 100, 1, 1000, 600, around=15),
        )
        mask = masked(slide, given, mpp=1.25, region=(1000, 600, 1200, 800), cell=40)
        lies_between(
            mask,
            expected(12, 8, 40, 2.5, 1000, 600),
            expected(12, 8, 40, 2.5, 1000, 600, around=8),
        )


def test_an_empty_slide_has_no_tissue():
    empty = VirtualSlide(500, 400, lambda x, y, w, h: np.full((h, w, 3), 240, np.uint8))
    assert not masked(empty, "auto", cell=64).kept.any()


def test_a_single_marked_pixel_of_a_large_mask_is_found(tmp_path):
    path = tmp_path / "mask.tif"
    pixels = np.zeros((7000, 7000, 3), np.uint8)
    pixels[6123, 4567] = 1  # a label, not a colour
    spec = OutputSpec(width=7000, height=7000, compression="deflate")
    with open_writer(path, spec) as writer:
        writer.write(0, 0, pixels)
        writer.reached(7000)
    slide = VirtualSlide(14000, 14000, paint)
    mask = masked(slide, path, cell=512)
    assert mask.kept[12246 // 512, 9134 // 512]
    assert mask.kept.sum() <= 4


def test_small_cells_of_wide_slides_are_bounded():
    slide = VirtualSlide(40_000, 64, lambda x, y, w, h: np.full((h, w, 3), 120, np.uint8))
    assert masked(slide, "auto", cell=16).kept.all()


class TestWrongMasks:
    def refused(self, slide, path, match):
        with pytest.raises(InputError, match=match) as caught:
            masked(slide, path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_missing(self, slide, tmp_path):
        self.refused(slide, tmp_path / "no.png", "does not exist|missing")
        self.refused(slide, tmp_path / "no.geojson", "cannot be read")

    def test_of_another_shape(self, slide, tmp_path):
        Image.new("L", (300, 220), 255).save(tmp_path / "mask.png")
        self.refused(slide, tmp_path / "mask.png", "another shape")
        Image.new("L", (300, 203), 255).save(tmp_path / "near.png")
        assert masked(slide, tmp_path / "near.png").kept.all()

    def test_black(self, slide, tmp_path):
        Image.new("L", (300, 200), 0).save(tmp_path / "mask.png")
        self.refused(slide, tmp_path / "mask.png", "is black")

    def test_no_geojson(self, slide, tmp_path):
        path = tmp_path / "mask.geojson"
        path.write_text("{")
        self.refused(slide, path, "is not JSON")
        path.write_text("[" * 100_000)
        self.refused(slide, path, "JSON")
        path.write_bytes(b"\xff\xfe\xfd")
        self.refused(slide, path, "JSON")
        path.write_text("[1]")
        self.refused(slide, path, "is not GeoJSON")

    def test_too_large(self, slide, tmp_path):
        path = tmp_path / "mask.geojson"
        with path.open("wb") as file:
            file.truncate(600 << 20)
        self.refused(slide, path, "too much")

    def test_polygons_elsewhere(self, slide, tmp_path):
        path = tmp_path / "mask.geojson"
        away = [[7000, 7000], [9100, 9000], [9100, 9100]]
        path.write_text(json.dumps({"type": "Polygon", "coordinates": [away]}))
        self.refused(slide, path, "no polygon on")

    def test_a_grid_of_another_view(self, slide):
        with pytest.raises(ValueError, match="grid"):
            make_cell_mask(open_view(slide), CellGrid(10, 10, 5), "auto")


@pytest.mark.parametrize(
    ("text", "colour"),
    [
        ("keep", None),
        ("white", (255, 255, 255)),
        ("#f3f3f3", (243, 243, 243)),
        ("#abc", (170, 187, 204)),
        ("243,0,12", (243, 0, 12)),
        ("243, 0, 12", (243, 0, 12)),
        ("ivory", (255, 255, 240)),
        ("black", (0, 0, 0)),
    ],
)
def test_backgrounds(text, colour):
    assert parse_background(text) == colour


@pytest.mark.parametrize(
    "text", ["", "nothing", "#12", "#12345678", "1,2", "1,2,3,4", "1,2,256", "-1,2,3", "a,b,c"]
)
def test_backgrounds_that_are_none(text):
    with pytest.raises(OptionError, match="--background"):
        parse_background(text)


def test_masking_has_both(slide):
    view = open_view(slide)
    grid = CellGrid(view.width, view.height, 100)
    masking = make_masking(view, grid, "auto", "keep")
    assert masking.background is None
    assert masking.cells is not None
    assert make_masking(view, grid, "none", "white").cells is None
