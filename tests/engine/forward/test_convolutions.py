"""Faster convolutions against torch's: the same function, but for rounding."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from support import small_resnet
from torch import nn

from uhrtranslate.engine.forward import winograd
from uhrtranslate.engine.forward.convolutions import (
    FastConv2d,
    ThinConv2d,
    WinogradConv2d,
    rewritten,
)
from uhrtranslate.engine.forward.layers import replace_norms

needs_onednn = pytest.mark.skipif(not winograd.available(), reason="torch without oneDNN")


@pytest.fixture(autouse=True, scope="module")
def uncompiled():
    """The transforms line by line; compiled they are tested with the forwards."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(winograd, "_compiled", lambda: winograd.convolve_patches)
        yield


def random_conv(k, c, bias, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(k, c, 3, 3, generator=generator) / (9 * c) ** 0.5
    return weight, torch.randn(k, generator=generator) if bias else None


@needs_onednn
@settings(max_examples=25)
@given(
    n=st.integers(1, 2),
    h=st.integers(1, 19),
    w=st.integers(1, 19),
    c=st.sampled_from([1, 3, 32, 48]),
    k=st.sampled_from([1, 5, 32, 64]),
    bias=st.booleans(),
    last=st.booleans(),
)
def test_minimal_filtering_is_convolution(n, h, w, c, k, bias, last):
    x = torch.randn(n, c, h + 2, w + 2, generator=torch.Generator().manual_seed(h * 20 + w))
    if last:
        x = x.contiguous(memory_format=torch.channels_last)
    weight, shift = random_conv(k, c, bias)
    with torch.inference_mode():
        y = winograd.winograd_conv2d(x, weight, shift)
        reference = F.conv2d(x.double(), weight.double(), None if shift is None else shift.double())
    assert y.shape == reference.shape
    assert (y - reference).abs().max() < 3e-5 * max(1, reference.abs().max())


@needs_onednn
def test_many_parts_are_one_picture(monkeypatch):
    weight, shift = random_conv(32, 32, bias=True)
    x = torch.randn(1, 32, 43, 22)
    whole = winograd.winograd_conv2d(x, weight, shift)
    monkeypatch.setattr(winograd, "PART_BYTES", 1)
    assert torch.equal(winograd.winograd_conv2d(x, weight, shift), whole)


@needs_onednn
def test_weights_may_change():
    weight, _ = random_conv(32, 32, bias=False)
    x = torch.randn(1, 32, 10, 10)
    before = winograd.winograd_conv2d(x, weight, None)
    weight.mul_(2)
    assert torch.allclose(winograd.winograd_conv2d(x, weight, None), 2 * before, atol=1e-5)


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1),
        nn.InstanceNorm2d(32),
        nn.Conv2d(32, 48, 3, padding=(1, 2)),
        nn.Conv2d(48, 32, 3, stride=2),
        nn.Conv2d(32, 32, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(32, 3, 7),
    ).eval()


@needs_onednn
def test_a_rewritten_network_is_the_same_function_of_the_same_weights():
    original = network()
    switch = replace_norms(original)
    twin = rewritten(original, [switch])
    kinds = [type(part) for part in twin if isinstance(part, FastConv2d)]
    assert kinds == [WinogradConv2d, ThinConv2d]
    assert not any(isinstance(part, FastConv2d) for part in original.modules())
    assert {id(p) for p in twin.parameters()} == {id(p) for p in original.parameters()}
    assert replace_norms(twin) is switch
    x = torch.randn(2, 3, 33, 46)
    with torch.inference_mode():
        assert torch.allclose(twin(x), original(x), atol=1e-5)


def test_a_network_without_them_is_left_alone():
    small = small_resnet(ngf=4, n_blocks=1)
    assert rewritten(small) is small


@needs_onednn
def test_reduced_precision_goes_the_usual_way(monkeypatch):
    original = network()
    twin = rewritten(original)
    x = torch.randn(1, 3, 32, 32)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        expected = original(x)
        monkeypatch.setattr("uhrtranslate.engine.forward.convolutions.winograd_conv2d", None)
        assert torch.equal(twin(x), expected)
