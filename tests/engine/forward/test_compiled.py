"""Forwards as graphs against the reference: the same function, but for rounding."""

import copy
import functools
import logging
import math

import numpy as np
import pytest
import skimage.data
import torch
from support import ArraySink, ArraySource, as_generator, small_resnet
from torch import nn

from uhrtranslate.engine import CompiledRunner, GeneratorRunner, GeneratorTransform, Lanes, stream
from uhrtranslate.engine.forward.compiled import quieten_torch
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.models.kaminyou import KaminyouGenerator
from uhrtranslate.models.unet import UnetGenerator
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN, Pooled

# torch's own, while it imports what it compiles with
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
CPU = torch.device("cpu")
SECTION = skimage.data.immunohistochemistry()


@pytest.fixture(scope="module")
def image():
    """A section with glass in one corner, so that cells are missing there."""
    image = SECTION[:384, :384].copy()
    image[256:, :128] = 244
    return image


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "affine"])
def reference(request):
    network = small_resnet(ngf=4, n_blocks=1, affine=request.param)
    for layer in network.modules():
        if isinstance(layer, nn.InstanceNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1, 0.3)
            nn.init.normal_(layer.bias, 0, 0.3)
    return GeneratorRunner(as_generator(network), CPU)


def translated(runner, image, normalizer, batch=1, **more):
    """All tiles have one shape, as each shape costs some seconds of compiling."""
    plan = TilePlan(CellGrid(384, 384, 128), 192, 48, 4)
    thumbnail = SECTION[::4, ::4][:128, :128].copy()
    transform = GeneratorTransform(Lanes([runner]), normalizer, plan, lambda: thumbnail, **more)
    sink = ArraySink(384, 384)
    stream(ArraySource(image), transform, sink, batch=batch)
    return sink.pixels


class Traced(CompiledRunner):
    """What would be compiled, run line by line."""

    def __init__(self, generator, device):
        super().__init__(generator, device)
        self._plain_graph = self._trace_plain
        self._normalize_graph = self._trace_normalize
        self._record_graph = self._trace_record


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("normalizer", [DN(), KIN(kernel=3), TIN(), PatchIN(), Pooled()], ids=repr)
def test_what_is_compiled_is_the_reference(reference, image, normalizer, batch):
    expected = translated(reference, image, normalizer, batch)
    traced = Traced(as_generator(reference.module), CPU)
    difference = np.abs(expected.astype(int) - translated(traced, image, normalizer, batch))
    assert expected.std() > 20
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def assert_glass_is_as_white(reference, fast, image, normalizer):
    """A runner agrees with the reference where glass becomes white, and around it."""
    expected, found = (
        translated(runner, image, normalizer, white_glass=True).astype(int)
        for runner in (reference, fast)
    )
    assert expected.std() > 20
    assert (found[264:, :120] == 255).all()
    assert np.abs(expected - found).max() <= 1
    assert np.abs(expected - translated(reference, image, normalizer)).max() > 50


def test_glass_is_as_white_by_the_default(reference, image):
    traced = Traced(as_generator(reference.module), CPU)
    assert_glass_is_as_white(reference, traced, image, Pooled())


def test_unets_too():
    torch.manual_seed(0)
    network = UnetGenerator(ngf=4, n_downs=5, norm="instance").eval()
    runners = [kind(as_generator(network), CPU) for kind in (GeneratorRunner, Traced)]
    x = runners[0].to_input([SECTION[:128, :128]])
    reference, fast = (runner.plain(x) for runner in runners)
    assert torch.allclose(fast, reference, atol=1e-5)


FAMILIES = {
    "resnet": lambda: small_resnet(ngf=4, n_blocks=1, antialias=True, antialias_up=True),
    "kaminyou": lambda: KaminyouGenerator(ngf=4, n_blocks=1),
    "unet": lambda: UnetGenerator(ngf=4, n_downs=5, norm="instance"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_shape_is_compiled_once(family, monkeypatch, capfd):
    """More shapes than torch's limit of eight; nothing of it reaches the user."""
    counters = torch._dynamo.utils.counters
    torch._dynamo.reset()
    counters.clear()
    # What counts is how often torch traces; its code for the CPU would take minutes, and nobody
    # runs it.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    network = FAMILIES[family]().eval()
    runner = CompiledRunner(as_generator(network), CPU)
    reference = GeneratorRunner(as_generator(copy.deepcopy(network)), CPU)
    shapes = [(1, 3, 64, 32 * w) for w in range(2, 11)]
    for _ in range(2):
        for shape in shapes:
            x = torch.linspace(-1, 1, math.prod(shape)).reshape(shape)
            assert torch.allclose(runner.plain(x), reference.plain(x), atol=1e-5)
    assert counters["stats"]["unique_graphs"] == len(shapes)
    assert not counters["graph_break"]
    torch._dynamo.reset()
    told = capfd.readouterr()
    assert told.err == told.out == ""


def test_what_torch_tells_is_for_debugging(caplog, capfd):
    quieten_torch()
    caplog.set_level("DEBUG", "uhrtranslate.engine.forward.compiled")
    logging.getLogger("torch._dynamo.convert_frame").warning("hit the %s", "limit")
    assert "torch._dynamo.convert_frame: hit the limit" in caplog.text
    assert capfd.readouterr().err == ""
