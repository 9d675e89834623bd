"""Shifts that are planted are found, and cost nothing."""

import math

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import peak_signal_noise_ratio

from uhrtranslate.metrics.paired import aligned_scores, best_shift
from uhrtranslate.metrics.planes import grey

TISSUE = skimage.data.immunohistochemistry()


def cut(x, y, side=96):
    return TISSUE[y : y + side, x : x + side]


@given(st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=20)
def test_a_planted_shift_is_found_under_noise_and_another_stain(dx, dy, seed):
    truth = cut(200, 150)
    noise = np.random.default_rng(seed).normal(0, 8, truth.shape)
    output = np.clip(cut(200 - dx, 150 - dy) * 0.9 + 10 + noise, 0, 255).astype(np.uint8)
    assert best_shift(output, truth, 5) == (dx, dy)


def test_all_shifts_are_compared_by_their_plain_error():
    random = np.random.default_rng(1)
    a, b = random.integers(0, 256, (2, 20, 24, 3), np.uint8)
    reach, errors = 3, {}
    x, y = grey(a)[..., 0] / 1000, grey(b)[..., 0] / 1000
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            moved = x[reach + dy : 20 - reach + dy, reach + dx : 24 - reach + dx]
            errors[dx, dy] = ((moved - y[reach:-reach, reach:-reach]) ** 2).mean()
    assert best_shift(a, b, reach) == min(errors, key=errors.get)


def test_a_moved_output_gets_the_figures_of_one_that_is_not():
    found = aligned_scores(cut(97, 104), cut(100, 100), 6)
    assert (found.dx, found.dy) == (3, -4)
    assert found.psnr == math.inf
    assert found.ssim == pytest.approx(1)


def test_a_shift_beyond_the_reach_stays_an_error():
    assert aligned_scores(cut(80, 100), cut(100, 100), 4).psnr < 25


def test_without_a_reach_figures_are_the_plain_ones():
    output, truth = cut(97, 104), cut(100, 100)
    found = aligned_scores(output, truth, 0)
    assert (found.dx, found.dy) == (0, 0)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(output, truth, data_range=255))
    assert found.ssim < 0.5


def test_flat_patches_are_not_moved():
    flat = np.full((40, 40, 3), 200, np.uint8)
    assert best_shift(flat, flat, 4) == (0, 0)
    assert best_shift(flat - 50, flat, 4) == (0, 0)


@pytest.mark.parametrize(("side", "reach"), [(20, 5), (40, -1)])
def test_patches_too_small_for_the_reach_are_refused(side, reach):
    with pytest.raises(ValueError, match="leaves less"):
        aligned_scores(cut(0, 0, side), cut(0, 0, side), reach)
