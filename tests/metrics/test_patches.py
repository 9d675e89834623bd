"""Patches lie inside the image, and have a border in their middle where they should."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uhrtranslate.metrics.patches import patches_across_borders, random_patches

SIZES = st.integers(1, 3000)


def crosses(start, size, period, length):
    """Whether a border lies in the middle half (and a rounded px) of start..start + size."""
    low, high = start + size // 4 - 1, start + size - size // 4 + 1
    return any(low <= line <= high for line in range(period, length, period))


@given(SIZES, SIZES, st.integers(1, 1200), st.integers(1, 600), st.integers(0, 2**32))
@settings(max_examples=200)
def test_each_box_lies_inside_and_across_a_border(width, height, period, size, seed):
    boxes = patches_across_borders(width, height, period, size, 12, seed)
    for x, y, w, h in boxes:
        assert (w, h) == (size, size)
        assert 0 <= x <= width - size
        assert 0 <= y <= height - size
        assert crosses(x, size, period, width) or crosses(y, size, period, height)
    if not boxes:  # then there is none to be had
        half = size - size // 2
        rooms = [(a, b) for a, b in ((width, height), (height, width)) if b >= size]
        lines = [p for a, _ in rooms for p in range(period, a, period) if half <= p <= a - half]
        assert not lines
    assert boxes == patches_across_borders(width, height, period, size, 12, seed)


def test_borders_of_both_axes_are_met():
    boxes = patches_across_borders(2000, 2000, 512, 128, 200, 0)
    vertical = sum(crosses(x, 128, 512, 2000) for x, *_ in boxes)
    horizontal = sum(crosses(y, 128, 512, 2000) for _, y, *_ in boxes)
    assert 80 < vertical < 170
    assert 80 < horizontal < 170
    assert len(set(boxes)) > 190


def test_an_image_of_one_row_of_tiles_has_borders_of_one_axis():
    boxes = patches_across_borders(2000, 300, 512, 128, 20, 0)
    assert len(boxes) == 20
    assert all(crosses(x, 128, 512, 2000) for x, *_ in boxes)


@pytest.mark.parametrize("shape", [(500, 500), (100, 5000), (127, 127)])
def test_images_without_borders_or_room_have_none(shape):
    assert patches_across_borders(*shape, 512, 128, 20, 0) == []


@given(SIZES, SIZES, st.integers(1, 600), st.integers(0, 2**32))
@settings(max_examples=100)
def test_random_boxes_lie_inside(width, height, size, seed):
    boxes = random_patches(width, height, size, 9, seed)
    assert len(boxes) == (9 if size <= min(width, height) else 0)
    assert all(0 <= x <= width - size and 0 <= y <= height - size for x, y, _, _ in boxes)
    assert boxes == random_patches(width, height, size, 9, seed)


def test_other_seeds_are_other_boxes():
    assert random_patches(900, 900, 64, 9, 0) != random_patches(900, 900, 64, 9, 1)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="1 or more"):
        patches_across_borders(100, 100, 0, 10, 1, 0)
    with pytest.raises(ValueError, match="1 or more"):
        random_patches(100, 100, 10, 0, 0)
