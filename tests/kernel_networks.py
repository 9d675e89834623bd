"""Networks of all that kernels meet, small, and what is asked of every runner with kernels."""

import copy

import numpy as np
import pytest
import skimage.data
import torch
from support import as_generator, small_resnet, translate_array
from torch import nn

from uhrtranslate.engine import GeneratorRunner
from uhrtranslate.engine.forward.actions import AS_TRAINED, PUBLISHED_CELL
from uhrtranslate.models.kaminyou import KaminyouGenerator
from uhrtranslate.models.unet import UnetGenerator


def doubled(how):
    """A network whose norm is used in two places, with something else between."""

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = (nn.Conv2d(c, 6, 3, padding=1) for c in (3, 6))
            self.norm, self.last = nn.InstanceNorm2d(6, affine=True), nn.Conv2d(6, 3, 3, padding=1)

        def forward(self, x):
            if how == "by size" and x.shape[-1] > 10**6:  # which no trace can follow
                return x
            x = self.norm(self.first(x))
            y = self.norm(self.second(torch.relu(x)))
            return torch.tanh(self.last(x + y))

    return Twice()


NETWORKS = {
    "resnet": lambda: small_resnet(ngf=4, n_blocks=2, affine=True),
    "wide": lambda: small_resnet(ngf=16, n_blocks=1, padding="zero"),
    "antialiased": lambda: small_resnet(ngf=16, n_blocks=1, antialias=True, antialias_up=True),
    "kaminyou": lambda: KaminyouGenerator(ngf=16, n_blocks=2, affine=True),
    "kaminyou, strided": lambda: KaminyouGenerator(
        ngf=8, n_blocks=2, antialias=False, antialias_up=False
    ),
    "unet": lambda: UnetGenerator(ngf=4, n_downs=5, norm="instance"),
    "shared norm": lambda: doubled("simply"),
    "not to trace": lambda: doubled("by size"),
}


SECTION = skimage.data.immunohistochemistry()


def pair(name, kind):
    """A network in the reference and in a runner with kernels, on the CPU."""
    torch.manual_seed(0)
    network = NETWORKS[name]().eval()
    for layer in network.modules():
        if isinstance(layer, nn.InstanceNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1, 0.3)
            nn.init.normal_(layer.bias, 0, 0.3)
    kinds = (GeneratorRunner, kind)
    return [one(as_generator(copy.deepcopy(network)), torch.device("cpu")) for one in kinds]


class AsTheReference:
    """Tests of a `kind` of runner, each network with one of the `normalizers`."""

    def test_forwards(self, runners):
        for crops in (
            [SECTION[:128, :192], SECTION[200:328, 100:292]],
            [SECTION[:96, 7:103].copy()],
        ):
            x = runners[0].to_input(crops)
            before = x.clone()
            expected, found = (runner.plain(x) for runner in runners)
            assert torch.equal(x, before)
            assert expected.std() > 0.05
            assert torch.allclose(found, expected, atol=2e-4)

    @pytest.mark.parametrize("rule", [AS_TRAINED, PUBLISHED_CELL])
    def test_statistics(self, runners, rule):
        x = runners[0].to_input([SECTION[:128, :128], SECTION[300:428, 300:428]])
        for _ in range(2):  # the second time, both end at the last norm layer
            expected, found = (runner.record(x, rule) for runner in runners)
            assert len(found.mean) == len(expected.mean) > 1
            for a, b in zip(
                (*expected.mean, *expected.std), (*found.mean, *found.std), strict=True
            ):
                assert torch.allclose(a, b, rtol=1e-3, atol=1e-4)

    def test_translations(self, runners, request, monkeypatch):
        # Each network with one normalizer; which of them is tested with all is elsewhere.
        number = list(NETWORKS).index(request.node.callspec.params["runners"])
        normalizer = self.normalizers[number % len(self.normalizers)]
        image = SECTION[:256, :256]
        how = {"cell": 128, "tile": 128, "halo": 32, "thumbnail": image[::2, ::2]}
        network = runners[0].module
        expected = translate_array(image, copy.deepcopy(network), normalizer, **how)
        monkeypatch.setattr("support.GeneratorRunner", self.kind)
        found = translate_array(image, copy.deepcopy(network), normalizer, **how)
        assert expected.std() > 5
        assert np.abs(expected.astype(int) - found).max() <= 1
