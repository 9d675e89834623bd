import copy

import numpy as np
import pytest
import torch
from support import as_generator, small_resnet
from torch import nn

from uhrtranslate.engine import GeneratorRunner
from uhrtranslate.engine.forward import actions
from uhrtranslate.engine.forward.actions import (
    AS_TRAINED,
    PUBLISHED_CELL,
    Applier,
    Recorder,
    StatisticsComplete,
)
from uhrtranslate.engine.forward.layers import SwitchedNorm2d, replace_norms
from uhrtranslate.models.unet import UnetGenerator
from uhrtranslate.normalizers import TIN, Field, StatisticsTable, make_field
from uhrtranslate.normalizers.base import Gaps


class Oddly(nn.Module):
    """Norm layers in every place that a user may put them."""

    def __init__(self):
        super().__init__()
        shared = nn.InstanceNorm2d(4, affine=True)
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.InstanceNorm2d(4, eps=1e-3))
        self.branches = nn.ModuleDict({"a": shared, "b": nn.ModuleList([shared])})
        self.tracked = nn.InstanceNorm2d(4, track_running_stats=True)
        self.batch = nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.stem(x)
        x = self.branches["a"](x) + self.branches["b"][0](x * 2 + 1)
        return self.batch(self.tracked(x))


def odd():
    torch.manual_seed(0)
    network = Oddly()
    nn.init.normal_(network.branches["a"].weight)
    nn.init.normal_(network.branches["a"].bias)
    return network.eval()


def test_replacing_changes_nothing_by_itself():
    network = odd()
    x = torch.randn(2, 3, 16, 16)
    reference = copy.deepcopy(network)
    reference.tracked.track_running_stats = False
    reference.tracked.running_mean = reference.tracked.running_var = None
    switch = replace_norms(network)
    assert switch.layers == 3
    assert not any(isinstance(m, nn.InstanceNorm2d) for m in network.modules())
    assert isinstance(network.batch, nn.BatchNorm2d)
    assert torch.allclose(network(x), reference(x), atol=1e-4)


def test_a_second_call_gives_the_same_switch():
    network = odd()
    assert replace_norms(network) is replace_norms(network)


def test_a_layer_used_twice_has_two_tables():
    network = odd()
    switch = replace_norms(network)
    recorder = Recorder()
    with switch.doing(recorder), torch.inference_mode():
        network(torch.randn(2, 3, 16, 16))
    assert len(recorder.mean) == 4
    assert not torch.allclose(recorder.mean[1], recorder.mean[2])


@pytest.mark.parametrize("rule", [AS_TRAINED, PUBLISHED_CELL], ids=["trained", "published"])
def test_recorded_statistics_are_those_of_the_input(rule):
    layer = nn.Sequential(nn.InstanceNorm2d(5))
    switch = replace_norms(layer)
    x = torch.randn(3, 5, 12, 9) * 3 + 2
    recorder = Recorder(rule)
    with switch.doing(recorder):
        y = layer(x)
    std = x.var((2, 3), correction=int(rule.unbiased)).add(1e-5 if rule.eps is None else 0).sqrt()
    assert torch.allclose(recorder.mean[0], x.mean((2, 3)), atol=1e-5)
    assert torch.allclose(recorder.std[0], std, atol=1e-5)
    assert torch.allclose(y, (x - x.mean((2, 3), keepdim=True)) / std[..., None, None], atol=1e-5)


LAST = torch.channels_last


@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format], ids=["last", "first"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("shape", [(1, 5, 160, 170), (2, 3, 64, 33), (1, 2, 1100, 1000)], ids=str)
def test_statistics_are_exact_in_any_precision_and_layout(shape, dtype, layout):
    torch.manual_seed(0)
    x = (torch.randn(shape) * 3 + 20).to(dtype).contiguous(memory_format=layout)
    recorder = Recorder()
    y = recorder(0, x, 1e-5)
    mean = x.double().mean((2, 3))
    std = (x.double().var((2, 3), correction=0) + 1e-5).sqrt()
    assert recorder.mean[0].dtype == recorder.std[0].dtype == torch.float32
    assert torch.allclose(recorder.mean[0].double(), mean, atol=5e-4, rtol=0)
    assert torch.allclose(recorder.std[0].double(), std, atol=0, rtol=1e-4)
    assert y.dtype == dtype
    exact = (x.double() - mean[..., None, None]) / std[..., None, None]
    assert torch.allclose(y.double(), exact, atol=1e-3, rtol=0 if dtype == torch.float32 else 1e-2)


class OneField:
    """The same field for every sample, of 3 columns of cells."""

    columns = 3

    def __init__(self, c, h, w, gaps=False):
        torch.manual_seed(1)
        mean, scale = torch.randn(h, 3, c).permute(2, 0, 1), torch.rand(h, 3, c).permute(2, 0, 1)
        cols = torch.softmax(torch.randn(w, 3), 1)
        missing = Gaps(torch.randn(c), torch.rand(c), torch.rand(h, w), torch.rand(h, w) + 1)
        self.given = Field(mean, scale, cols, inverse=True, gaps=missing if gaps else None)

    def field(self, call, sample, h, w):
        return self.given


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format], ids=["last", "first"])
def test_fields_are_applied_alike_in_any_layout_and_in_parts(layout, dtype, gaps, monkeypatch):
    monkeypatch.setattr(actions, "CACHE_BYTES", 4 * 7 * 31 * 10)  # ten rows of 53
    x = torch.randn(2, 7, 53, 31).to(dtype).contiguous(memory_format=layout)
    source = OneField(7, 53, 31, gaps)
    y = Applier(source)(0, x, 1e-5)
    whole = (x.float() - source.given.mean_map()) * source.given.rstd_map()
    assert torch.allclose(y, whole.to(dtype), atol=1e-5, rtol=0 if dtype == torch.float32 else 1e-2)
    assert y.is_contiguous(memory_format=layout)
    assert y.dtype == dtype


@pytest.mark.parametrize("size", [64, 128])
def test_channels_stay_last_through_a_generator(size):
    """Where one layer puts them first, torch silently copies all features back and forth."""
    runner = GeneratorRunner(as_generator(small_resnet(), stride=4), torch.device("cpu"))
    x = runner.to_input([np.zeros((size, size, 3), np.uint8)])
    seen = []

    def note(module, inputs, output):
        # Not `is_contiguous`, which overlooks odd strides of single samples; convolutions do not.
        seen.append(output.stride() == torch.empty_like(output, memory_format=LAST).stride())

    for module in runner.module.modules():
        module.register_forward_hook(note)
    runner.plain(x)
    runner.normalize(x, Whole(runner, x))
    runner.record(x)
    assert len(seen) > 40
    assert all(seen)


class Whole:
    """Fields that are the statistics of one image everywhere."""

    columns = 1

    def __init__(self, runner, x):
        self.moments = runner.record(x)

    def field(self, call, sample, h, w):
        mean, std = self.moments.mean[call][0], self.moments.std[call][0]
        table = StatisticsTable(mean[None, None], std[None, None], torch.ones(1, 1, dtype=bool))
        return make_field(TIN(), table, torch.ones(h, 1), torch.ones(w, 1))


def test_recording_ends_at_the_last_norm():
    network = nn.Sequential(nn.InstanceNorm2d(3), nn.Conv2d(3, 3, 1), nn.InstanceNorm2d(3), Never())
    switch = replace_norms(network)
    recorder = Recorder(stop_after=2)
    with pytest.raises(StatisticsComplete), switch.doing(recorder):
        network(torch.randn(1, 3, 8, 8))
    assert len(recorder.mean) == 2
    with pytest.raises(AssertionError):
        network(torch.randn(1, 3, 8, 8))


class Never(nn.Module):
    def forward(self, x):
        raise AssertionError


def test_statistics_of_flat_and_of_single_pixels_are_finite():
    layer = nn.Sequential(nn.InstanceNorm2d(2))
    switch = replace_norms(layer)
    for x in (torch.ones(1, 2, 8, 8), torch.ones(1, 2, 1, 1)):
        for rule in (AS_TRAINED, PUBLISHED_CELL):
            recorder = Recorder(rule)
            with switch.doing(recorder):
                y = layer(x)
            assert torch.isfinite(y).all()
            assert (recorder.std[0] > 0).all()
        assert torch.isfinite(layer(x)).all()


def test_state_dict_keys_of_affine_layers_stay():
    network = odd()
    before = {k for k in network.state_dict() if not k.startswith("tracked")}
    replace_norms(network)
    assert before == set(network.state_dict())


def test_a_batch_norm_generator_has_nothing_to_replace():
    """In eval mode; in training mode, it uses the statistics of what it sees."""
    network = UnetGenerator(ngf=4, n_downs=7, norm="batch")
    assert replace_norms(network.eval()).layers == 0
    assert replace_norms(network.train()).layers == 11


def test_shared_layers_stay_shared():
    network = odd()
    replace_norms(network)
    assert isinstance(network.branches["a"], SwitchedNorm2d)
    assert network.branches["a"] is network.branches["b"][0]
