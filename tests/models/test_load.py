"""Whatever a user calls a model: names, files, parts of files, functions, networks."""

import hashlib
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models import bundled_generators, load_generator


class Halving(nn.Module):
    """Down to half and up again; its output is 2 * ceil(side / 2)."""

    def __init__(self, levels=1):
        super().__init__()
        self.down = nn.Sequential(*(nn.Conv2d(3, 3, 3, 2, 1) for _ in range(levels)))
        self.up = nn.Sequential(*(nn.ConvTranspose2d(3, 3, 2, 2) for _ in range(levels)))

    def forward(self, x):
        return self.up(self.down(x))


class Tuple(Halving):
    def forward(self, x):
        return x, x


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A user's module in the current directory, which is not on the import path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p not in ("", str(tmp_path))])
    Path("my_uhrt_networks.py").write_text(
        "from torch import nn\n"
        "from uhrtranslate.models import GeneratorInfo, ResnetGenerator\n"
        "def plain(): return nn.Conv2d(3, 3, 3, padding=1)\n"
        "def known(): return ResnetGenerator(ngf=2, n_blocks=1)\n"
        "def described(): return plain(), GeneratorInfo('mine', stride=2, cell=128)\n"
        "def text(): return 'hello'\n"
        "def broken(): raise RuntimeError('no weights here')\n"
    )
    yield "my_uhrt_networks"
    sys.modules.pop("my_uhrt_networks", None)


def test_a_checkpoint_is_loaded_by_its_path(make, tmp_path):
    path = tmp_path / "latest_net_G.pth"
    torch.save(make().half().state_dict(), path)
    for model in (path, str(path)):
        generator = load_generator(model)
        assert generator.name == "latest_net_G"
        assert generator.digest == hashlib.sha256(path.read_bytes()).hexdigest()
        assert generator.info.architecture == "resnet"
        assert generator.info.stride == 4
        assert generator.info.cell is None
        assert {p.dtype for p in generator.module.parameters()} == {torch.float32}
        assert not any(p.requires_grad for p in generator.module.parameters())


def test_a_part_of_a_checkpoint_is_named_after_a_colon(make, tmp_path):
    a, b = make(seed=1), make(seed=2)
    torch.save({"G_A": a.state_dict(), "G_B": b.state_dict()}, tmp_path / "both.pth")
    first, second = (load_generator(f"{tmp_path / 'both.pth'}:{p}") for p in ("G_A", "G_B"))
    assert second.name == "both:G_B"
    assert first.digest != second.digest
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(second.module(x), b(x))


def test_a_network_is_copied_not_changed(make):
    module = make().train()
    generator = load_generator(module)
    assert module.training
    assert all(p.requires_grad for p in module.parameters())
    assert generator.info.arguments["ngf"] == 2
    assert not generator.module.training
    assert generator.digest == load_generator(module).digest


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_the_stride_of_an_unknown_network_is_measured(levels):
    generator = load_generator(Halving(levels))
    assert generator.info.stride == 2**levels
    assert generator.info.out_channels == 3
    assert generator.name == "Halving"


def test_declared_facts_are_believed():
    module = Halving()
    module.stride, module.cell, module.halo, module.value_range = 8, 128, 0, (0, 1)
    info = load_generator(module).info
    assert (info.stride, info.cell, info.halo, info.value_range) == (8, 128, 0, (0.0, 1.0))


@pytest.mark.parametrize(
    ("name", "value"), [("stride", 0), ("cell", "512"), ("value_range", (1, 1)), ("halo", -4)]
)
def test_declared_facts_are_checked(name, value):
    module = Halving()
    setattr(module, name, value)
    with pytest.raises(CheckpointError, match=name):
        load_generator(module)


def test_a_network_without_an_image_as_output_is_refused():
    with pytest.raises(CheckpointError, match="the output is tuple"):
        load_generator(Tuple())


def test_a_function_in_the_current_directory_makes_a_network(package):
    before = list(sys.path)
    generator = load_generator(f"{package}:plain")
    assert generator.info.stride == 1
    assert generator.name == generator.info.architecture == f"{package}:plain"
    assert load_generator(f"{package}:known").info.architecture == "resnet"
    assert load_generator(f"{package}:described").info.cell == 128
    assert sys.path == before


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("text", "returned str"),
        ("broken", "RuntimeError: no weights here"),
        ("missing", "AttributeError"),
    ],
)
def test_a_function_that_makes_no_network_is_an_error(factory, message, package):
    with pytest.raises(CheckpointError, match=message):
        load_generator(f"{package}:{factory}")


@pytest.mark.parametrize(
    "model",
    [
        "no_such_generator",
        "no/such.pth",
        r"C:\models\latest_net_G.pth",
        "C:latest_net_G.pth",
        "latest.pth:G_B",
        "https://example.org/g.pth",
        "",
        "\x00",
    ],
)
def test_what_is_nowhere_is_an_error(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError) as caught:
        load_generator(model)
    assert "no such file" in str(caught.value) or "neither a file" in str(caught.value) or not model


def test_a_folder_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="is a folder"):
        load_generator(tmp_path)


@pytest.mark.parametrize("name", bundled_generators())
def test_bundled_generators_load_and_are_described(name):
    generator = load_generator(name)
    assert generator.name == name
    assert generator.info.cell
    assert generator.info.description
    with torch.inference_mode():
        y = generator.module(torch.zeros(1, generator.info.in_channels, 64, 64))
    assert y.shape == (1, generator.info.out_channels, 64, 64)
