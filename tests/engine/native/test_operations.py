"""Kernels against torch's: the same functions, but for rounding."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from uhrtranslate.engine.native import build, operations
from uhrtranslate.engine.native.layers import places
from uhrtranslate.engine.native.operations import Finish
from uhrtranslate.normalizers import DN, KIN, Pooled, StatisticsTable, make_field

pytestmark = pytest.mark.skipif(not build.available(), reason="no C++ compiler")
MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "replicate"}


def features(n, c, h, w, dtype=torch.float32, seed=0):
    x = torch.randn(n, c, h, w, generator=torch.Generator().manual_seed(seed))
    return operations.channels_last((x * 3 + torch.arange(c)[:, None, None]).to(dtype))


@settings(max_examples=25)
@given(
    n=st.integers(1, 2),
    h=st.integers(3, 19),
    w=st.integers(3, 19),
    c=st.sampled_from([1, 3, 32, 48]),
    k=st.sampled_from([1, 5, 32, 64]),
    bias=st.booleans(),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    mode=st.sampled_from(sorted(MODES)),
)
def test_minimal_filtering_is_convolution(n, h, w, c, k, bias, pads, mode):
    random = torch.Generator().manual_seed(h * 20 + w)
    x = torch.randn(n, c, h, w, generator=random)
    weight = torch.randn(k, c, 3, 3, generator=random) / (9 * c) ** 0.5
    shift = torch.randn(k, generator=random) if bias else None
    with torch.inference_mode():
        y = operations.convolve(x, weight, shift, *places(x.shape[-2:], pads, mode))
        around = F.pad(x.double(), pads, MODES[mode])
        expected = F.conv2d(around, weight.double(), None if shift is None else shift.double())
    assert y.shape == expected.shape
    assert (y - expected).abs().max() < 3e-5 * max(1, expected.abs().max())


@pytest.mark.parametrize("dtype", operations.DTYPES)
@pytest.mark.parametrize(("size", "c"), [((2, 2), 1), ((9, 6), 16), ((14, 31), 37)])
def test_halving_is_a_padded_convolution_of_each_channel(size, c, dtype):
    x, weight = features(2, c, *size, dtype), torch.randn(c, 1, 3, 3)
    y = operations.halve(x, weight, *places(size, (1,) * 4, "reflect"))
    around = F.pad(x.double(), (1,) * 4, "reflect")
    expected = F.conv2d(around, weight.double(), stride=2, groups=c)
    assert (y.shape, y.dtype) == (expected.shape, dtype)
    most = 2**-8 if dtype == torch.bfloat16 else 1e-6
    assert (y - expected).abs().max() <= most * expected.abs().max()


@pytest.mark.parametrize("dtype", operations.DTYPES)
@pytest.mark.parametrize("mode", sorted(MODES))
def test_padding_is_torch_s(mode, dtype):
    x, pads = features(2, 5, 7, 9, dtype), (3, 0, 1, 6)
    y = operations.gather(x, *places(x.shape[-2:], pads, mode))
    assert torch.equal(y, F.pad(x, pads, MODES[mode]))


@pytest.mark.parametrize("dtype", operations.DTYPES)
@pytest.mark.parametrize("unbiased", [False, True])
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (50, 61)])
@pytest.mark.parametrize("c", [1, 16, 70])
def test_moments_are_exact(c, size, unbiased, dtype):
    x = features(2, c, *size, dtype) + 1000 * torch.ones(1, dtype=dtype)
    x = operations.channels_last(x)
    mean, variance = operations.mean_and_variance(x, unbiased)
    correction = int(unbiased and x[0, 0].numel() > 1)
    var, centre = torch.var_mean(x.double(), (2, 3), correction=correction)
    assert torch.allclose(mean.double(), centre, rtol=1e-6)
    assert torch.allclose(variance.double(), var, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", operations.DTYPES)
@pytest.mark.parametrize("c", [3, 16, 37])
def test_what_follows_a_norm_is_done(c, dtype):
    x, added = features(2, c, 6, 11, dtype), features(2, c, 6, 11, dtype, seed=1)
    weight, bias = torch.randn(c), torch.randn(c)
    mean, std = torch.randn(2, c), torch.rand(2, c) + 0.5
    wide = (x.double() - mean.double()[..., None, None]) / std.double()[..., None, None]
    wide = wide * weight[:, None, None] + bias[:, None, None]
    expected = F.leaky_relu(wide, 0.2) + added.double()
    out = torch.empty_like(x)
    y = operations.normalize(x, mean, std, Finish(weight, bias, 0.2, added), out)
    rtol = 1e-5 if dtype == torch.float32 else 8e-3
    assert torch.allclose(y.double(), expected, rtol=rtol, atol=1e-4)
    in_place = operations.normalize(x, mean, std, Finish(weight, bias, 0.2, added), x)
    assert torch.equal(in_place, y)
    assert in_place.data_ptr() == x.data_ptr()


def test_reduced_values_are_rounded_as_torch_does():
    x = torch.randn(1, 37, 8, 9)
    x[0, 0, 0, :3] = torch.tensor([float("nan"), float("inf"), -0.0])
    half = operations.channels_last(x.bfloat16())
    # Division by a number that is no power of two, so that results need rounding.
    y = operations.normalize(
        half, torch.zeros(1, 37), torch.full((1, 37), 3.0), Finish(), torch.empty_like(half)
    )
    expected = (half.float() / 3).bfloat16()
    assert torch.equal(y.isnan(), expected.isnan())
    assert torch.equal(y.nan_to_num(), expected.nan_to_num())


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize("normalizer", [DN(), KIN(kernel=5), Pooled()], ids=repr)
def test_fields_are_applied_as_they_say(normalizer, missing):
    torch.manual_seed(0)
    c, rows, cols, h, w = 37, 3, 4, 30, 41
    valid = torch.ones(rows, cols, dtype=torch.bool)
    if missing:
        valid[1:, :2] = False
    table = StatisticsTable(
        torch.randn(rows, cols, c), torch.rand(rows, cols, c) + 0.5, valid,
        torch.randn(c), torch.rand(c) + 0.5,
    )  # fmt: skip
    place = (torch.arange(h, dtype=torch.float64) / 10, torch.arange(w, dtype=torch.float64) / 10)
    down, right = (
        normalizer.weights(at, many).float() for at, many in zip(place, (rows, cols), strict=True)
    )
    field = make_field(normalizer, table, down, right)
    assert (field.gaps is not None) == missing
    x = features(2, c, h, w)
    y = operations.apply_fields(x, lambda sample: field, Finish(slope=0), torch.empty_like(x))
    expected = torch.stack([field.apply(sample) for sample in x]).relu()
    assert torch.allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_rows_of_a_filter_add_up():
    x = features(2, 6, 9, 7)
    bias = torch.randn(2)
    expected = sum(x[:, 2 * r : 2 * r + 2, r : r + 7] for r in range(3)) + bias[:, None, None]
    assert torch.allclose(operations.sum_rows(x, bias, 3), expected, atol=1e-5)


def test_numbers_do_not_depend_on_threads():
    x, weight = features(1, 32, 50, 61), torch.randn(40, 32, 3, 3)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            mean, variance = operations.mean_and_variance(x, False)
            y = operations.normalize(x, mean, variance, Finish(), torch.empty_like(x))
            z = operations.convolve(x, weight, None, *places((50, 61), (1,) * 4, "zeros"))
            half = operations.halve(x, weight[:32, :1], *places((50, 61), (1,) * 4, "reflect"))
            parts = mean, variance, y, z, half
            found.append(np.concatenate([part.numpy().ravel() for part in parts]))
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
