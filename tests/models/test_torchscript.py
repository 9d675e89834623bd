"""TorchScript files are run as they are, if their code only computes."""

import dataclasses
import json
import zipfile

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
import torch.nn.functional as F
from PIL import Image
from support import small_resnet
from torch import Tensor, nn

from uhrtranslate import translate
from uhrtranslate.engine import GeneratorRunner, choose_tile
from uhrtranslate.errors import CheckpointError, OptionError
from uhrtranslate.models import GeneratorInfo, load_generator, torchscript
from uhrtranslate.models.native import dump_facts
from uhrtranslate.tasks.models import convert_model, describe_model

# torch's own
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]
SECTION = skimage.data.immunohistochemistry()


class Convolutions(nn.Module):
    """Three of them, with a stride of 2, and no norm."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Conv2d(3, 8, 4, 2, 1)
        self.middle = nn.Conv2d(8, 8, 3, padding=1)
        self.up = nn.ConvTranspose2d(8, 3, 4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.up(torch.relu(self.middle(torch.relu(self.down(x))))) * 3)


class OnGpu(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.to(torch.device("cuda:0")).cpu()


class AddsFromGpu(nn.Module):
    """Fails with a GPU, too, as the input is elsewhere."""

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.zeros(1).cuda()


class Halves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.avg_pool2d(x, 2)


class Saves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        torch.save(x, "stolen.pt")
        return x


class Maps(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.from_file("stolen.bin", True, 1)


class Pairs(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def scripted(module, path, how="script", channels=3):
    module = module.eval()
    made = (
        torch.jit.script(module)
        if how == "script"
        else torch.jit.trace(module, torch.zeros(1, channels, 64, 64), check_trace=False)
    )
    torch.jit.save(torch.jit.freeze(made) if how == "frozen" else made, path)
    return path


@pytest.mark.parametrize("how", ["script", "trace", "frozen"])
def test_a_script_gives_equal_outputs(how, tmp_path):
    module = Convolutions()
    path = scripted(module, tmp_path / "net.pt", how)
    generator = load_generator(path)
    info = generator.info
    assert (info.architecture, info.stride, info.opaque) == ("torchscript", 2, True)
    assert (info.in_channels, info.out_channels) == (3, 3)
    assert generator.name == "net"
    x = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        assert torch.allclose(generator.module(x), module(x), atol=1e-5)


def test_a_script_translates_a_photo_as_the_network_does(tmp_path):
    path = scripted(Convolutions(), tmp_path / "net.pt")
    Image.fromarray(SECTION[:200, :300]).save(tmp_path / "in.png")
    for tile, name in ((64, "a"), (None, "b")):
        told = []
        translate(
            tmp_path / "in.png", tmp_path / f"{name}.png", model=str(path), cell=64, tile=tile,
            device="cpu", on_event=told.append,
        )  # fmt: skip
    with Image.open(tmp_path / "a.png") as a, Image.open(tmp_path / "b.png") as b:
        assert np.abs(np.asarray(a).astype(int) - np.asarray(b)).max() <= 1
        assert np.asarray(a).std() > 5
    assert any("inside TorchScript cannot follow" in str(event) for event in told)
    with pytest.raises(OptionError, match=r"--compile: net is TorchScript"):
        translate(tmp_path / "in.png", tmp_path / "c.png", model=str(path), compile=True)


def test_it_is_described_with_the_norm_layers_that_stay(tmp_path):
    path = scripted(small_resnet(ngf=2, n_blocks=1), tmp_path / "net.pt", "trace")
    found = describe_model(path)
    assert found.norms == {"InstanceNorm2d": 7}
    assert found.replaced == {}
    assert found.opaque
    assert json.dumps(dataclasses.asdict(found))
    assert not describe_model("he2ihc").opaque
    with pytest.raises(OptionError, match=r"net is TorchScript; the suffix must be \.pt"):
        convert_model(path, tmp_path / "x.safetensors")
    with pytest.raises(OptionError, match=r"he2ihc is not TorchScript; the suffix must be"):
        convert_model("he2ihc", tmp_path / "x.pt")


class Markers(nn.Module):
    """Seven channels of 0..1 into two."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Conv2d(7, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.layer(x - 0.5))


@pytest.mark.parametrize("how", ["script", "frozen"])
def test_what_a_script_takes_is_stored_beside_its_code(how, tmp_path):
    path, named = scripted(Markers(), tmp_path / "net.pt", how, 7), tmp_path / "named.pt"
    pixels = np.random.default_rng(0).integers(0, 4096, (7, 96, 160)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "in.ome.tif", pixels, metadata={"axes": "CYX"})
    assert load_generator(path).info.in_channels == 7
    with pytest.raises(CheckpointError, match=r"uhrt models convert --inputs"):
        translate(tmp_path / "in.ome.tif", tmp_path / "out.ome.tif", model=str(path))
    convert_model(
        path, named, inputs=["channels"], channels=["CD3", "CD8"], cell=64,
        input_range=(0.0, 4095.0), value_range=(0.0, 1.0), description="Two of seven.",
    )  # fmt: skip
    found = describe_model(named)
    assert (found.inputs, found.channels, found.cell) == (("channels",), ("CD3", "CD8"), 64)
    assert (found.input_range, found.opaque) == ((0, 4095), True)
    again = convert_model(named, tmp_path / "again.pt", mpp=0.5)
    assert (again.description, again.mpp) == ("Two of seven.", 0.5)
    translate(tmp_path / "in.ome.tif", tmp_path / "out.ome.tif", model=str(named), bits=32)
    with torch.inference_mode():
        expected = Markers()(torch.from_numpy(pixels / np.float32(4095))[None])[0].numpy()
    written = tifffile.imread(tmp_path / "out.ome.tif")
    # The image's ends are continued by reflection, and the network's by zeros.
    assert np.abs(written - expected)[:, 1:-1, 1:-1].max() < 1e-4


def test_facts_of_a_script_that_are_out_of_bounds_are_an_error(tmp_path):
    path = scripted(Convolutions(), tmp_path / "net.pt")
    network = torch.jit.load(path)
    for text in ("{", '{"format": 99}', dump_facts(GeneratorInfo("resnet"))):
        torch.jit.save(network, path, {torchscript.FACTS: text})
        with pytest.raises(CheckpointError, match=r"net\.pt: its (metadata|format|architecture)"):
            load_generator(path)


def test_tiles_are_chosen_without_a_look_inside(tmp_path):
    runner = GeneratorRunner(
        load_generator(scripted(Convolutions(), tmp_path / "net.pt")), torch.device("cpu")
    )
    assert 128 <= choose_tile(runner, 8, 128, 1000, 1) <= 2048


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (OnGpu(), r"made on a GPU .* trace it again"),
        (Saves(), r"refused, as its TorchScript calls torch\.save"),
        (Maps(), r"refused, as its TorchScript calls torch\.from_file"),
        (Pairs(), r"net\.pt: no input size gives an output of the same size \(the output is tuple"),
        (AddsFromGpu(), r"net\.pt: needs a GPU wherever its input is \(.*x\.device"),
        (Halves(), r"net\.pt: changes the size of images \(.* px came out as .*; a generator must"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_or_must_not_run_is_one_sentence(module, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = scripted(module, tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=message) as caught:
        load_generator(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert not list(tmp_path.glob("stolen*"))


def rewritten(source, target, change):
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for entry in old.infolist():
            content = change(entry.filename, old.read(entry))
            if content is not None:
                new.writestr(entry.filename, content, entry.compress_type)


def test_damaged_files_are_errors(tmp_path):
    path = scripted(Convolutions(), tmp_path / "net.pt")
    content = path.read_bytes()
    for part in (0.2, 0.7, 0.99):
        path.write_bytes(content[: int(len(content) * part)])
        with pytest.raises(CheckpointError, match="damaged"):
            load_generator(path)
    path.write_bytes(content)
    lacking = tmp_path / "lacking.pt"
    rewritten(path, lacking, lambda name, data: None if "/data/0" in name else data)
    with pytest.raises(CheckpointError, match=r"cannot load the TorchScript file"):
        load_generator(lacking)
    foreign = tmp_path / "foreign.pt"
    rewritten(
        path, foreign,
        lambda name, data: data + b"\n# ops.evil.run(x)" if name.endswith(".py") else data,
    )  # fmt: skip
    with pytest.raises(CheckpointError, match=r"calls ops\.evil\.run"):
        load_generator(foreign)


def test_content_that_claims_more_than_there_is_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torchscript, "_MOST_CODE", 1 << 16)
    path = scripted(Convolutions(), tmp_path / "net.pt")
    for name, kind in (("net/data/99", zipfile.ZIP_DEFLATED), ("net/code/x.py", 8)):
        bomb = tmp_path / "bomb.pt"
        bomb.write_bytes(path.read_bytes())
        with zipfile.ZipFile(bomb, "a") as archive:
            archive.writestr(name, bytes(1 << 20), kind)
        with pytest.raises(CheckpointError, match="claims more bytes than the file has"):
            load_generator(bomb)


def test_a_script_has_no_parts(tmp_path):
    path = scripted(Convolutions(), tmp_path / "net.pt")
    with pytest.raises(CheckpointError, match=r"of one network; leave out :G_A"):
        load_generator(f"{path}:G_A")
