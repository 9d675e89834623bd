"""Generators with a slide's statistics as constants, as other programs run them."""

import dataclasses
import json
import sys

import numpy as np
import onnx
import pytest
import skimage.data
import tifffile
import torch
from support import as_generator, small_resnet
from torch import nn

from uhrtranslate.cli.app import run_program
from uhrtranslate.errors import (
    CheckpointError,
    MissingExtraError,
    OptionError,
    OutputError,
    warnings_kept,
)
from uhrtranslate.models.exported import run_onnx, run_torchscript
from uhrtranslate.options import make_options
from uhrtranslate.tasks.export import export_model
from uhrtranslate.tasks.translate import translate

RUN = {"pt": run_torchscript, "onnx": run_onnx}


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A real stained section of a size that is no multiple of anything."""
    path = tmp_path_factory.mktemp("slides") / "patient_17.tif"
    section = skimage.data.immunohistochemistry()[:501, :389]
    tifffile.imwrite(
        path, section, tile=(256, 256), photometric="rgb", resolution=(2e4, 2e4),
        resolutionunit="CENTIMETER",
    )  # fmt: skip
    return path


def load(path, extra=None):
    """A TorchScript file, with the texts in it; torch announces the end of these files."""
    with warnings_kept():
        return torch.jit.load(path, _extra_files=extra)


def tile_wise(content, run, pixels, exported, tile):
    """What a program that knows nothing of uhrt does: tiles with context, results put together."""
    height, width = pixels.shape[:2]
    around, core = exported.context, slice(exported.context, exported.context + tile)
    padding = [(around, around + -side % tile) for side in (height, width)]
    x = torch.from_numpy(np.pad(pixels, [*padding, (0, 0)], mode="reflect"))
    x = x.permute(2, 0, 1)[None].float() / 255
    whole = np.zeros_like(pixels)
    for top in range(0, height, tile):
        for left in range(0, width, tile):
            seen = x[..., top : top + tile + 2 * around, left : left + tile + 2 * around]
            y = run(content, seen.contiguous())[0, :, core, core].permute(1, 2, 0).numpy()
            part = whole[top : top + tile, left : left + tile]
            part[:] = (y * 255 + 0.5).astype(np.uint8)[: part.shape[0], : part.shape[1]]
    return whole


class Shared(nn.Module):
    """A norm layer that is used twice, a grey picture in and out, and a range of its own."""

    stride, value_range = 1, (0.0, 2.0)

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm, self.last = nn.InstanceNorm2d(4, affine=True), nn.Conv2d(4, 1, 1)
        nn.init.normal_(self.norm.weight, 1, 0.5)

    def forward(self, x):
        x = self.norm(self.first(x)).relu()
        return 2 * self.last(self.norm(self.second(x))).sigmoid()


def grey():
    torch.manual_seed(3)
    facts = {"in_channels": 1, "out_channels": 1, "stride": 1, "value_range": (0.0, 2.0)}
    return as_generator(Shared(), cell=128, **facts)


def resnet(**facts):
    return as_generator(small_resnet(ngf=4, n_blocks=2), cell=128, **facts)


@pytest.mark.parametrize("kind", RUN)
@pytest.mark.parametrize("make", [resnet, grey])
@pytest.mark.parametrize(
    "how",
    [
        {},
        {"region": (64, 100, 256, 300), "thumbnail": "square"},
        {"norm": "pooled", "bandwidth": "inf"},
    ],
)
def test_a_program_that_runs_tiles_gets_what_uhrt_gives(slide, tmp_path, kind, make, how):
    target = tmp_path / f"frozen.{kind}"
    exported = export_model(slide, target, make_options({"norm": "tin", **how}), make())
    translate(slide, tmp_path / "ours.png", generator=make(), **{"norm": "tin", **how})
    ours = skimage.io.imread(tmp_path / "ours.png")
    assert ours.std() > 10, "a flat result would prove nothing"
    pixels = tifffile.imread(slide)
    if "region" in how:
        x, y, w, h = how["region"]
        pixels = pixels[y : y + h, x : x + w]
    content = target.read_bytes()
    for tile in (96, 256):
        theirs = tile_wise(content, RUN[kind], pixels, exported, tile)
        assert np.abs(theirs.astype(int) - ours).max() <= 1
    assert exported.deviation < 0.1


def test_uhrt_runs_what_it_exported(slide, tmp_path):
    export_model(slide, tmp_path / "a.pt", make_options({"norm": "tin"}), resnet())
    translate(slide, tmp_path / "ours.png", generator=resnet(), norm="tin")
    translate(slide, tmp_path / "again.png", model=str(tmp_path / "a.pt"), tile=128)
    ours, again = (skimage.io.imread(tmp_path / name) for name in ("ours.png", "again.png"))
    assert np.abs(again.astype(int) - ours).max() <= 1


def test_without_the_constants_tiles_would_differ(slide, tmp_path):
    """The same network with its own statistics in each tile, which shows that the test can fail."""
    generator = resnet()
    translate(slide, tmp_path / "ours.png", generator=generator, norm="tin")
    exported = export_model(slide, tmp_path / "a.pt", make_options({"norm": "tin"}), generator)
    plain = small_resnet(ngf=4, n_blocks=2).eval()

    def run(_, x):
        with torch.inference_mode():
            return (plain(x * 2 - 1) + 1) / 2

    theirs = tile_wise(b"", run, tifffile.imread(slide), exported, 96)
    ours = skimage.io.imread(tmp_path / "ours.png")
    assert np.abs(theirs.astype(int) - ours).max() > 10


def test_files_say_how_to_use_them_but_not_whose_slide_it_was(slide, tmp_path):
    options = make_options({"norm": "tin"})
    about = {"README.txt": "", "uhrt.json": ""}
    exported = export_model(slide, tmp_path / "a.pt", options, resnet())
    load(tmp_path / "a.pt", about)
    model = onnx.load(export_model(slide, tmp_path / "a.onnx", options, resnet()).path)
    properties = {one.key: one.value for one in model.metadata_props}
    assert properties["README.txt"] == model.doc_string == about["README.txt"].decode()
    assert [one.version for one in model.opset_import] == [17]
    for text in (about["README.txt"].decode(), properties["README.txt"]):
        for needed in ("RGB, 0..1", f"{exported.context} px", "multiples of 4 px", "0.5 um/px"):
            assert needed in text
    for facts in (json.loads(about["uhrt.json"]), json.loads(properties["uhrt.json"])):
        assert facts["context"] == exported.context > 0
        assert (facts["norm"], facts["multiple"], facts["mpp"]) == ("tin", 4, [0.5, 0.5])
    for file in ("a.pt", "a.onnx"):
        assert b"patient_17" not in (tmp_path / file).read_bytes()


@pytest.mark.parametrize(
    ("options", "name", "told"),
    [
        ({"norm": "pooled"}, "a.pt", r"--norm pooled: its statistics differ .* --bandwidth inf"),
        ({"norm": "dn"}, "a.pt", r"--norm dn: its statistics differ from place to place.* tin"),
        ({"norm": "kin"}, "a.onnx", "--norm kin: its statistics differ"),
        ({"norm": "in"}, "a.onnx", "--norm in: its statistics differ"),
        ({"norm": "tin", "pad": "reflect"}, "a.pt", "--pad reflect"),
        ({"norm": "tin"}, "a.pth", r"a.pth: the ending must be .pt .* or .onnx"),
    ],
)
def test_what_cannot_be_constant_is_refused(slide, tmp_path, options, name, told):
    with pytest.raises(OptionError, match=told):
        export_model(slide, tmp_path / name, make_options(options), resnet())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"covariant": False, "period": 32}, "must be blended, which other programs do not"),
        ({"out_channels": 5}, "takes or gives other planes than RGB or grey"),
    ],
)
def test_a_generator_that_other_programs_cannot_run_is_refused(slide, tmp_path, facts, told):
    with pytest.raises(OptionError, match=told):
        export_model(slide, tmp_path / "a.pt", make_options({"norm": "tin"}), resnet(**facts))
    assert not list(tmp_path.iterdir())


def test_a_generator_of_channels_is_refused_whatever_the_slide(tmp_path):
    pixels = np.zeros((7, 256, 256), np.uint16)
    tifffile.imwrite(tmp_path / "in.ome.tif", pixels, metadata={"axes": "CYX"})
    made = as_generator(
        small_resnet(ngf=4, in_channels=7), cell=128, in_channels=7, inputs=("channels",)
    )
    with pytest.raises(OptionError, match="takes or gives other planes than RGB or grey"):
        export_model(
            tmp_path / "in.ome.tif", tmp_path / "a.pt", make_options({"norm": "tin"}), made
        )


def test_an_existing_file_is_kept_unless_overwritten(slide, tmp_path):
    target = tmp_path / "a.pt"
    target.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already"):
        export_model(slide, target, make_options({"norm": "tin"}), resnet())
    assert target.read_bytes() == b"old"
    export_model(slide, target, make_options({"norm": "tin", "overwrite": True}), resnet())
    assert load(target)(torch.rand(1, 3, 64, 64)).shape == (1, 3, 64, 64)


class OfItsSize(nn.Module):
    """Does something else with larger inputs, which a traced graph forgets."""

    def forward(self, x):
        return x / 2 if x.shape[-1] > 70 else x


class Flat(nn.Module):
    """Gives no picture."""

    def forward(self, x):
        return x.flatten()


@pytest.mark.parametrize("kind", RUN)
@pytest.mark.parametrize("module", [OfItsSize(), Flat()])
def test_a_network_that_tracing_would_change_is_not_written(slide, tmp_path, kind, module):
    generator = dataclasses.replace(resnet(), module=module)
    options = make_options({"norm": "tin", "halo": 0})
    with pytest.raises(CheckpointError, match=r"cannot be exported|keep the size"):
        export_model(slide, tmp_path / f"a.{kind}", options, generator)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(slide, tmp_path, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'uhrtranslate\[export\]'"):
        export_model(slide, tmp_path / "a.onnx", make_options({"norm": "tin"}), resnet())
    assert not list(tmp_path.iterdir())
    export_model(slide, tmp_path / "a.pt", make_options({"norm": "tin"}), resnet())


def test_the_command(slide, tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["uhrt", "models", "export", str(slide), *arguments])
        with pytest.raises(SystemExit) as stop:
            run_program()
        return stop.value.code or 0, capsys.readouterr()

    target = tmp_path / "he2ihc.pt"
    code, printed = run("-o", str(target))
    assert (code, printed.out) == (0, f"{target}\n")
    assert load(target)(torch.rand(1, 3, 64, 64)).shape == (1, 3, 64, 64)
    code, printed = run("-o", str(target), "--overwrite", "--json")
    assert json.loads(printed.out)["norm"] == "tin"
    code, printed = run("-o", str(tmp_path / "b.pt"), "--norm", "dn")
    assert (code, printed.err.count("\n")) == (2, 1)
