"""Attention within windows against plain NumPy, and what the Swin-Unet promises."""

import numpy as np
import pytest
import torch

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models import load_generator
from uhrtranslate.models.swin_unet import SwinUnet
from uhrtranslate.models.windows import SwinBlock, cut, merged

SMALL = {
    "width": 4,
    "depths": (2, 1, 1, 2),
    "up_depths": (1, 1, 1),
    "heads": (1, 2, 2, 4),
    "window": 4,
}


def small(seed=0, **more):
    """A small network with weights so large that all of it shows."""
    torch.manual_seed(seed)
    network = SwinUnet(**{**SMALL, **more})
    for layer in network.modules():
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight, 0, 1 / layer.in_features**0.5)
    return network.eval()


def plain_attention(block, x):
    """What `SwinBlock` adds to [h, w, c] by attention: every place asks those of its window."""
    h, w, c = x.shape
    attention = block.attention
    side, heads = attention.window, attention.heads
    shift = [block.shift if length > side else 0 for length in (h, w)]
    window = [(y - shift[0]) // side * 99 + (x - shift[1]) // side for y, x in np.ndindex(h, w)]
    places = list(np.ndindex(h, w))
    q, k, v = np.split(
        x.reshape(-1, c) @ attention.qkv.weight.numpy().T + attention.qkv.bias.numpy(), 3, axis=1
    )
    made = np.zeros((h * w, c))
    d = c // heads
    for head in range(heads):
        part = slice(head * d, (head + 1) * d)
        for i, (y0, x0) in enumerate(places):
            others = [j for j in range(h * w) if window[j] == window[i]]
            logits = []
            for j in others:
                dy, dx = y0 - places[j][0] + side - 1, x0 - places[j][1] + side - 1
                bias = attention.relative[head, dy * (2 * side - 1) + dx].item()
                logits.append(q[i, part] @ k[j, part] / d**0.5 + bias)
            weights = np.exp(np.array(logits) - max(logits))
            made[i, part] = weights / weights.sum() @ v[others][:, part]
    out = made @ attention.out.weight.numpy().T + attention.out.bias.numpy()
    return out.reshape(h, w, c)


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("size", [(8, 8), (12, 4), (6, 9), (3, 3), (4, 10)])
@torch.no_grad()
def test_attention_is_that_of_each_window(size, shifted):
    """Also where windows do not fit into the features, and where there is but one."""
    torch.manual_seed(1)
    block = SwinBlock(6, 2, 4, shifted, 2, 0.0).eval()
    torch.nn.init.normal_(block.attention.relative)
    x = torch.randn(2, *size, 6)
    found = block._attend(x)
    for one, expected in zip(found, x, strict=True):
        assert np.allclose(one.numpy(), plain_attention(block, expected.numpy()), atol=1e-5)


def test_windows_are_cut_and_put_together_again():
    x = torch.arange(2 * 8 * 12 * 3.0).view(2, 8, 12, 3)
    windows = cut(x, 4)
    assert windows.shape == (2 * 2 * 3, 16, 3)
    assert torch.equal(windows[1].view(4, 4, 3), x[0, :4, 4:8])
    assert torch.equal(merged(windows, 2, 8, 12), x)


@torch.no_grad()
def test_three_pictures_of_full_size_come_out_and_the_last_is_the_result():
    network = small()
    x = torch.rand(2, 1, 80, 48) * 2 - 1
    pictures = network.pictures(x)
    assert [p.shape for p in pictures] == [(2, 3, 80, 48)] * 3
    assert all(p.abs().max() <= 1 for p in pictures)
    assert torch.equal(network(x), pictures[-1])
    # Those of deep supervision are made of coarse features, before the finest are there.
    for parameter in network.decoder.levels[0].parameters():
        parameter.add_(1)
    again = network.pictures(x)
    assert [torch.equal(a, b) for a, b in zip(again, pictures, strict=True)] == [True, True, False]
    assert len(small(deep=False).pictures(x)) == 1


def test_the_places_of_deep_supervision_are_a_sixteenth_and_a_quarter():
    network = SwinUnet(**SMALL | {"depths": [1] * 5, "up_depths": [1] * 4, "heads": [1] * 5})
    assert [head.expand.factor for head in network.decoder.deep] == [16, 4]
    assert [head.expand.factor for head in small().decoder.deep] == [8, 4]


def test_all_weights_learn():
    network = small(drop_path=0.0).train()
    sum(p.square().mean() for p in network.pictures(torch.rand(1, 1, 64, 64))).backward()
    still = [name for name, p in network.named_parameters() if not p.grad.abs().sum() > 0]
    assert still == []


@torch.no_grad()
def test_the_input_reaches_the_last_convolution():
    """So that fine texture is not lost: without all features, the picture is still there."""
    network = small()
    network.decoder.head.expand.norm.weight.zero_()
    x = torch.rand(1, 1, 32, 32)
    assert network(x).std((2, 3)).min() > 0.01
    network.decoder.head.conv.weight[:, -1].zero_()
    assert network(x).std((2, 3)).max() < 1e-6


@torch.no_grad()
def test_blocks_are_dropped_in_training_only():
    torch.manual_seed(2)
    block = SwinBlock(4, 1, 4, False, 2, 0.5)
    x = torch.randn(64, 4, 4, 4)
    same = (block(x) == x).flatten(1).all(1).float().mean()
    assert 0.1 < same < 0.4  # both parts of a block
    assert not (block.eval()(x) == x).flatten(1).all(1).any()
    drops = [b.drop for level in small(drop_path=0.3).encoder.levels for b in level]
    assert drops == pytest.approx(np.linspace(0, 0.3, 6))


@torch.no_grad()
def test_a_shift_by_the_period_shifts_the_output(tmp_path):
    network = small()
    torch.save(network.state_dict(), tmp_path / "swin.pth")
    generator = load_generator(tmp_path / "swin.pth")
    info = generator.info
    assert (info.covariant, info.stride, info.period, info.in_channels) == (False, 16, 64, 1)
    x = torch.rand(1, 1, 640, 640, generator=torch.manual_seed(3)) * 2 - 1
    still = generator.module(x[..., :576, :576])[..., 256:320, 256:320]

    def moved(by):
        y = generator.module(x[..., by : by + 576, by : by + 576])
        return (y[..., 256 - by : 320 - by, 256 - by : 320 - by] - still).abs().max()

    assert moved(64) < 1e-4
    assert moved(32) > 0.1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"depths": (1, 1, 1)}, "4 to 8"),
        ({"up_depths": (1,)}, "must have 3"),
        ({"heads": (1, 2)}, "must have 4"),
        ({"heads": (3, 2, 2, 2)}, "divide"),
        ({"depths": (1, 0, 1, 1)}, "blocks"),
        ({"window": 40}, "2 to 32"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        SwinUnet(**SMALL | wrong)


def test_a_file_cannot_ask_for_more_memory_than_it_has(tmp_path):
    state = small().state_dict()
    for key in list(state):
        if key.endswith("relative"):
            state[key] = torch.zeros(len(state[key]), 199 * 199)
    torch.save(state, tmp_path / "swin.pth")
    with pytest.raises(CheckpointError, match="window is 100"):
        load_generator(tmp_path / "swin.pth")
