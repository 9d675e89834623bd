"""Whether a network's output depends on where its input begins is found by trying."""

import pytest
import torch
from support import as_generator, small_resnet
from torch import nn

from uhrtranslate.engine import Covariance, GeneratorRunner, measure_covariance
from uhrtranslate.errors import CheckpointError
from uhrtranslate.models import load_generator
from uhrtranslate.models.unet import UnetGenerator
from uhrtranslate.options import make_options
from uhrtranslate.recipes.generator_pool import GeneratorPool


class Windows(nn.Module):
    """Attention within windows of 8 x 8 pixels, after one halving by `stride`."""

    def __init__(self, window=8, stride=2):
        super().__init__()
        self.window = window
        self.down = nn.Conv2d(3, 8, stride, stride)
        self.norm = nn.InstanceNorm2d(8)
        self.up = nn.ConvTranspose2d(8, 3, stride, stride)

    def forward(self, x):
        x = self.norm(self.down(x))
        n, c, h, w = x.shape
        size = self.window
        tall, wide = -(-h // size), -(-w // size)
        x = nn.functional.pad(x, (0, wide * size - w, 0, tall * size - h))
        x = x.reshape(n, c, tall, size, wide, size).permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(-1, size * size, c)
        x = x + nn.functional.scaled_dot_product_attention(x, x, x)
        x = x.reshape(n, tall, wide, size, size, c).permute(0, 5, 1, 3, 2, 4)
        x = x.reshape(n, c, tall * size, wide * size)[..., :h, :w]
        return self.up(x).tanh()


class Positions(nn.Module):
    """Adds what belongs to each place of a tile."""

    def forward(self, x):
        return x + torch.linspace(0, 0.3, x.shape[-1]) ** 2


def measured(network, **info):
    runner = GeneratorRunner(as_generator(network, **info), torch.device("cpu"))
    return measure_covariance(runner)


@pytest.mark.parametrize(
    ("network", "stride"),
    [
        (nn.Identity(), 1),
        (nn.Conv2d(3, 3, 5, padding=2), 1),
        (small_resnet(ngf=4, n_blocks=2), 4),
        (small_resnet(ngf=2, n_blocks=9), 4),
        (small_resnet(ngf=2, n_blocks=1, antialias=True, antialias_up=True), 4),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else str(value),
)
def test_convolutions_are_covariant(network, stride):
    assert measured(network, stride=stride) == Covariance(True, stride)


@pytest.mark.parametrize(("window", "stride"), [(8, 2), (7, 2), (4, 4)])
def test_windows_are_found_with_their_period(window, stride):
    network = Windows(window, stride)
    assert measured(network, stride=stride) == Covariance(False, window * stride)


def test_positions_have_no_period():
    assert measured(Positions(), stride=1) == Covariance(False, 1)


class TestWhatANetworkDeclares:
    def test_is_believed(self):
        network = Windows()
        network.stride, network.covariant, network.period = 2, False, 16
        info = load_generator(network).info
        assert (info.covariant, info.period) == (False, 16)
        assert GeneratorPool(
            make_options({"device": "cpu"}), load_generator(network)
        ).covariance == (Covariance(False, 16))

    def test_nothing_is_measured_later(self):
        network = Windows()
        network.stride = 2
        generator = load_generator(network)
        assert generator.info.covariant is None
        pool = GeneratorPool(make_options({"device": "cpu"}), generator)
        assert pool.covariance == Covariance(False, 16)

    def test_a_halo_means_covariant(self):
        network = nn.Conv2d(3, 3, 3, padding=1)
        assert load_generator(network).info.covariant is None
        network = nn.Sequential(network)
        network.__class__ = type("Mine", (nn.Sequential,), {"halo": 4})
        assert load_generator(network).info.covariant is True

    @pytest.mark.parametrize(("name", "value"), [("covariant", "no"), ("period", 3), ("period", 0)])
    def test_is_checked(self, name, value):
        network = Windows()
        network.stride = 2
        setattr(network, name, value)
        with pytest.raises(CheckpointError, match=name):
            load_generator(network)

    def test_families_say_it(self):
        assert load_generator(UnetGenerator(ngf=2, n_downs=5)).info.covariant is False
        assert load_generator("he2ihc").info.covariant is True
