"""Whether a picture has an empty background, and how much of each cell is tissue."""

import numpy as np
import pytest
import skimage.data
from skimage.color import gray2rgb

from uhrtranslate.geometry import CellGrid, shares_of_tissue
from uhrtranslate.io import VirtualSlide, open_view
from uhrtranslate.recipes.tissue_pictures import tissue_shares
from uhrtranslate.tissue import detect_tissue, has_background


def with_glass(width, level=240):
    """A stained section beside glass, in a picture of 512 px."""
    picture = skimage.data.immunohistochemistry()[:, ::-1].copy()
    noise = np.random.default_rng(0).normal(level, 1, (512, width, 3))
    picture[:, :width] = noise.round().astype(np.uint8)
    return picture


PICTURES = {
    "section beside glass": (with_glass(160), True),
    "section with a little glass": (skimage.data.immunohistochemistry(), True),
    "dark field": (255 - with_glass(160, 245), True),
    "cat": (skimage.data.chelsea(), False),
    "coffee": (skimage.data.coffee(), False),
    "gravel": (gray2rgb(skimage.data.gravel()), False),
    "grass": (gray2rgb(skimage.data.grass()), False),
}


@pytest.mark.parametrize(("picture", "expected"), PICTURES.values(), ids=PICTURES)
def test_slides_have_a_background_and_photos_none(picture, expected):
    assert has_background(picture, detect_tissue(picture)) == expected


def test_parts_that_were_not_scanned_are_background():
    picture = skimage.data.chelsea().copy()
    picture[:, :60] = 0
    assert has_background(picture, detect_tissue(picture))


def test_shares_are_counted_per_cell():
    mask = np.zeros((4, 6), bool)
    mask[:2, :3] = mask[2, 5] = True
    shares = shares_of_tissue(mask, CellGrid(600, 400, 200), (0, 0, 6, 4))
    assert np.array_equal(shares, [[1, 0.5, 0], [0, 0, 0.25]])
    # The last cells end with the image.
    shares = shares_of_tissue(mask, CellGrid(300, 250, 200), (0, 0, 3, 2.5))
    assert np.array_equal(shares, [[1, 1], [0, 0]])


def test_a_region_has_the_shares_of_its_own_cells():
    picture = with_glass(256)
    slide = VirtualSlide(512, 512, lambda x, y, w, h: picture[y : y + h, x : x + w])
    whole = tissue_shares(open_view(slide), CellGrid(512, 512, 128))
    assert whole.shape == (4, 4)
    assert whole[:, 0].max() < 0.05
    assert whole[:, 2:].mean() > 0.8
    part = tissue_shares(open_view(slide, region=(128, 256, 384, 256)), CellGrid(384, 256, 128))
    assert np.array_equal(part, whole[2:, 1:])


def test_photos_are_all_tissue():
    photo = skimage.data.coffee()
    slide = VirtualSlide(600, 400, lambda x, y, w, h: photo[y : y + h, x : x + w])
    assert (tissue_shares(open_view(slide), CellGrid(600, 400, 128)) == 1).all()
