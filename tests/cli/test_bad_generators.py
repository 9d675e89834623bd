"""Generators that cannot translate: a sentence, nothing half-written, other inputs go on."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from support import small_resnet
from torch import nn
from torch.nn.utils import parametrize

NETWORKS = '''
import torch
from torch import nn

class Halves(nn.Module):
    def forward(self, x):
        return nn.functional.avg_pool2d(x, 2)

class Unpadded(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, 3)
    def forward(self, x):
        return self.layer(x)

class AddsFromGpu(nn.Module):
    def forward(self, x):
        return x + torch.zeros(1).cuda()

class Crops(nn.Module):
    """Keeps small sizes only, which no trial sees."""
    stride, halo = 4, 0
    def forward(self, x):
        return x if x.shape[-1] < 200 else x[..., :-4]

class Infinite(nn.Module):
    stride, halo = 4, 0
    def forward(self, x):
        return x / 0
'''


class Doubled(nn.Module):
    """A parametrization of somebody's own."""

    def forward(self, weight):
        return weight * 2


@pytest.fixture(scope="module")
def desk(folder):
    """Networks and checkpoints beside the other inputs."""
    (folder / "bad_networks.py").write_text(NETWORKS)
    network = small_resnet(ngf=4, n_blocks=1)
    torch.save(network.state_dict(), folder / "plain.pth")
    parametrize.register_parametrization(network.model[1], "weight", Doubled())
    torch.save(network.state_dict(), folder / "doubled.pth")
    halves = nn.Sequential(nn.Conv2d(3, 3, 1), nn.AvgPool2d(2)).eval()
    torch.jit.trace(halves, torch.zeros(1, 3, 64, 64)).save(str(folder / "halves.pt"))
    return folder


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("bad_networks:Halves", "bad_networks:Halves: changes the size of images ("),
        ("bad_networks:Unpadded", "bad_networks:Unpadded: changes the size of images ("),
        ("halves.pt", "halves.pt: changes the size of images ("),
        ("bad_networks:AddsFromGpu", "bad_networks:AddsFromGpu: needs a GPU wherever its input is"),
        ("doubled.pth", "model.1.weight is stored as model.1.parametrizations.weight.original, a "),
        ("none.pth", "none.pth: is neither a file nor a bundled generator"),
    ],
)
def test_the_command_ends_with_a_sentence(uhrt_here, desk, tmp_path, model, told):
    target = tmp_path / "out"
    done = uhrt_here(
        "translate", "photo.png", "slide.tif", "-o", target, "--model", model, "--cell", 64
    )
    assert done.returncode == 1
    (sentence,) = done.stderr.strip().splitlines()
    assert sentence.startswith("uhrt: ")
    assert told in sentence
    assert not done.stdout
    assert not target.exists()


def statuses(done):
    return [json.loads(line)["status"] for line in done.stdout.splitlines()]


def test_other_rows_of_a_manifest_go_on(uhrt_here, desk, tmp_path):
    (desk / "models.csv").write_text(
        "path,model\nphoto.png,doubled.pth\nmore/slide.png,plain.pth\nslide.tif,halves.pt\n"
    )
    target = tmp_path / "out"
    given = ("--cell", 64, "-q", "--json")
    done = uhrt_here("translate", "--manifest", "models.csv", "-o", target, *given)
    assert done.returncode == 1
    assert statuses(done) == ["failed", "done", "failed"]
    assert "2 of 3 inputs failed:" in done.stderr
    for line, name in zip(done.stderr.splitlines()[-2:], ("photo.png", "slide.tif"), strict=True):
        assert line.startswith(f"  {name}: "), "whose generator it is"
    found = [path.name for path in target.rglob("*") if path.is_file()]
    assert sorted(found) == ["slide.png.dn.tif", "uhrt-run.json"]


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ("Crops", "slide.tif: bad_networks:Crops: the generator turned 256 x 256 px into"),
        ("Infinite", "slide.tif: bad_networks:Infinite: the generator gave values that are not f"),
    ],
)
def test_what_shows_in_tiles_only_leaves_nothing_behind(uhrt_here, desk, tmp_path, network, told):
    small = tmp_path / "small.png"
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(small)
    target = tmp_path / "out"
    given = ("--model", f"bad_networks:{network}", "--cell", 64, "--tile", 256, "--json")
    done = uhrt_here("translate", "slide.tif", small, "-o", target, *given)
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    expected = ["failed", "failed" if network == "Infinite" else "done"]
    assert statuses(done) == expected
    found = sorted(path.name for path in target.iterdir())
    assert found == (["small.dn.tif"] if "done" in expected else []) + ["uhrt-run.json"]
