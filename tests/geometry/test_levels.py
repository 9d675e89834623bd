from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uhrtranslate.geometry.levels import (
    level_downsample,
    level_for_mpp,
    level_for_size,
    pyramid_sizes,
    same_mpp,
    to_level,
)

sides = st.integers(1, 10**6)


@given(sides, sides, st.integers(1, 4096))
def test_pyramids_halve_until_they_are_small(width, height, smallest):
    sizes = pyramid_sizes(width, height, smallest)
    assert sizes[0] == (width, height)
    assert max(sizes[-1]) <= smallest or len(sizes) == 1
    for (w, h), (half_w, half_h) in pairwise(sizes):
        assert (half_w, half_h) == ((w + 1) // 2, (h + 1) // 2)
        assert max(w, h) > smallest


@given(sides, sides, st.booleans())
def test_levels_of_halved_pyramids_have_powers_of_two(width, height, up):
    w, h = width, height
    for number in range(12):
        assert level_downsample((width, height), (w, h)) == 2**number
        w, h = ((w + 1) // 2, (h + 1) // 2) if up else (w // 2, h // 2)
        if min(w, h) < 4:
            break


def test_other_downsamples_are_whole_or_the_mean_ratio():
    assert level_downsample((3000, 2000), (1000, 667)) == 3
    assert level_downsample((3000, 2000), (1100, 700)) == pytest.approx((3000 / 1100 + 20 / 7) / 2)
    assert level_downsample((100, 100), (101, 100)) == 1


def test_the_coarsest_level_that_is_fine_enough_is_chosen():
    levels = [1, 4, 16]
    assert level_for_mpp((0.25, 0.25), levels, 0.25) == 0
    assert level_for_mpp((0.25, 0.25), levels, 0.99) == 0
    assert level_for_mpp((0.25, 0.25), levels, 0.991) == 1  # 1.0 is within a percent
    assert level_for_mpp((0.25, 0.25), levels, 3) == 1
    assert level_for_mpp((0.25, 0.25), levels, 4) == 2
    assert level_for_mpp((0.25, 0.5), levels, 1.9) == 0  # the coarser axis counts
    assert level_for_mpp((0.25, 0.25), levels, 0.2) is None
    assert same_mpp((0.2502, 0.2498), 0.25)
    assert not same_mpp((0.25, 0.26), 0.25)


def test_a_level_must_have_as_many_pixels_as_are_wanted():
    levels = [1, 2, 4]
    assert level_for_size((800, 400), levels, (800, 400), (200, 100)) == 2
    assert level_for_size((800, 400), levels, (800, 400), (201, 100)) == 1
    assert level_for_size((800, 400), levels, (400, 400), (200, 100)) == 1
    assert level_for_size((800, 400), levels, (800, 400), (1600, 800)) == 0


@given(st.data())
def test_spans_lie_inside_their_level(data):
    whole = data.draw(sides)
    downsample = data.draw(st.floats(1, 300))
    limit = max(int(whole / downsample), 1)
    start = data.draw(st.integers(0, whole - 1))
    size = data.draw(st.integers(1, whole - start))
    first, length = to_level(start, size, downsample, limit)
    assert first >= 0
    assert length >= 1
    assert first + length <= limit
