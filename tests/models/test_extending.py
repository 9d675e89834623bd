"""A family of generators is one file and one line of a table."""

import json

import numpy as np
import pytest
import skimage.data
import torch
from extending import package_with, run_uhrt
from PIL import Image
from torch import nn

FILE = '''
"""One convolution, one norm, one convolution."""

from torch import nn

from uhrtranslate.models.family import Family, is_conv, shape_of


class Short(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.enter = nn.Conv2d(3, width, 3, padding=1, padding_mode="reflect")
        self.norm = nn.InstanceNorm2d(width)
        self.leave = nn.Conv2d(width, 3, 1)

    def forward(self, x):
        return self.leave(self.norm(self.enter(x)).relu()).tanh()


def recognise(state):
    if not (is_conv(state, "enter.weight", 3) and is_conv(state, "leave.weight", 1)):
        return None
    return {"width": shape_of(state, "enter.weight")[0]}


SHORT = Family("short", Short, recognise, lambda arguments: 1)
'''


@pytest.mark.slow
def test_a_new_family_is_recognised_described_converted_and_run(tmp_path):
    package = package_with(
        tmp_path / "copy", "models/short.py", FILE, "GENERATOR_FAMILIES",
        '"short": "models.short:SHORT",',
    )  # fmt: skip
    layers = {"enter": nn.Conv2d(3, 6, 3), "leave": nn.Conv2d(6, 3, 1)}
    torch.save({"netG": nn.ModuleDict(layers).state_dict()}, tmp_path / "mine.pth")
    Image.fromarray(skimage.data.immunohistochemistry()[:80, :96]).save(tmp_path / "a.png")
    done = run_uhrt(package, "models", "show", "mine.pth", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert (facts["architecture"], facts["arguments"], facts["stride"]) == (
        "short",
        {"width": 6},
        1,
    )
    command = ("models", "convert", "mine.pth", "mine.safetensors", "--cell", 32)
    done = run_uhrt(package, *command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    pixels = []
    for model in ("mine.pth", "mine.safetensors"):
        result = f"{model}.png"
        done = run_uhrt(
            package, "translate", "a.png", "--model", model, "--cell", 32, "-o", result,
            cwd=tmp_path,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    pixels = [
        np.asarray(Image.open(tmp_path / f"mine.{kind}.png")) for kind in ("pth", "safetensors")
    ]
    assert pixels[0].std() > 1
    assert np.array_equal(*pixels)
