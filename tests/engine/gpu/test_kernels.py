"""The kernels against their formulas: on a GPU, or by Triton's interpreter if asked for."""

import os
from importlib.util import find_spec

import gpu_formulas
import pytest
import torch

from uhrtranslate.engine.gpu import operations
from uhrtranslate.engine.native.operations import Finish
from uhrtranslate.normalizers import Field
from uhrtranslate.normalizers.base import Gaps

GPU = torch.cuda.is_available()
pytestmark = [
    pytest.mark.skipif(
        find_spec("triton") is None or not (GPU or "TRITON_INTERPRET" in os.environ),
        reason="no Triton, or neither GPU nor TRITON_INTERPRET=1",
    ),
    *([pytest.mark.usefixtures("with_gpu")] if GPU else []),
]

DEVICE = "cuda" if GPU else "cpu"
SIZES = [(2, 5, 7, 9), (1, 64, 40, 33), (2, 96, 5, 130)]
KINDS = [torch.float32, torch.bfloat16, torch.float16]
PADS = [
    ((0, 0, 0, 0), "zeros"),
    ((1, 2, 3, 0), "zeros"),
    ((3, 3, 3, 3), "reflect"),
    ((1, 1, 2, 2), "replicate"),
]


def features(size, kind):
    torch.manual_seed(0)
    return operations.channels_last((torch.randn(size, device=DEVICE) * 3 + 50).to(kind))


def finish(x, pads=(0, 0, 0, 0), mode="zeros"):
    n, c, h, w = x.shape
    # What a residual block adds may be the inside of a padded map.
    wide = torch.randn(n, h + 2, w + 2, c, device=DEVICE).to(x.dtype)
    added = wide.permute(0, 3, 1, 2)[..., 1:-1, 1:-1]
    weight, bias, shift = (torch.randn(c, device=DEVICE) for _ in range(3))
    return Finish(weight, bias, 0.2, added, shift, pads, mode)


def assert_near(found, expected):
    off = (found.float() - expected.float()).abs() / (1 + expected.float().abs())
    assert (
        off.max() < {torch.float32: 1e-5, torch.bfloat16: 9e-3, torch.float16: 1.2e-3}[found.dtype]
    )


def padded(x, how):
    left, right, above, below = how.pads
    out = operations.empty(x, x.shape[2] + above + below, x.shape[3] + left + right)
    return out.fill_(torch.nan)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("size", [*SIZES, (1, 3, 65, 63)], ids=str)
def test_moments(size, kind):
    x = features(size, kind)
    for unbiased in (False, True):
        for a, b in zip(
            operations.mean_and_variance(x, unbiased),
            gpu_formulas.mean_and_variance(x, unbiased),
            strict=True,
        ):
            assert torch.allclose(a, b, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("pads", "mode"), PADS)
def test_one_mean_and_std(size, kind, pads, mode):
    x = features(size, kind)
    how = finish(x, pads, mode)
    mean, std = torch.randn(2, *size[:2], device=DEVICE)
    std = std.abs() + 0.5
    expected = gpu_formulas.normalize(x, mean, std, how, padded(x, how))
    assert_near(operations.normalize(x, mean, std, how, padded(x, how)), expected)
    if not any(pads):
        plain = Finish()
        expected = gpu_formulas.normalize(x, mean, std, plain, padded(x, plain))
        assert_near(operations.normalize(x, mean, std, plain, x), expected)  # in place


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("pads", "mode"), PADS)
@pytest.mark.parametrize("inverse", [False, True], ids=["std", "rstd"])
@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "gaps"])
def test_fields(size, kind, pads, mode, inverse, gaps):
    x = features(size, kind)
    how, (n, c, h, w), q = finish(x, pads, mode), size, 4

    def drawn(*shape):
        return torch.rand(shape, device=DEVICE) + 0.5

    def field():
        # Which columns have a weight does not follow from the place, but mostly grows.
        place = torch.arange(w, device=DEVICE)[:, None] * q / w - torch.arange(q, device=DEVICE)
        cols = drawn(w, q) * ((place - torch.rand(w, 1, device=DEVICE)).abs() < 1)
        given = Gaps(drawn(c), drawn(c), drawn(h, w), drawn(h, w)) if gaps else None
        return Field(drawn(c, h, q), drawn(c, h, q), cols + 0.1 * (place < 1), inverse, given)

    fields = [field() for _ in range(n)]
    expected = gpu_formulas.apply_fields(x, fields.__getitem__, how, padded(x, how))
    found = operations.apply_fields(x, fields.__getitem__, how, padded(x, how))
    assert torch.isfinite(found).all()
    assert_near(found, expected)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_sums_of_rows(kind):
    x = features((2, 24, 12, 300), kind)
    for bias in (None, torch.randn(3, device=DEVICE)):
        found = operations.sum_rows(x, bias, 3, 7)
        assert torch.allclose(found, gpu_formulas.sum_rows(x, bias, 3, 7), rtol=1e-5)
