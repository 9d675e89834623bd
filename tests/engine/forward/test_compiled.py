"""The compiled forwards against the reference: the same function, but for rounding."""

import shutil

import numpy as np
import pytest
import skimage.data
import torch
from support import ArraySink, ArraySource, as_generator, small_resnet
from torch import nn

from uhrtranslate.engine import CompiledRunner, GeneratorRunner, GeneratorTransform, Lanes, stream
from uhrtranslate.engine.forward.actions import AS_TRAINED, PUBLISHED_CELL
from uhrtranslate.errors import OptionError
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.models.unet import UnetGenerator
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN, Pooled

pytestmark = [
    # torch's own, while it imports what it compiles with
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.skipif(
        not shutil.which("g++"), reason="no C++ compiler, which torch.compile needs on the CPU"
    ),
]
CPU = torch.device("cpu")
SECTION = skimage.data.immunohistochemistry()


@pytest.fixture(scope="module")
def image():
    """A section with glass in one corner, so that cells are missing there."""
    image = SECTION[:384, :384].copy()
    image[256:, :128] = 244
    return image


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "affine"])
def runners(request):
    network = small_resnet(ngf=4, n_blocks=1, affine=request.param)
    for layer in network.modules():
        if isinstance(layer, nn.InstanceNorm2d) and layer.affine:
            nn.init.normal_(layer.weight, 1, 0.3)
            nn.init.normal_(layer.bias, 0, 0.3)
    return [kind(as_generator(network), CPU) for kind in (GeneratorRunner, CompiledRunner)]


@pytest.mark.slow
def test_plain_forwards_agree(runners):
    x = runners[0].to_input([SECTION[:128, :192], SECTION[200:328, 100:292]])
    reference, fast = (runner.plain(x) for runner in runners)
    assert reference.std() > 0.1
    assert torch.allclose(fast, reference, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("rule", [AS_TRAINED, PUBLISHED_CELL])
def test_statistics_agree(runners, rule):
    x = runners[0].to_input([SECTION[:128, :128], SECTION[300:428, 300:428]])
    reference, fast = (runner.record(x, rule) for runner in runners)
    assert len(fast.mean) == len(reference.mean) == 7
    for a, b in zip((*reference.mean, *reference.std), (*fast.mean, *fast.std), strict=True):
        assert a.shape == b.shape
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize("batch", [1, 2, 3])
@pytest.mark.parametrize("normalizer", [DN(), KIN(kernel=3), TIN(), PatchIN(), Pooled()], ids=repr)
def test_what_is_compiled_is_the_reference(runners, image, normalizer, batch):
    reference = translated(runners[0], image, normalizer, batch)
    traced = Traced(as_generator(runners[0].module), CPU)
    difference = np.abs(reference.astype(int) - translated(traced, image, normalizer, batch))
    assert reference.std() > 20
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


@pytest.mark.slow
def test_translations_agree_and_can_be_repeated(runners, image):
    reference, fast = (translated(runner, image, DN()) for runner in runners)
    difference = np.abs(reference.astype(int) - fast)
    assert reference.std() > 20
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01
    again = CompiledRunner(as_generator(runners[1].module), CPU)
    assert np.array_equal(translated(again, image, DN()), fast)


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


@pytest.mark.slow
def test_glass_is_as_white(runners, image):
    assert_glass_is_as_white(*runners, image, DN())  # with the graphs that are compiled already


def test_glass_is_as_white_by_the_default(runners, image):
    traced = Traced(as_generator(runners[0].module), CPU)
    assert_glass_is_as_white(runners[0], traced, image, Pooled())


@pytest.mark.slow
def test_reduced_precision_is_near(image):
    network = small_resnet(ngf=4, n_blocks=1)
    exact = GeneratorRunner(as_generator(network), CPU)
    reduced = CompiledRunner(as_generator(network), CPU, torch.bfloat16)
    x = exact.to_input([SECTION[:128, :192]])
    difference = (exact.plain(x) - reduced.plain(x)).abs()
    assert 0 < difference.mean() < 0.02


@pytest.mark.slow
def test_wide_generators_agree():
    """Wide enough for minimal filtering, in two sizes."""
    reference, fast = (
        kind(as_generator(small_resnet(ngf=16, n_blocks=2)), CPU)
        for kind in (GeneratorRunner, CompiledRunner)
    )
    for crop in (SECTION[:72, :104], SECTION[100:220, 30:118]):
        x = reference.to_input([crop])
        expected = reference.plain(x)
        assert expected.std() > 0.05
        assert torch.allclose(fast.plain(x), expected, atol=2e-4)


def test_unets_too():
    torch.manual_seed(0)
    network = UnetGenerator(ngf=4, n_downs=5, norm="instance").eval()
    runners = [kind(as_generator(network), CPU) for kind in (GeneratorRunner, Traced)]
    x = runners[0].to_input([SECTION[:128, :128]])
    reference, fast = (runner.plain(x) for runner in runners)
    assert torch.allclose(fast, reference, atol=1e-5)


@pytest.mark.slow
def test_without_a_compiler_one_sentence_says_so(monkeypatch):
    from torch._inductor import config, cpp_builder

    monkeypatch.setattr(config.cpp, "cxx", ("no-such-compiler",))
    monkeypatch.setattr(config, "force_disable_caches", True)
    for name in ("get_cpp_compiler", "get_compiler_version_info"):
        if hasattr(getattr(cpp_builder, name, None), "cache_clear"):
            getattr(cpp_builder, name).cache_clear()
    torch._dynamo.reset()
    runner = CompiledRunner(as_generator(small_resnet(ngf=5, n_blocks=1)), CPU)
    with pytest.raises(
        OptionError, match=r"--compile: torch cannot compile .* leave --compile out"
    ):
        runner.plain(torch.zeros(1, 3, 72, 72))
