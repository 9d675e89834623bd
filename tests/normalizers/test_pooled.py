"""Pooled statistics are those of all pixels taken together, weighted by distance and tissue."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from uhrtranslate.errors import OptionError
from uhrtranslate.normalizers import DN, Pool, Pooled, StatisticsTable, make_field
from uhrtranslate.options import make_options


def cells_of(image, side):
    """Mean and std of the cells of [h, w, c], [r, q, c] each."""
    h, w, c = image.shape
    cells = image.reshape(h // side, side, w // side, side, c)
    return (torch.tensor(part).float() for part in (cells.mean((1, 3)), cells.std((1, 3))))


def entries(normalizer, mean, std, shares=None, areas=1.0, fallback=None):
    """All entries of a table, [r, q, c] each."""
    rows, cols = mean.shape[:2]
    shares = torch.ones(rows, cols) if shares is None else shares
    shares = shares.double()
    weights = normalizer.counts(shares) * (shares >= 0) * areas
    tissue = shares.clamp(min=0)
    found = [
        normalizer.pool(torch.arange(rows).double() - row, weights, tissue)(mean, std, fallback)
        for row in range(1 if normalizer.uniform else rows)
    ]
    return (torch.stack(part) for part in zip(*found, strict=True))


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 99), st.floats(-1e3, 1e3))
@settings(deadline=None, max_examples=30)
def test_an_infinite_bandwidth_gives_the_statistics_of_the_whole_map(rows, cols, seed, offset):
    random = np.random.default_rng(seed)
    levels = random.normal(0, 2, (rows, 1, cols, 1, 3)) * np.ones((1, 8, 1, 8, 1))
    image = levels.reshape(8 * rows, 8 * cols, 3) + random.normal(
        offset, 0.5, (8 * rows, 8 * cols, 3)
    )
    mean, std = entries(Pooled(bandwidth=math.inf), *cells_of(image, 8))
    assert mean.shape == (1, 1, 3)
    assert np.allclose(mean[0, 0], image.mean((0, 1)), rtol=1e-5, atol=1e-5)
    assert np.allclose(std[0, 0], image.std((0, 1)), rtol=1e-3)


def test_a_wide_bandwidth_tends_to_it():
    image = np.random.default_rng(0).normal(0, 1, (32, 40, 2)) + np.arange(40)[:, None] / 8
    mean, std = entries(Pooled(bandwidth=500), *cells_of(image, 8))
    assert np.allclose(mean, image.mean((0, 1)), atol=1e-3)
    assert np.allclose(std, image.std((0, 1)), atol=1e-3)


def test_a_narrow_bandwidth_tends_to_the_cells_own():
    mean, std = torch.randn(4, 5, 3), torch.rand(4, 5, 3) + 0.1
    found = entries(Pooled(bandwidth=0.1), mean, std)
    for ours, own in zip(found, (mean, std), strict=True):
        assert torch.allclose(ours, own, atol=1e-6)


def test_entries_are_weighted_moments_of_pixels():
    """The law of total variance against all pixels, each with its cell's weight."""
    random = np.random.default_rng(1)
    image = random.normal(0, 1, (40, 48, 2)) * random.random((1, 48, 1)) + random.random((40, 1, 2))
    shares = random.random((5, 6))
    mean, std = entries(Pooled(bandwidth=1.5), *cells_of(image, 8), torch.tensor(shares))
    pixels = image.reshape(5, 8, 6, 8, 2).transpose(0, 2, 1, 3, 4).reshape(30, 64, 2)
    for row, col in ((0, 0), (2, 3), (4, 5)):
        y, x = np.mgrid[:5, :6]
        height = np.exp(-((y - row) ** 2 + (x - col) ** 2) / 2 / 1.5**2)
        height[(np.abs(y - row) > 4.5) | (np.abs(x - col) > 4.5)] = 0
        weight = np.repeat((height * (shares + 0.01)).ravel(), 64)
        flat = pixels.reshape(-1, 2)
        average = np.average(flat, 0, weight)
        spread = np.sqrt(np.average((flat - average) ** 2, 0, weight))
        assert np.allclose(mean[row, col], average, atol=1e-5)
        assert np.allclose(std[row, col], spread, atol=1e-5)


def test_large_means_do_not_cancel_out():
    mean = 1e4 + torch.randn(3, 3, 2)
    std = torch.full((3, 3, 2), 1e-2)
    for bandwidth in (0.1, 2, math.inf):
        _, found = entries(Pooled(bandwidth=bandwidth), mean, std)
        assert (found >= 0.999e-2).all()
        assert torch.isfinite(found).all()


def test_glass_counts_little_and_missing_cells_not_at_all():
    mean = torch.tensor([[0.0, 1.0, 5.0]])[..., None]
    std = torch.ones(1, 3, 1)
    shares = torch.tensor([[1.0, 0.0, -1.0]])  # the last one is missing
    found, _ = entries(Pooled(bandwidth=2.0), mean, std, shares, (shares >= 0).double())
    assert (found > 0).all()
    assert (found < 0.02).all()


def test_where_there_is_no_tissue_the_fallback_takes_over():
    mean, std = torch.zeros(1, 30, 1), torch.ones(1, 30, 1)
    shares = torch.full((1, 30), -1.0)
    shares[0, 0] = 1
    keep = (shares >= 0).double()
    fallback = (torch.tensor([3.0]), torch.tensor([2.0]))
    with pytest.raises(ValueError, match="no fallback"):
        list(entries(Pooled(bandwidth=2.0), mean, std, shares, keep))
    found, spread = entries(Pooled(bandwidth=2.0), mean, std, shares, keep, fallback)
    found, spread = found.flatten(), spread.flatten()
    assert found[:3].abs().max() == 0
    assert torch.equal(found[7:], torch.full((23,), 3.0))
    assert torch.allclose(spread[7:], torch.tensor(2.0))
    assert (found.diff() >= 0).all()


def test_the_field_is_continuous():
    mean, std = torch.randn(6, 6, 3), torch.rand(6, 6, 3) + 0.2
    normalizer = Pooled(bandwidth=1.0)
    table = StatisticsTable(*entries(normalizer, mean, std), torch.ones(6, 6, dtype=torch.bool))
    step = 1e-3
    y = torch.arange(0, 6, step, dtype=torch.float64)
    rows, cols = normalizer.weights(y, 6).float(), normalizer.weights(y[:1] + 2.7, 6).float()
    field = make_field(normalizer, table, rows, cols)
    for values in (field.mean_map(), field.rstd_map()):
        assert values.diff(dim=1).abs().max() < 5 * step
        assert values.std() > 0.05, "a flat field would prove nothing"


def test_contrast_between_cells_is_part_of_the_variance():
    mean = torch.tensor([[-1.0, 1.0]])[..., None]
    std = torch.full((1, 2, 1), 0.1)
    _, pooled = entries(Pooled(bandwidth=50.0), mean, std)
    assert np.allclose(pooled, np.sqrt(1.01), atol=1e-3)


@pytest.mark.parametrize(
    ("text", "shown", "bandwidth"),
    [("auto", "auto", 2.0), (3, "3", 3.0), ("0.5", "0.5", 0.5), ("INF", "inf", math.inf)],
)
def test_bandwidths_are_read(text, shown, bandwidth):
    options = make_options({"norm": "pooled", "bandwidth": text})
    assert options.bandwidth == shown
    assert Pooled.chosen(options).bandwidth == bandwidth


def test_micrometres_need_the_images_mpp():
    normalizer = Pooled.chosen(make_options({"bandwidth": "512.0 um"}))
    assert normalizer.at(256.0, "a.svs") == Pooled(bandwidth=2.0)
    with pytest.raises(OptionError, match=r"a.svs: does not say its mpp.*512um"):
        normalizer.at(None, "a.svs")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "two", "infum", "0um", "", True, None])
def test_wrong_bandwidths_are_refused(text):
    with pytest.raises(OptionError, match="number of cells"):
        make_options({"bandwidth": text})


def test_a_pool_of_one_cell_is_that_cell():
    one = torch.ones(1, dtype=torch.float64)
    pool = Pool(one, one[None], one[None], one * 0)
    mean, std = pool(torch.tensor([[[2.0]]]), torch.tensor([[[0.5]]]))
    assert (mean.item(), std.item()) == (2.0, 0.5)
    assert DN().look_ahead(9) == 1
    assert Pooled(bandwidth=2.0).look_ahead(9) == 7
    assert Pooled(bandwidth=math.inf).look_ahead(9) == 9
