"""Forwards for GPUs against the reference, where kernels are their formulas in torch."""

import copy
import dataclasses

import pytest
import skimage.data
import torch
from gpu_formulas import HostRunner
from kernel_networks import NETWORKS, AsTheReference, doubled, pair
from support import as_generator, small_resnet
from torch import fx, nn

from uhrtranslate.engine import GeneratorRunner, GpuRunner
from uhrtranslate.engine.gpu import graphs
from uhrtranslate.engine.gpu import runner as gpu
from uhrtranslate.engine.gpu.layers import GpuNorm2d
from uhrtranslate.engine.native.choice import choose_runner
from uhrtranslate.errors import OptionError
from uhrtranslate.models.kaminyou import KaminyouGenerator
from uhrtranslate.models.resnet import BlurUp
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN, Pooled

CPU = torch.device("cpu")
SECTION = skimage.data.immunohistochemistry()


@pytest.fixture(scope="module", params=NETWORKS, ids=str)
def runners(request):
    return pair(request.param, HostRunner)


class TestAsTheReference(AsTheReference):
    kind = HostRunner
    normalizers = DN(), TIN(), PatchIN(), Pooled(), KIN(kernel=3)


def test_between_two_convolutions_there_is_one_pass():
    network = KaminyouGenerator(ngf=8, n_blocks=3).eval()
    runner = HostRunner(as_generator(network), CPU)
    twin = runner._twin
    assert isinstance(twin, fx.GraphModule)
    layers = dict(twin.named_modules())
    used = [layers[str(node.target)] for node in twin.graph.nodes if node.op == "call_module"]
    norms = [layer for layer in used if isinstance(layer, GpuNorm2d)]
    assert len(norms) == 11
    assert nn.ReLU not in {type(layer) for layer in used}
    assert all(norm.shift is not None for norm in norms)
    padded = [node.kwargs["mode"] for node in twin.graph.nodes if node.kwargs.get("pads")]
    # Two halvings, five of six in blocks, two doublings, the last convolution; the first block's
    # input comes from no norm layer.
    assert sorted(padded) == ["reflect"] * 8 + ["replicate"] * 2
    assert {id(p) for p in twin.parameters()} == {id(p) for p in network.parameters()}
    assert all(layer.bias is not None for layer in network.modules() if type(layer) is nn.Conv2d)


def test_blurs_that_are_not_the_usual_ones_stay():
    """Doubling by the usual filter is interpolation."""
    for changed in (False, True):
        network = small_resnet(ngf=4, n_blocks=1, antialias=True, antialias_up=True)
        if changed:
            for layer in network.modules():
                if isinstance(layer, BlurUp):
                    layer.filt[:, :, 0, 0] += 0.1
        runners = [
            kind(as_generator(copy.deepcopy(network)), CPU)
            for kind in (GeneratorRunner, HostRunner)
        ]
        kinds = [type(layer) for layer in runners[1]._twin.modules()]
        assert (nn.Upsample in kinds) != changed
        x = runners[0].to_input([SECTION[:64, :64]])
        expected, found = (runner.plain(x) for runner in runners)
        assert torch.allclose(found, expected, atol=2e-4)


def test_forwards_of_others_are_left_as_they_are():
    ours = as_generator(doubled("simply").eval())
    theirs = dataclasses.replace(ours, info=dataclasses.replace(ours.info, architecture="net:make"))
    joined = [isinstance(HostRunner(one, CPU)._twin, fx.GraphModule) for one in (ours, theirs)]
    assert joined == [True, False]


def test_where_there_are_no_kernels_one_sentence_says_so():
    with pytest.raises(OptionError, match=r"no kernels for cpu .* leave --compile out"):
        GpuRunner(as_generator(small_resnet()), CPU)


@pytest.mark.parametrize("why", [None, "no Triton"])
def test_a_gpu_gets_kernels_where_they_work(monkeypatch, why):
    device = torch.device("cuda:0")
    monkeypatch.setattr(gpu, "trouble", lambda device: why)
    chosen = (GeneratorRunner, "not compiled (no Triton)") if why else (GpuRunner, "compiled")
    assert choose_runner(device, None, False) == chosen
    assert choose_runner(device, True, False)[0] is GpuRunner
    assert choose_runner(device, False, False)[0] is GeneratorRunner
    assert choose_runner(device, None, True)[0] is GeneratorRunner


class TestTrouble:
    """Of a machine with a GPU; what is tried on it is made up."""

    @pytest.fixture
    def device(self, monkeypatch):
        gpu.trouble.cache_clear()
        monkeypatch.setattr(gpu, "find_spec", lambda name: name)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
        monkeypatch.setattr(torch, "zeros", lambda *shape, device: torch.empty(shape))
        monkeypatch.setattr(gpu.operations, "mean_and_variance", lambda x, unbiased: (x, x))
        yield torch.device("cuda:0")
        gpu.trouble.cache_clear()

    def test_none(self, device):
        assert gpu.trouble(device) is None

    def test_other_devices(self, device):
        assert gpu.trouble(torch.device("meta")) == "not a GPU that Triton knows"

    def test_no_triton(self, device, monkeypatch):
        monkeypatch.setattr(gpu, "find_spec", lambda name: None)
        assert gpu.trouble(device) == "no Triton"

    def test_an_old_gpu(self, device, monkeypatch):
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
        assert gpu.trouble(device) == "the GPU's compute capability is below 8.0"

    def test_no_compiler(self, device, monkeypatch):
        def fail(x, unbiased):
            raise RuntimeError("Failed to find C compiler.\nSet CC.")

        monkeypatch.setattr(gpu.operations, "mean_and_variance", fail)
        told = "Triton does not work: Failed to find C compiler."
        assert gpu.trouble(device) == told
        assert choose_runner(device, None, False) == (GeneratorRunner, f"not compiled ({told})")


class TestGraphs:
    """When a batch is recorded, with a stand-in for what records."""

    @pytest.fixture
    def recorded(self, monkeypatch):
        made = []

        class Stand:
            def __init__(self, forward, x):
                if x.shape[-1] == 13:
                    raise RuntimeError("no memory")
                made.append(tuple(x.shape))
                self.forward = forward

            def replay(self, x):
                return [part + 100 for part in self.forward(x)]

        monkeypatch.setattr(graphs, "_Graph", Stand)
        monkeypatch.setattr(graphs, "_memory", lambda device: 20_000)
        return made

    def test_the_third_time(self, recorded):
        several = graphs.Graphs(CPU, lambda pixels: pixels)
        x = torch.ones(2, 3, 8, 8)
        found = [several.run("double", lambda x: [2 * x], x)[0].mean().item() for _ in range(4)]
        assert found == [2, 2, 102, 102]
        assert recorded == [(2, 3, 8, 8)]
        assert several.run("triple", lambda x: [3 * x], x)[0].mean() == 3

    @pytest.mark.parametrize("side", [13, 40], ids=["fails", "too large"])
    def test_what_cannot_be_recorded_is_computed(self, recorded, side):
        several = graphs.Graphs(CPU, lambda pixels: pixels)
        x = torch.ones(1, 3, side, side)
        for _ in range(5):
            assert several.run("same", lambda x: [x], x)[0].mean() == 1
        assert not recorded

    def test_so_many_at_most(self, recorded):
        several = graphs.Graphs(CPU, lambda pixels: pixels)
        for width in range(1, 9):
            for _ in range(3):
                several.run("same", lambda x: [x], torch.ones(1, 3, 4, width))
        assert len(recorded) == graphs.MOST
