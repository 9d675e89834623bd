"""Generators that take planes: the same ones in training as `uhrt translate` makes of a slide."""

import json
from contextlib import ExitStack, closing

import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image
from problems import SMALL, section

from uhrtranslate.enhance import Stack, Tally, illuminance
from uhrtranslate.errors import InputError
from uhrtranslate.models import load_generator
from uhrtranslate.tables import PLANES
from uhrtranslate.tasks.train import read_train_options, train
from uhrtranslate.tasks.translate import translate
from uhrtranslate.training.data.patches import open_patches
from uhrtranslate.training.networks.plane_maker import PlaneMaker
from uhrtranslate.training.options import DataOptions

OF_COLOURS = [name for name, plane in PLANES.items() if plane.channels]
INPUTS = ("rgb", "enhanced", "grey", "enhanced-colour", "standardised")


def dark(pixels, bits=8):
    """What is dark in a stained image is bright in this one, on black."""
    light = (255 - pixels.astype(np.uint32)) ** 2 // 400 + 3
    return light.astype(np.uint8) if bits == 8 else (light * 17).astype(np.uint16)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(64, 64))


@pytest.fixture
def opened():
    """Open patches, to be closed at the end."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(closing(open_patches(*arguments)))


@pytest.fixture
def desk(tmp_path):
    for i, (top, left) in enumerate([(0, 0), (200, 300)]):
        part = section()[top : top + 200, left : left + 180]
        write(tmp_path / "a" / f"{i}.tif", dark(part, (8, 16)[i]))
        write(tmp_path / "b" / f"{i}.tif", part)
    return tmp_path


@pytest.mark.parametrize("name", OF_COLOURS)
@pytest.mark.parametrize("domain", ["A", "B"])
def test_planes_of_tensors_are_those_of_pixels(name, domain):
    """Those that methods make of their own results, with a gradient."""
    pixels = dark(section()[:64, :64]) if domain == "A" else section()[:64, :64]
    histograms = {"A": Tally.of(dark(section())), "B": Tally.of(section())}
    maker = PlaneMaker((name, "rgb"), domain)
    maker.fit(histograms)
    x = torch.tensor(pixels / 127.5 - 1, dtype=torch.float32).permute(2, 0, 1)[None]
    x.requires_grad_(True)
    found = maker(x)
    assert torch.equal(found[:, -3:], x)
    found[:, :-3].sum().backward()
    assert float(x.grad.abs().mean()) > 0.1
    expected = Stack((name,), histograms[domain], histograms["B"])(pixels)
    found = ((found[0, :-3].detach().permute(1, 2, 0).numpy() + 1) * 127.5).clip(0, 255)
    # Luma is a whole number for pixels; where the table is steep, that is several levels.
    assert np.abs(found - expected).mean() < 1


def check_planes(samples, sources, target, count=12):
    """Each sample's planes are the same part of the planes of one of the whole images."""
    wholes = [Stack(INPUTS, Tally.of(one), Tally.of(target))(one) for one in sources]
    for number in range(count):
        sample = samples(number)
        planes = np.round((sample["planes"].transpose(1, 2, 0) + 1) * 127.5).astype(np.uint8)
        assert np.array_equal(sample["A"], sample["planes"][:3])
        windows = [np.lib.stride_tricks.sliding_window_view(w, planes.shape)[..., 0, :, :, :]
                   for w in wholes]  # fmt: skip
        corners = [(w[..., 0, 0, :] == planes[0, 0]).all(axis=-1) for w in windows]
        found = [w[c] for w, c in zip(windows, corners, strict=True)]
        assert any((one == planes).all(axis=(1, 2, 3)).any() for one in found if len(one))


@pytest.mark.parametrize("paired", [False, True])
def test_patches_get_the_planes_of_the_whole_image(desk, opened, paired):
    options = DataOptions(a=desk / "a", b=desk / "b", patch=64, tissue=0, flip=False)
    patches = opened(options, paired, 1, INPUTS)
    sources = [tifffile.imread(desk / "a" / f"{i}.tif") for i in (0, 1)]
    target = np.concatenate([tifffile.imread(desk / "b" / f"{i}.tif") for i in (0, 1)])
    assert patches.histograms["B"].narrowed().counts.tolist() == Tally.of(target).counts.tolist()
    assert patches.histograms["A"].total == patches.histograms["B"].total
    check_planes(patches.sample, sources, target)


def test_images_side_by_side_have_a_histogram_each(tmp_path, opened):
    stained = section()[:200, :180]
    write(tmp_path / "a" / "0.tif", np.hstack([dark(stained), stained]))
    options = DataOptions(a=tmp_path / "a", pairs="side-by-side", patch=64, tissue=0, flip=False)
    patches = opened(options, True, 1, INPUTS)
    assert patches.histograms["B"].counts.tolist() == Tally.of(stained).counts.tolist()
    check_planes(patches.sample, [dark(stained)], stained)


def test_matched_planes_do_not_follow_changed_colours(desk, opened):
    options = DataOptions(a=desk / "a", b=desk / "b", patch=64, tissue=0)
    plain = opened(options, False, 1, INPUTS).sample(3)
    changed = opened(options.model_copy(update={"jitter": 0.3}), False, 1, INPUTS).sample(3)
    moved = np.abs(plain["planes"] - changed["planes"]).max(axis=(1, 2))
    assert [bool(m > 0.01) for m in moved] == [True] * 3 + [False] + [True] + [False] * 4
    assert np.abs(changed["planes"][:3] - changed["A"]).max() < 0.005
    luma = illuminance(np.round((changed["planes"][:3].T + 1) * 127.5).astype(np.uint8))
    assert np.array_equal(np.round((changed["planes"][4].T + 1) * 127.5), luma)


def test_toned_grey_is_made_of_bright_sources_with_a_histogram_each(desk, opened):
    for i, shift in enumerate((30, 60)):
        pale = section()[:200, :180].clip(0, 255 - shift) + np.uint8(shift)
        write(desk / "pale" / f"{i}.tif", pale)
    options = DataOptions(a=desk / "pale", b=desk / "b", patch=64, tissue=0, flip=False)
    patches = opened(options, False, 1, ("toned",))
    target = patches.histograms["B"]
    wholes = [tifffile.imread(desk / "pale" / f"{i}.tif") for i in (0, 1)]
    levels = [Stack(("toned",), Tally.of(one), target)(one) for one in wholes]
    assert abs(levels[0].mean() - levels[1].mean()) < abs(wholes[0].mean() - wholes[1].mean()) / 2
    sample = patches.sample(0)
    made = np.round((sample["planes"] + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
    pixels = np.round((sample["A"] + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0)
    expected = [Stack(("toned",), Tally.of(one), target)(pixels) for one in wholes]
    assert any(np.array_equal(made, one) for one in expected)


def test_without_planes_nothing_is_counted(desk, opened):
    options = DataOptions(a=desk / "a", b=desk / "b", patch=64, tissue=0)
    patches = opened(options, False, 1)
    assert patches.histograms == {}
    assert patches.sample(0).keys() == {"A", "B"}
    grey = opened(options, False, 1, ("grey",))
    assert grey.histograms == {}
    assert grey.sample(0)["planes"].shape == (1, 64, 64)


def test_bright_sources_are_refused(desk, opened):
    options = DataOptions(a=desk / "b", b=desk / "a", patch=64, tissue=0)
    with pytest.raises(InputError, match=r"are no dark fields.*generator.inputs: \[rgb\]"):
        opened(options, False, 1, INPUTS)


@pytest.mark.parametrize("method", ["pix2pix", "cyclegan"])
def test_what_was_trained_on_planes_translates_by_itself(desk, method):
    config = {
        "method": method,
        **SMALL,
        "data": {"a": "a", "b": "b", "patch": 64, "tissue": 0, "epoch": 2},
        "generator": {"architecture": "resnet", "ngf": 4, "blocks": 1, "norm": "instance",
                      "inputs": ["grey", "enhanced"]},
        "epochs": 1,
        "decay": 0,
        "validation": {"image": "a/1.tif", "every": 1},
    }  # fmt: skip
    for section_name, keys in (("data", "ab"), ("validation", ["image"])):
        config[section_name] |= {key: str(desk / config[section_name][key]) for key in keys}
    (desk / "config.yaml").write_text(yaml.safe_dump(config))
    result = train(read_train_options(desk / "config.yaml"), desk / "run")
    info = load_generator(result.generators["A2B"]).info
    assert (info.inputs, info.in_channels) == (("grey", "enhanced"), 2)
    stained = np.concatenate([tifffile.imread(desk / "b" / f"{i}.tif") for i in (0, 1)])
    assert list(info.histogram) == Tally.of(stained).counts.tolist()

    translate(desk / "a/1.tif", desk / "x.tif", model=result.generators["A2B"])
    found = tifffile.imread(desk / "x.tif")
    assert found.shape == (200, 180, 3)
    assert np.array_equal(tifffile.imread(desk / "run/validation/epoch-0001.tif"), found)
    if method == "cyclegan":
        assert load_generator(result.generators["B2A"]).info.inputs == ("rgb",)
    assert json.loads((desk / "run/data.json").read_text()).keys() == {"A", "B"}
    with Image.open(desk / "run/samples/epoch-0001.png") as grid:
        assert grid.width == 4 * 64 + 3 * 4
