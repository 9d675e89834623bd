"""What is done to an image's cells shows in the figure that is named after it."""

import math

import numpy as np
import pytest
import skimage.data
from skimage.color import lab2rgb, rgb2lab

from uhrtranslate.metrics.preservation import (
    CellFacts,
    cell_facts,
    compare_cells,
    histogram,
    histogram_correlation,
)

TISSUE = skimage.data.immunohistochemistry()
CELL = 64


def cells(pixels):
    return [
        cell_facts(pixels[y : y + CELL, x : x + CELL])
        for y in range(0, len(pixels), CELL)
        for x in range(0, pixels.shape[1], CELL)
    ]


def compare(output, source=TISSUE):
    return compare_cells(cells(source), cells(output))


def clipped(values):
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def in_each_cell(change):
    output = np.empty(TISSUE.shape)
    for y in range(0, 512, CELL):
        for x in range(0, 512, CELL):
            output[y : y + CELL, x : x + CELL] = change(
                TISSUE[y : y + CELL, x : x + CELL].astype(float)
            )
    return clipped(output)


def test_facts_of_a_cell_are_plain_numbers():
    cell = np.zeros((4, 4, 3), np.uint8)
    cell[:2] = (200, 100, 50)
    found = cell_facts(cell)
    luma = 200 * 0.299 + 100 * 0.587 + 50 * 0.114
    assert found.mean == pytest.approx(luma / 2)
    assert found.contrast == pytest.approx(luma / 2)
    assert found.saturated == 0.5
    assert found.lab == pytest.approx(rgb2lab(np.array([[[100, 50, 25]]]) / 255)[0, 0])
    assert found.hue == pytest.approx(math.atan2(found.lab[2], found.lab[1]))


def test_nothing_changed_is_best():
    found = compare(TISSUE)
    assert found.cells == 64
    assert found.mean_correlation == pytest.approx(1)
    assert found.contrast_correlation == pytest.approx(1)
    assert (found.contrast_low, found.contrast_ratio, found.contrast_high) == (1, 1, 1)
    assert found.hue_shift == pytest.approx(0, abs=1e-9)
    assert found.hue_spread == pytest.approx(0, abs=1e-4)
    assert (found.mean_difference, found.colour_distance, found.contrast_spread) == (0, 0, 0)
    assert (found.over_coloured, found.under_coloured) == (0, 0)
    assert found.saturated == found.saturated_other


def test_the_same_contrast_everywhere_is_no_spread():
    found = compare(clipped(TISSUE * 0.5 + 60))
    assert found.contrast_ratio == pytest.approx(0.5, abs=0.01)
    assert found.contrast_spread < 0.01
    assert found.mean_correlation > 0.999
    assert found.mean_difference == pytest.approx(60 - TISSUE.mean(axis=2).mean() / 2, abs=8)


def test_patches_normalised_each_alone_lose_brightness_and_contrast():
    """What plain per-cell IN does: each cell gets the same mean and deviation."""
    alike = in_each_cell(lambda c: (c - c.mean((0, 1))) / c.std((0, 1)) * 25 + 150)
    even = compare(clipped(TISSUE * 0.7 + 40))
    found = compare(alike)
    assert found.contrast_spread > 10 * even.contrast_spread
    assert abs(found.mean_correlation) < 0.7 < even.mean_correlation
    assert found.mean_rank_correlation < 0.7


def test_a_monotone_change_keeps_the_ranks():
    dark = clipped((TISSUE / 255.0) ** 3 * 255)
    found = compare(dark)
    assert found.mean_rank_correlation > 0.98
    assert found.mean_correlation < found.mean_rank_correlation
    inverse = compare(255 - TISSUE)
    assert inverse.mean_correlation == pytest.approx(-1)
    assert inverse.mean_rank_correlation == pytest.approx(-1)


def turned(pixels, degrees):
    lab = rgb2lab(pixels / 255.0)
    angle = np.deg2rad(degrees)
    a, b = lab[..., 1] / 2, lab[..., 2] / 2  # half the chroma stays within RGB
    lab[..., 1] = a * np.cos(angle) - b * np.sin(angle)
    lab[..., 2] = a * np.sin(angle) + b * np.cos(angle)
    return clipped(lab2rgb(lab) * 255)


@pytest.mark.parametrize("degrees", [-150, -40, 90, 170])
def test_a_turn_of_the_hue_is_measured(degrees):
    found = compare(turned(TISSUE, degrees), turned(TISSUE, 0))
    off = (found.hue_shift - degrees + 180) % 360 - 180
    assert abs(off) < 8
    assert found.hue_spread < 25


def test_hues_that_turn_at_random_spread():
    random = np.random.default_rng(0)
    wild = in_each_cell(lambda c: turned(c, random.uniform(-90, 90)))
    assert compare(wild, turned(TISSUE, 0)).hue_spread > 35


def test_too_much_and_too_little_colour_against_a_baseline():
    grey = TISSUE.mean(axis=2, keepdims=True)
    pale, full = clipped(grey + (TISSUE - grey) * 0.3), clipped(grey + (TISSUE - grey) * 0.6)
    assert compare(full, pale).over_coloured > 0.9
    assert compare(full, pale).under_coloured == 0
    assert compare(pale, full).under_coloured > 0.9
    assert compare(pale, full).colour_distance > 2


def test_grey_images_have_no_hue():
    grey = np.repeat(TISSUE.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    found = compare(grey, grey)
    assert (found.hue_shift, found.hue_spread) == (None, None)
    assert (found.over_coloured, found.under_coloured) == (None, None)


def test_bare_images_tell_nothing_of_contrast():
    bare = np.full((256, 256, 3), 240, np.uint8)
    found = compare(bare, bare)
    assert (found.contrast_ratio, found.contrast_spread, found.mean_correlation) == (None,) * 3
    assert found.saturated == 0


def test_clipped_pixels_are_counted():
    assert compare(clipped(TISSUE * 3.0)).saturated > 0.5


def test_cells_that_do_not_pair_are_refused():
    with pytest.raises(ValueError, match="cells"):
        compare_cells([], [])
    with pytest.raises(ValueError, match="cells"):
        compare_cells([CellFacts(1, 1, (1, 1, 1), 0)], [])


def test_histograms_add_up_and_correlate():
    whole = histogram(TISSUE)
    assert whole.shape == (3, 256)
    assert whole.sum() == TISSUE.size
    assert (histogram(TISSUE[:100]) + histogram(TISSUE[100:]) == whole).all()
    assert histogram_correlation(whole, whole) == pytest.approx(1)
    assert histogram_correlation(whole, 3 * whole) == pytest.approx(1)
    moved = histogram(np.roll(TISSUE, 100, axis=1))
    assert histogram_correlation(whole, moved) == pytest.approx(1)
    far = histogram_correlation(whole, histogram(TISSUE // 3))
    near = histogram_correlation(whole, histogram(clipped(TISSUE + 3.0)))
    assert far < 0.3 < near < 1
    wanted = np.mean([np.corrcoef(whole[c], histogram(TISSUE // 3)[c])[0, 1] for c in range(3)])
    assert far == pytest.approx(wanted)
    assert histogram_correlation(whole, np.zeros((3, 256), np.int64)) is None
