import copy

import pytest
import torch
from torch import nn

from uhrtranslate.engine.layers import (
    AS_TRAINED,
    PUBLISHED_CELL,
    Recorder,
    SwitchedNorm2d,
    replace_norms,
)
from uhrtranslate.models import UnetGenerator


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


def test_recording_ends_at_the_last_norm():
    network = nn.Sequential(nn.InstanceNorm2d(3), nn.Conv2d(3, 3, 1), nn.InstanceNorm2d(3), Never())
    switch = replace_norms(network)
    recorder = Recorder(stop_after=2)
    with switch.doing(recorder):
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
    assert replace_norms(UnetGenerator(ngf=4, n_downs=7, norm="batch")).layers == 0


def test_shared_layers_stay_shared():
    network = odd()
    replace_norms(network)
    assert isinstance(network.branches["a"], SwitchedNorm2d)
    assert network.branches["a"] is network.branches["b"][0]
