"""Something new is one file of its own and one line of `tables.py`, and nothing else.

Each test makes a copy of the package with such a file and line, and uses the new member on the
command line.
"""

import csv
import json

import numpy as np
import pytest
import skimage.data
import torch
from extending import package_with, run_uhrt
from PIL import Image
from torch import nn

pytestmark = pytest.mark.slow

NORMALIZER = '''
"""The mean of all cells of a window."""

from dataclasses import dataclass

import torch

from uhrtranslate.normalizers.base import Normalizer


@dataclass(frozen=True)
class Mine(Normalizer):
    def weights(self, position, cells):
        return torch.full((len(position), cells), 1 / cells, dtype=torch.float64)
'''


def test_a_new_normalizer_translates(tmp_path):
    package = package_with(
        tmp_path / "copy",
        "normalizers/mine.py",
        NORMALIZER,
        "NORMALIZERS",
        '"mine": "normalizers.mine:Mine",',
    )
    Image.fromarray(skimage.data.immunohistochemistry()[:96, :128]).save(tmp_path / "a.png")
    common = ("translate", "a.png", "--cell", 64, "--halo", 0, "--norm")
    done = run_uhrt(package, *common, "mine", "-o", "mine.png", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert np.asarray(Image.open(tmp_path / "mine.png")).shape == (96, 128, 3)
    done = run_uhrt(package, *common, "yours", cwd=tmp_path)
    assert done.returncode == 2
    assert "mine" in done.stderr


BLEND = '''
"""Only the inner half of a tile counts, nearly."""

import numpy as np

from uhrtranslate.geometry.windows.ramps import Window


def inner(height: int, width: int, overlap: int) -> Window:
    window = np.full((height, width), 1e-3, np.float32)
    window[height // 4 : -height // 4, width // 4 : -width // 4] = 1
    return window
'''


def test_a_new_blend_weighs_overlapping_tiles(tmp_path):
    package = package_with(
        tmp_path / "copy", "geometry/windows/inner.py", BLEND, "BLENDS",
        '"inner": "geometry.windows.inner:inner",',
    )  # fmt: skip
    (tmp_path / "edges.py").write_text(
        "import torch\n"
        "class Edges(torch.nn.Module):\n"
        "    covariant, stride = False, 4\n"
        "    def forward(self, x):\n"
        "        y = torch.full_like(x, 1.0)\n"
        "        y[..., 16:-16, 16:-16] = -1.0\n"
        "        return y\n"
    )
    Image.fromarray(skimage.data.immunohistochemistry()[:160, :192]).save(tmp_path / "a.png")
    common = ("translate", "a.png", "--model", "edges:Edges", "--cell", 64, "--overlap", 32)
    inside = {}
    for blend in ("inner", "linear"):
        done = run_uhrt(
            package, *common, "--blend", blend, "-o", f"{blend}.png", "--json", cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["blend"] == blend
        # Away from the image's ends, where there is a tile's inner half over every pixel.
        inside[blend] = np.asarray(Image.open(tmp_path / f"{blend}.png"))[32:-32, 32:-32]
    assert inside["inner"].max() <= 1
    assert inside["linear"].max() > 50
    done = run_uhrt(package, *common, "--blend", "outer", cwd=tmp_path)
    assert done.returncode == 2
    assert "inner" in done.stderr


FAMILY = '''
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


def test_a_new_family_is_recognised_described_converted_and_run(tmp_path):
    package = package_with(
        tmp_path / "copy", "models/short.py", FAMILY, "GENERATOR_FAMILIES",
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


STAIN_METHOD = '''
"""Each channel gets the target's mean."""

from uhrtranslate.stain.base import Fit, enough, rounded


class Means(Fit):
    mean: tuple[float, float, float]

    def facts(self):
        return dict(zip(("red", "green", "blue"), self.mean, strict=True))


class Mine:
    name = "mine"
    fit_type = Means
    keeps_glass = True

    def fit(self, colours):
        return Means(mean=enough(colours).mean(0).tolist())

    def transform(self, colours, source, target):
        gain = [t / s for s, t in zip(source.mean, target.mean, strict=True)]
        return rounded(colours * gain)
'''


def test_a_new_stain_method_recolours_saves_its_fit_and_is_pictured(tmp_path):
    package = package_with(
        tmp_path / "copy",
        "stain/mine.py",
        STAIN_METHOD,
        "STAIN_METHODS",
        '"mine": "stain.mine:Mine",',
    )
    section = skimage.data.immunohistochemistry()[:256, :256]
    target = (section * [0.9, 0.7, 0.8]).astype(np.uint8)
    for name, pixels in (("a", section), ("target", target)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    done = run_uhrt(
        package, "stain-normalize", "a.png", "--method", "mine", "--target", "target.png",
        "--save-fit", "fit.json", "--qc", "qc", "-o", "b.png", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    fit = json.loads((tmp_path / "fit.json").read_text())
    assert fit["method"] == "mine"
    (row,) = csv.DictReader((tmp_path / "qc" / "stains.csv").read_text().splitlines())
    assert float(row["blue"]) > fit["fit"]["mean"][2]
    assert (tmp_path / "qc" / "a.png").is_file()
    result = np.asarray(Image.open(tmp_path / "b.png")).astype(float)
    assert np.abs(result.mean((0, 1)) - target.mean((0, 1))).max() < 6


FIGURE = '''
"""How bright an image is, beside its source."""

from uhrtranslate.evaluation.figures.base import Figure
from uhrtranslate.metrics.sums import MapSums
from uhrtranslate.metrics.planes import inside
from uhrtranslate.report import Group, Measure


class Light(Figure):
    group = Group(
        "Light", {"mean": Measure("Mean level", "higher", 1), "gain": Measure("Gain", "one")}
    )
    needs = ("source",)
    areas = "blocks"

    def sums(self, area):
        rows, columns = inside(area.pixels, area.halo)
        blocks = [one[rows, columns] for one in (area.partners["source"], area.pixels)]
        return tuple(MapSums(block.size, float(block.sum())) for block in blocks)

    def of_image(self, image, sums):
        before, after = (one.mean for one in sums)
        return {"mean": after, "gain": after / before}

    def of_all(self, images):
        return {"patches": len(images.outputs.draw(0).patches)}
'''


def test_a_new_figure_is_measured_shown_and_compared_with_a_limit(tmp_path):
    package = package_with(
        tmp_path / "copy", "evaluation/figures/light.py", FIGURE, "FIGURES",
        '"light": "evaluation.figures.light:Light",',
    )  # fmt: skip
    section = np.tile(skimage.data.immunohistochemistry(), (3, 1, 1))[:1110]  # two blocks
    results = {"a.png": (section * 0.8).astype(np.uint8), "b.png": section[:400] // 5 * 4}
    for name, result in results.items():
        for folder, pixels in (("source", section[: len(result)]), ("result", result)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / folder / name)
    done = run_uhrt(
        package, "evaluate", "result", "--source", "source", "--patches", 8, "--grid", 160,
        "-o", "page", "--fail-if", "light.gain<0.9", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert "a.png: light.gain<0.9 holds." in done.stderr
    content = json.loads((tmp_path / "page" / "evaluation.json").read_text())
    for one, result in zip(content["images"], results.values(), strict=True):
        assert one["metrics"]["light"]["mean"] == pytest.approx(result.mean())
    together = content["together"]["metrics"]["light"]
    assert together["patches"] == 8
    assert together["gain"] == pytest.approx(0.8, abs=0.02)
    page = (tmp_path / "page" / "index.html").read_text()
    assert "Mean level" in page
    assert "nearest to 1 is best" in page
