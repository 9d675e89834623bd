"""Streamed figures are those of the whole image, and those of scikit-image."""

import math

import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.filters import sobel
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from uhrtranslate.metrics.planes import colour, grey
from uhrtranslate.metrics.structure import (
    GRADIENT_HALO,
    MS_SSIM_HALO,
    SSIM_HALO,
    gradient_sums,
    ms_ssim_sums,
    pair_sums,
    ssim_sums,
)
from uhrtranslate.metrics.sums import GradientSums, MapSums, MultiScaleSums, PairSums

WINDOW = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}


@pytest.fixture(scope="module")
def pair():
    a = skimage.data.immunohistochemistry()[:431, :507]
    noise = np.random.default_rng(0).normal(0, 15, a.shape)
    return a, np.clip(a * 0.8 + 20 + noise, 0, 255).astype(np.uint8)


def levels(pixels):
    return pixels @ np.array([0.299, 0.587, 0.114])


def streamed(sums, a, b, start, block, halo):
    """Sums over blocks with a halo of true neighbours."""
    height, width = a.shape[:2]
    total = start
    for y in range(0, height, block):
        for x in range(0, width, block):
            right, bottom = min(x + block, width), min(y + block, height)
            left_halo, top_halo = min(halo, x), min(halo, y)
            right_halo, bottom_halo = min(halo, width - right), min(halo, height - bottom)
            where = (
                slice(y - top_halo, bottom + bottom_halo),
                slice(x - left_halo, right + right_halo),
            )
            total = total + sums(a[where], b[where], (left_halo, top_halo, right_halo, bottom_halo))
    return total


@pytest.mark.parametrize("planes", [grey, colour])
def test_psnr_and_pcc_are_those_of_scikit_image_and_numpy(pair, planes):
    a, b = pair
    found = pair_sums(a, b, planes=planes)
    x, y = (levels(p) if planes is grey else p.astype(float) for p in pair)
    assert found.psnr == pytest.approx(peak_signal_noise_ratio(x, y, data_range=255), rel=1e-12)
    assert found.pcc == pytest.approx(np.corrcoef(x.ravel(), y.ravel())[0, 1], rel=1e-10)


@pytest.mark.parametrize("block", [64, 97, 431])
def test_sums_of_pairs_are_exact_however_the_image_is_cut(pair, block):
    assert streamed(pair_sums, *pair, PairSums(), block, 0) == pair_sums(*pair)
    assert streamed(pair_sums, *pair, PairSums(), block, 3) == pair_sums(*pair)


def test_ssim_is_that_of_scikit_image(pair):
    x, y = levels(pair[0]), levels(pair[1])
    mean, full = structural_similarity(x, y, data_range=255, full=True, **WINDOW)
    assert ssim_sums(*pair).mean == pytest.approx(mean, abs=1e-12)
    part = ssim_sums(*(image[50:90, 60:120] for image in pair))
    assert part.mean == pytest.approx(full[55:85, 65:115].mean(), abs=1e-9)
    wanted = structural_similarity(*pair, data_range=255, channel_axis=2, **WINDOW)
    assert ssim_sums(*pair, planes=colour).mean == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("block", [100, 143, 160])
def test_ssim_in_blocks_is_ssim_of_the_whole(pair, block):
    found = streamed(ssim_sums, *pair, MapSums(), block, SSIM_HALO)
    assert found.count == ssim_sums(*pair).count
    assert found.mean == pytest.approx(ssim_sums(*pair).mean, abs=1e-12)


def test_blocks_without_a_halo_are_another_figure(pair):
    found = streamed(ssim_sums, *pair, MapSums(), 100, 0)
    assert found.count < ssim_sums(*pair).count


def ms_ssim_by_scikit_image(x, y):
    """Contrast and structure alone are SSIM with a huge first constant."""
    product = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        luminance = {} if scale == 4 else {"K1": 1e6}
        product *= structural_similarity(x, y, data_range=255, **WINDOW, **luminance) ** weight
        x, y = (
            p[: len(p) // 2 * 2, : p.shape[1] // 2 * 2]
            .reshape(len(p) // 2, 2, p.shape[1] // 2, 2)
            .mean((1, 3))
            for p in (x, y)
        )
    return product


def test_ms_ssim_is_that_made_of_scikit_image_s_parts(pair):
    wanted = ms_ssim_by_scikit_image(levels(pair[0]), levels(pair[1]))
    assert ms_ssim_sums(*pair).ms_ssim == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("block", [96, 128, 176, 416])
def test_ms_ssim_in_blocks_is_ms_ssim_of_the_whole(pair, block):
    whole = ms_ssim_sums(*pair)
    found = streamed(ms_ssim_sums, *pair, MultiScaleSums(), block, MS_SSIM_HALO)
    assert [s.count for s in found.scales] == [s.count for s in whole.scales]
    assert found.ms_ssim == pytest.approx(whole.ms_ssim, abs=1e-12)


def test_small_images_have_no_ms_ssim(pair):
    a, b = (p[:175, :300] for p in pair)
    assert ms_ssim_sums(a, b).ms_ssim is None
    assert ssim_sums(a[:10], b[:10]).mean is None
    assert ms_ssim_sums(a[:3, :3], b[:3, :3]).ms_ssim is None


def test_gradients_are_sobel_s(pair):
    x, y = (sobel(levels(p))[1:-1, 1:-1] for p in pair)
    found = gradient_sums(*pair)
    assert found.correlation == pytest.approx(np.corrcoef(x.ravel(), y.ravel())[0, 1], abs=1e-6)
    # scikit-image takes the root of the mean of both squares, we that of their sum.
    g, h = x * 2**0.5, y * 2**0.5
    similarity = (2 * g * h + 170) / (g**2 + h**2 + 170)
    assert found.similarity == pytest.approx(similarity.mean(), abs=1e-9)


@pytest.mark.parametrize("block", [100, 430])
def test_gradients_in_blocks_are_those_of_the_whole(pair, block):
    found = streamed(gradient_sums, *pair, GradientSums(), block, GRADIENT_HALO)
    whole = gradient_sums(*pair)
    assert found.magnitudes == whole.magnitudes
    assert found.similarity == pytest.approx(whole.similarity, abs=1e-12)


def test_another_contrast_keeps_the_correlation_and_lowers_the_similarity(pair):
    faded = (pair[0] // 4 * 2 + 60).astype(np.uint8)
    found = gradient_sums(pair[0], faded)
    assert found.correlation > 0.97
    assert found.similarity < 0.93


def test_equal_images_get_the_best_figures(pair):
    a = pair[0]
    assert pair_sums(a, a).psnr == math.inf
    assert pair_sums(a, a).mse == 0
    assert pair_sums(a, a).pcc == pytest.approx(1)
    assert ssim_sums(a, a).mean == pytest.approx(1)
    assert ms_ssim_sums(a, a).ms_ssim == pytest.approx(1)
    assert gradient_sums(a, a).similarity == pytest.approx(1)


def test_flat_images_have_no_correlation():
    flat = np.full((20, 20, 3), 7, np.uint8)
    noise = np.random.default_rng(0).integers(0, 256, (20, 20, 3), np.uint8)
    assert pair_sums(flat, noise).pcc is None
    assert gradient_sums(flat, noise).correlation is None
    assert PairSums().psnr is None
    assert MapSums().mean is None


def test_inverted_grey_has_a_correlation_of_minus_one(pair):
    assert pair_sums(pair[0], 255 - pair[0]).pcc == pytest.approx(-1)


@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.integers(0, 12))
@settings(max_examples=50)
def test_sums_add_up_and_do_not_mind_the_order(seed, height, width, cut):
    random = np.random.default_rng(seed)
    a, b = random.integers(0, 256, (2, height, width, 3), np.uint8)
    cut = min(cut, height - 1)
    whole = pair_sums(a, b)
    assert whole.mse == pytest.approx(((levels(a) - levels(b)) ** 2).mean(), abs=1e-9)
    assert pair_sums(b, a).psnr == whole.psnr
    if cut:
        assert pair_sums(a[:cut], b[:cut]) + pair_sums(a[cut:], b[cut:]) == whole


@pytest.mark.parametrize(
    "wrong",
    [
        lambda a, b: pair_sums(a, b[1:]),
        lambda a, b: pair_sums(a[..., 0], b[..., 0]),
        lambda a, b: pair_sums(a.astype(float), b.astype(float)),
        lambda a, b: pair_sums(a[:0], b[:0]),
        lambda a, b: pair_sums(a, b, (-1, 0, 0, 0)),
        lambda a, b: ms_ssim_sums(a, b, (81, 0, 0, 0)),
        lambda a, b: ms_ssim_sums(a, b, (0, 0, 80, 0)),
    ],
)
def test_pairs_that_do_not_fit_are_refused(pair, wrong):
    with pytest.raises(ValueError, match="needed"):
        wrong(*pair)
