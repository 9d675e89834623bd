"""Forwards by kernels against the reference: the same function, but for rounding."""

import dataclasses
import re
import subprocess
from pathlib import Path

import pytest
import skimage.data
import torch
from kernel_networks import NETWORKS, AsTheReference, doubled, pair
from support import as_generator, small_resnet
from torch import fx, nn

from uhrtranslate.engine import GeneratorRunner, NativeRunner
from uhrtranslate.engine.native import build
from uhrtranslate.engine.native.choice import choose_runner
from uhrtranslate.engine.native.doubling import DoubledConv2d
from uhrtranslate.engine.native.layers import (
    NativeBlurDown,
    NativeNorm2d,
    NativePad2d,
    WinogradConv2d,
)
from uhrtranslate.errors import OptionError
from uhrtranslate.models.kaminyou import KaminyouGenerator
from uhrtranslate.normalizers import DN, TIN, PatchIN, Pooled

needs_kernels = pytest.mark.skipif(not build.available(), reason="no C++ compiler")
CPU = torch.device("cpu")
SECTION = skimage.data.immunohistochemistry()


@pytest.fixture(scope="module", params=NETWORKS, ids=str)
def runners(request):
    return pair(request.param, NativeRunner)


@needs_kernels
class TestAsTheReference(AsTheReference):
    kind = NativeRunner
    normalizers = DN(), TIN(), PatchIN(), Pooled()

    def test_reduced_precision_is_as_near(self, runners):
        x = runners[0].to_input([SECTION[:128, :192]])
        exact = runners[0].plain(x)
        off = []
        for runner in runners:
            with runner.at(torch.bfloat16):
                off.append(float((runner.plain(x) - exact).abs().mean()))
        assert 0 < off[1] < 1.3 * off[0] < 0.1


@needs_kernels
def test_layers_are_joined_and_share_the_weights():
    network = KaminyouGenerator(ngf=16, n_blocks=3).eval()
    runner = NativeRunner(as_generator(network), CPU)
    twin = runner._twin
    assert isinstance(twin, fx.GraphModule)
    used = [str(node.target) for node in twin.graph.nodes if node.op == "call_module"]
    kinds = [type(dict(twin.named_modules())[name]) for name in used]
    assert kinds.count(NativeNorm2d) == 11
    assert kinds.count(WinogradConv2d) == 7
    assert kinds.count(DoubledConv2d) == 2
    assert nn.ConvTranspose2d not in kinds
    assert nn.ReLU not in kinds
    added = [node for node in twin.graph.nodes if "added" in node.kwargs]
    assert len(added) == 3
    assert not [n for n in twin.graph.nodes if n.op == "call_function"]
    assert {id(p) for p in twin.parameters()} == {id(p) for p in network.parameters()}
    assert NativePad2d not in {type(part) for part in network.modules()}


@needs_kernels
def test_filters_that_halve_are_one_layer():
    twin = pair("antialiased", NativeRunner)[1]._twin
    layers = dict(twin.named_modules())
    used = [node for node in twin.graph.nodes if node.op != "placeholder"]
    kinds = [type(layers[node.target]) for node in used if node.op == "call_module"]
    assert kinds.count(NativeBlurDown) == 2
    assert not [node for node in used if node.op == "call_function"]


@needs_kernels
def test_forwards_of_others_are_left_as_they_are():
    ours = as_generator(doubled("simply").eval())
    theirs = dataclasses.replace(ours, info=dataclasses.replace(ours.info, architecture="net:make"))
    joined = [isinstance(NativeRunner(one, CPU)._twin, fx.GraphModule) for one in (ours, theirs)]
    assert joined == [True, False]


class TestBuilding:
    """The library is compiled once, and where it cannot be, one sentence says so."""

    @pytest.fixture(autouse=True)
    def own_cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        build.library.cache_clear()
        yield
        build.library.cache_clear()

    @needs_kernels
    def test_once(self, tmp_path, monkeypatch):
        build.library()
        (made,) = (tmp_path / "cache" / "uhrtranslate").iterdir()
        assert re.fullmatch(r"kernels-[0-9a-f]{20}\.so", made.name)
        build.library.cache_clear()
        real = subprocess.run

        def told(command, **how):
            assert str(build.SOURCES[0]) not in command, "compiled again"
            return real(command, **how)

        monkeypatch.setattr(build.subprocess, "run", told)
        build.library()

    @needs_kernels
    def test_what_others_may_have_written_is_not_run(self, tmp_path):
        build.library()
        folder = tmp_path / "cache" / "uhrtranslate"
        (made,) = folder.iterdir()
        made.write_bytes(b"theirs")
        made.chmod(0o777)
        build.library.cache_clear()
        build.library()  # compiled again
        assert made.stat().st_mode & 0o777 == 0o700
        assert made.read_bytes() != b"theirs"
        made.write_bytes(b"theirs")
        folder.chmod(0o777)
        build.library.cache_clear()
        build.library()  # elsewhere
        assert made.read_bytes() == b"theirs"

    @needs_kernels
    def test_in_a_home_that_cannot_be_written(self, tmp_path, monkeypatch):
        (tmp_path / "file").touch()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
        assert build.available()

    def test_without_a_compiler(self, monkeypatch):
        monkeypatch.setattr(build.shutil, "which", lambda name: None)
        assert not build.available()
        with pytest.raises(OptionError, match=r"^--compile: there is no .* leave --compile out"):
            NativeRunner(as_generator(small_resnet()), CPU)
        assert choose_runner(CPU, None, False) == (
            GeneratorRunner, "not compiled (no C++ compiler)",
        )  # fmt: skip

    def test_with_one_that_fails(self, tmp_path, monkeypatch):
        failing = Path(tmp_path, "cc")
        failing.write_text("#!/bin/sh\necho 'no room for it' >&2\nexit 1\n")
        failing.chmod(0o755)
        monkeypatch.setenv("CXX", str(failing))
        with pytest.raises(OptionError, match=r"cc cannot compile the kernels \(no room for it\)"):
            build.library()
        assert not any((tmp_path / "cache" / "uhrtranslate").iterdir())


@needs_kernels
def test_who_chooses_gets_it():
    assert choose_runner(CPU, None, False) == (NativeRunner, "compiled")
    assert choose_runner(CPU, True, False) == (NativeRunner, "compiled")
    assert choose_runner(CPU, False, False) == (GeneratorRunner, "not compiled")
    assert choose_runner(CPU, None, True)[0] is GeneratorRunner
