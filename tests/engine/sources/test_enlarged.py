import numpy as np
import pytest
import skimage.data
from PIL import Image

from uhrtranslate.engine import EnlargedSlide
from uhrtranslate.io import VirtualSlide, open_view

SECTION = skimage.data.immunohistochemistry()[:300, :400]


def section(x, y, w, h):
    return SECTION[y : y + h, x : x + w]


def test_a_pixel_does_not_depend_on_the_rectangle_it_is_read_in():
    """And all of it is what Pillow makes of the whole."""
    view = open_view(VirtualSlide(400, 300, section, (0.5, 0.5)))
    slide = EnlargedSlide(view, 1200, 900)
    whole = slide.read(0, 0, 1200, 900)
    expected = Image.fromarray(SECTION).resize((1200, 900), Image.Resampling.BICUBIC)
    assert np.abs(whole.astype(int) - np.asarray(expected)).max() <= 1
    for x, y, w, h in ((0, 0, 7, 9), (500, 500, 30, 40), (1100, 850, 100, 50)):
        assert np.array_equal(slide.read(x, y, w, h), whole[y : y + h, x : x + w])


def test_its_facts_are_those_of_its_size():
    virtual = VirtualSlide(400, 300, section, (0.5, 0.5))
    slide = EnlargedSlide(open_view(virtual, region=(40, 30, 100, 60)), 400, 240)
    assert slide.info.mpp == pytest.approx((0.125, 0.125))
    sizes = [(one.width, one.height) for one in slide.info.levels]
    assert sizes == [
        (400, 240),
        (200, 120),
        (100, 60),
    ]
    assert np.abs(slide.read(0, 0, 100, 60, 2).astype(int) - section(40, 30, 100, 60)).mean() < 1
    half = EnlargedSlide(open_view(virtual), 400, 300, (50, 25, 100.5, 75))
    assert half.info.mpp == pytest.approx((0.5 * 100.5 / 400, 0.5 / 4))
