"""Doubling and convolution in one, against torch's layers one after the other."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from uhrtranslate.engine.native import build
from uhrtranslate.engine.native.doubling import DoubledConv2d, doubles, follows
from uhrtranslate.engine.native.operations import channels_last
from uhrtranslate.models.resnet import BlurUp

pytestmark = pytest.mark.skipif(not build.available(), reason="no C++ compiler")


def layers(c, k, blur, biases, seed=0):
    torch.manual_seed(seed)
    up = nn.ConvTranspose2d(c, c, 4, stride=2, padding=3, bias=biases[0])
    conv = nn.Conv2d(c, k, 3, padding=1, bias=biases[1])
    assert doubles(up)
    assert follows(conv)
    if blur:
        return BlurUp(c), conv, BlurUp(c)
    return nn.Sequential(nn.ReplicationPad2d(1), up), conv, up


@settings(max_examples=25)
@given(
    n=st.integers(1, 2),
    h=st.integers(1, 9),
    w=st.integers(1, 9),
    c=st.sampled_from([3, 32, 40]),
    k=st.sampled_from([1, 8, 20]),
    blur=st.booleans(),
    biases=st.tuples(st.booleans(), st.booleans()),
)
def test_one_layer_is_both(n, h, w, c, k, blur, biases):
    first, conv, up = layers(c, k, blur, biases, seed=h * 10 + w)
    x = channels_last(torch.randn(n, c, h, w))
    both = copy.deepcopy(nn.Sequential(first, conv)).double()
    with torch.inference_mode():
        expected, y = both(x.double()), DoubledConv2d(up, conv)(x)
    assert y.shape == expected.shape
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert (y - expected).abs().max() < 3e-5 * max(1, expected.abs().max())


def test_reduced_precision_is_as_near():
    first, conv, up = layers(48, 16, False, (True, True))
    x = channels_last(torch.randn(1, 48, 12, 17))
    with torch.inference_mode():
        exact = conv(first(x))
        with torch.autocast("cpu", torch.bfloat16):
            found = conv(first(x)), DoubledConv2d(up, conv)(x)
    off = [float((y - exact).abs().mean()) for y in found]
    assert 0 < off[1] < 1.1 * off[0]


def test_weights_may_change():
    first, conv, up = layers(32, 8, False, (True, True))
    x, both = channels_last(torch.randn(1, 32, 5, 6)), DoubledConv2d(up, conv)
    with torch.no_grad():
        both(x)
        up.weight.mul_(2)
        assert torch.allclose(both(x), conv(first(x)), atol=1e-5)
