"""Views and thumbnails: what is translated."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from uhrtranslate.errors import OptionError
from uhrtranslate.io import (
    VirtualSlide,
    bilinear_thumbnail,
    open_slide,
    open_view,
    resample,
    resized,
    thumbnail,
)

W, H = 1500, 1100
NOISE = np.random.default_rng(5).integers(0, 256, (H, W, 3), np.uint8)


def noise_slide(mpp=(0.25, 0.25), levels=1, pixels=NOISE):
    h, w = pixels.shape[:2]
    return VirtualSlide(w, h, lambda x, y, w, h: pixels[y : y + h, x : x + w], mpp, levels)


def whole(view):
    return view.read(0, 0, view.width, view.height)


def filtered(pixels, width, height, box=None):
    size = (width, height)
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.HAMMING, box))


def largest_difference(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b.astype(int)).max()


def test_a_view_of_all_is_the_slide():
    view = open_view(noise_slide())
    assert (view.width, view.height, view.mpp) == (W, H, (0.25, 0.25))
    assert view.strip_height == 256
    np.testing.assert_array_equal(whole(view), NOISE)


def test_a_view_of_a_level_has_its_size_and_mpp():
    slide = noise_slide(mpp=(0.25, 0.3), levels=4)
    view = open_view(slide, level=2)
    assert (view.width, view.height) == (375, 275)
    assert view.mpp == pytest.approx((1, 1.2))
    np.testing.assert_array_equal(whole(view), slide.read(0, 0, 375, 275, 2))


def test_a_region_is_in_level_0_pixels():
    slide = noise_slide(levels=3)
    np.testing.assert_array_equal(whole(open_view(slide, region=(9, 7, 50, 40))), NOISE[7:47, 9:59])
    view = open_view(slide, level=1, region=(100, 60, 300, 201))
    np.testing.assert_array_equal(whole(view), slide.read(50, 30, 150, 100, 1))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"level": 3}, "levels 0 to 2"),
        ({"level": -1}, "levels 0 to 2"),
        ({"mpp": 0.2}, "level 0 has 0.25"),
        ({"mpp": 0.5, "level": 1}, "exclude each other"),
        ({"region": (0, 0, W + 1, 5)}, "1500 x 1100 px"),
        ({"region": (-1, 0, 5, 5)}, "1500 x 1100 px"),
        ({"region": (5, 5, 0, 5)}, "1500 x 1100 px"),
    ],
)
def test_what_is_not_in_the_slide_is_refused(options, reason):
    with pytest.raises(OptionError, match=reason):
        open_view(noise_slide(levels=3), **options)


def test_mpp_needs_a_slide_that_states_it():
    with pytest.raises(OptionError, match=r"does not say its mpp.*level"):
        open_view(noise_slide(mpp=None), mpp=0.5)


def test_reads_outside_a_view_are_refused():
    for box in ((0, 0, W + 1, 1), (-1, 0, 1, 1), (0, 0, 0, 1), (0, H, 1, 1)):
        with pytest.raises(ValueError, match="not inside"):
            open_view(noise_slide()).read(*box)


def test_an_mpp_within_a_percent_of_a_level_is_that_level():
    view = open_view(noise_slide(mpp=(0.2502, 0.2498), levels=2), mpp=0.5)
    assert (view.level, view.width, view.height) == (1, 750, 550)
    assert view.mpp == pytest.approx((0.5004, 0.4996))


@pytest.mark.parametrize("mpp", [0.26, 0.37, 0.9, 3.1])
def test_an_mpp_between_levels_is_filtered_without_block_borders(mpp):
    view = open_view(noise_slide(), mpp=mpp)
    assert view.mpp == pytest.approx((mpp, mpp), rel=0.005)
    # White noise, and Pillow rounds twice; beyond GAP boxes are averaged first.
    limit = 2 if mpp < 0.25 * resample.GAP else 12
    assert largest_difference(whole(view), filtered(NOISE, view.width, view.height)) <= limit


def test_the_nearest_finer_level_is_resampled():
    slide = noise_slide(levels=4)
    view = open_view(slide, mpp=1.3)
    assert view.level == 2
    expected = filtered(slide.read(0, 0, 375, 275, 2), view.width, view.height)
    assert largest_difference(whole(view), expected) <= 1


def test_axes_of_different_mpp_become_equal():
    view = open_view(noise_slide(mpp=(0.25, 0.4)), mpp=0.5)
    assert (view.width, view.height) == (750, 880)
    assert view.mpp == pytest.approx((0.5, 0.5))
    assert largest_difference(whole(view), filtered(NOISE, 750, 880)) <= 2


def test_a_resampled_region_sees_its_true_neighbours():
    view = open_view(noise_slide(), mpp=0.6, region=(200, 100, 700, 801))
    expected = filtered(NOISE, view.width, view.height, (200, 100, 900, 901))
    assert largest_difference(whole(view), expected) <= 2


@st.composite
def views(draw):
    x, y = draw(st.integers(0, W - 40)), draw(st.integers(0, H - 40))
    region = (x, y, draw(st.integers(30, W - x)), draw(st.integers(30, H - y)))
    slide = noise_slide(levels=draw(st.integers(1, 3)))
    kind = draw(st.sampled_from(["level", "mpp", "resized"]))
    if kind == "level":
        return open_view(slide, level=len(slide.info.levels) - 1, region=region)
    if kind == "mpp":
        return open_view(slide, mpp=draw(st.floats(0.25, 3)), region=region)
    size = draw(st.integers(1, 200)), draw(st.integers(1, 200))
    return resized(open_view(slide, region=region), *size)


@settings(max_examples=40)
@given(views(), st.data())
def test_pixels_do_not_depend_on_how_a_view_is_cut(view, data):
    pixels = whole(view)
    for _ in range(4):
        x = data.draw(st.integers(0, view.width - 1))
        y = data.draw(st.integers(0, view.height - 1))
        w = data.draw(st.integers(1, view.width - x))
        h = data.draw(st.integers(1, view.height - y))
        np.testing.assert_array_equal(view.read(x, y, w, h), pixels[y : y + h, x : x + w])


@settings(max_examples=30)
@given(st.floats(0.25, 4), st.integers(2, 64))
def test_pixels_do_not_depend_on_the_blocks_they_are_computed_in(mpp, block):
    pixels = NOISE[:150, :170]
    small = open_view(noise_slide(pixels=pixels), mpp=mpp)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resample, "BLOCK", block)
        patch.setattr(resample, "PIECE", 3 * block)
        cut = whole(open_view(noise_slide(pixels=pixels), mpp=mpp))
    assert largest_difference(whole(small), cut) <= 2


def test_many_threads_read_what_one_reads():
    view = open_view(noise_slide(), mpp=0.31)
    expected = whole(open_view(noise_slide(), mpp=0.31))
    boxes = [(x, y, 90, 90) for x in range(0, view.width - 90, 70) for y in range(0, 700, 70)]
    with ThreadPoolExecutor(8) as pool:
        for (x, y, w, h), read in zip(boxes, pool.map(lambda b: view.read(*b), boxes), strict=True):
            np.testing.assert_array_equal(read, expected[y : y + h, x : x + w])


def test_a_large_slide_is_resampled_in_bounded_reads():
    largest = []

    def pixels(x, y, w, h):
        largest.append(w * h)
        return np.full((h, w, 3), 90, np.uint8)

    view = open_view(VirtualSlide(20_000, 15_000, pixels, (0.25, 0.25)))
    assert (thumbnail(view, 20, 15) == 90).all()
    assert max(largest) <= resample.PIECE**2


def test_strips_are_whole_tiles(write_pyramid, picture):
    for side, strip in ((64, 256), (240, 480), (512, 512)):
        with open_slide(write_pyramid(picture, levels=1, tile=(side, side))) as slide:
            assert open_view(slide).strip_height == strip


def test_resizing_takes_the_coarsest_level_that_suffices():
    slide = noise_slide(levels=4)
    view = resized(open_view(slide, level=1), 300, 220)
    assert view.level == 2
    assert view.mpp == pytest.approx((1.25, 1.25))
    expected = filtered(slide.read(0, 0, 375, 275, 2), 300, 220)
    assert largest_difference(whole(view), expected) <= 1


def test_a_thumbnail_may_be_larger_than_its_view():
    view = open_view(noise_slide(), region=(10, 10, 20, 16))
    assert thumbnail(view, 60, 50).shape == (50, 60, 3)
    assert bilinear_thumbnail(view, 60, 50).shape == (50, 60, 3)


@pytest.mark.parametrize("name", ["main_P64", "nonmultiple_P64", "small_P32"])
def test_bilinear_thumbnails_are_those_of_opencv(name, shared):
    golden = np.load(shared / "golden" / f"{name}.npz")
    slide = noise_slide(pixels=golden["input_u8"])
    for key in ("thumb_u8", "resized_u8"):
        if key in golden:
            h, w = golden[key].shape[:2]
            np.testing.assert_array_equal(bilinear_thumbnail(open_view(slide), w, h), golden[key])


def test_bilinear_thumbnails_do_not_depend_on_how_they_are_read(monkeypatch):
    view = open_view(noise_slide())
    expected = bilinear_thumbnail(view, 130, 70)
    monkeypatch.setattr("uhrtranslate.io.thumbnails.PIECE", 100)
    np.testing.assert_array_equal(bilinear_thumbnail(view, 130, 70), expected)
