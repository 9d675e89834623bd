"""Slides that do not say their resolution, or say another than the generator's."""

import json

import numpy as np
import pytest
import skimage.data
import tifffile
import yaml
from PIL import Image
from support import small_resnet

from uhrtranslate.io import open_slide
from uhrtranslate.models import GeneratorInfo, save_native


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A generator trained at 0.5 um/px; a photo, and slides of 0.25, 0.5 and 2 um/px."""
    desk = tmp_path_factory.mktemp("desk")
    section = skimage.data.immunohistochemistry()[:256, :256]
    Image.fromarray(section).save(desk / "photo.png")
    (desk / "photos").mkdir()
    for name in "ab":
        Image.fromarray(section[:128]).save(desk / "photos" / f"{name}.png")
    for mpp in (0.25, 0.5, 2):
        tifffile.imwrite(
            desk / f"{mpp:g}.tif", section, tile=(128, 128), photometric="rgb",
            resolution=(1e4 / mpp, 1e4 / mpp), resolutionunit="CENTIMETER",
        )  # fmt: skip
    save_native(
        desk / "half.safetensors",
        small_resnet(ngf=4, n_blocks=1),
        GeneratorInfo("resnet", {"ngf": 4, "n_blocks": 1}, cell=64, mpp=0.5),
    )
    return desk


@pytest.fixture
def translate(uhrt_here, desk, tmp_path):
    def run(name, *arguments):
        return uhrt_here(
            "translate", desk / name, "--model", desk / "half.safetensors", "-o",
            tmp_path / "out.tif", "--overwrite", "--json", *arguments,
        )  # fmt: skip

    return run


def warnings(done):
    return [line for line in done.stderr.splitlines() if line.startswith("uhrt: warning: ")]


def test_an_unknown_or_unfit_resolution_is_warned_of_with_the_remedy(translate, desk):
    done = translate("photo.png")
    assert done.returncode == 0
    assert warnings(done) == [
        f"uhrt: warning: {desk}/photo.png: does not say its mpp, and half was trained at 0.5 "
        "um/px; state it with --source-mpp F or --source-power 20|40, with --mpp 0.5 to have it "
        "resampled."
    ]
    assert json.loads(done.stdout)["warnings"]["resolution"] in warnings(done)[0]
    (fine,) = warnings(translate("0.25.tif"))
    assert "at 0.25 um/px, and half was trained at 0.5 um/px; --mpp 0.5 would match" in fine
    (coarse,) = warnings(translate("2.tif"))
    assert "has no finer level" in coarse
    for fitting in (("0.5.tif",), ("0.25.tif", "--mpp", 0.5), ("photo.png", "--source-power", 20)):
        assert warnings(translate(*fitting)) == []
    assert warnings(translate("photo.png", "--quiet")) == []
    (planned,) = warnings(translate("photo.png", "--dry-run"))
    assert "does not say its mpp" in planned


def test_many_inputs_are_warned_of_once(uhrt_here, desk, tmp_path):
    done = uhrt_here(
        "translate", desk / "photos", "--model", desk / "half.safetensors", "-o", tmp_path / "out"
    )
    first, rest = warnings(done)
    assert "a.png: does not say its mpp" in first
    assert "1 more input has the same (resolution)" in rest
    record = json.loads((tmp_path / "out/uhrt-run.json").read_text())
    assert all("resolution" in one["warnings"] for one in record["inputs"])


@pytest.mark.parametrize(
    ("stated", "width", "mpp"),
    [
        (("--source-mpp", 0.25), 128, 0.5),
        (("--source-power", 40), 128, 0.5),
        (("--source-power", 20), 256, 0.5),
    ],
    ids=str,
)
def test_a_slide_is_told_its_resolution(translate, tmp_path, stated, width, mpp):
    done = translate("photo.png", *stated, "--mpp", 0.5)
    assert done.returncode == 0, done.stderr
    assert warnings(done) == []
    with open_slide(tmp_path / "out.tif") as slide:
        assert slide.info.width == width
        assert slide.info.mpp == pytest.approx((mpp, mpp), rel=1e-3)


def test_a_slide_that_says_something_else_is_overruled_and_that_is_said(translate):
    (told,) = warnings(translate("2.tif", "--source-mpp", 0.5))
    assert "says that it has 2 um/px, and is taken for 0.5, as you state." in told


def test_what_lacks_a_resolution_gets_the_remedy(translate):
    done = translate("photo.png", "--mpp", 1)
    assert done.returncode == 1
    assert "state it with --source-mpp F or --source-power 20|40" in done.stderr
    done = translate("photo.png", "--source-mpp", 1, "--source-power", 40)
    assert done.returncode == 2
    assert "exclude each other" in done.stderr


def test_manifests_and_yaml_state_it_too(uhrt_here, desk, tmp_path):
    table = tmp_path / "slides.csv"
    table.write_text(
        f"path,mpp,source_mpp,source_power\n{desk}/photo.png,0.5,0.25,\n{desk}/photos/a.png,1,,20\n"
        f"{desk}/photos/b.png,,,\n"
    )
    config = tmp_path / "options.yaml"
    config.write_text(f"model: {desk}/half.safetensors\nsource-power: 40\n")
    out = ("-o", tmp_path / "out", "--json")
    done = uhrt_here("translate", "--manifest", table, "-c", config, *out)
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["width"] for line in done.stdout.splitlines()] == [128, 128, 256]


def test_every_command_that_reads_slides_is_told(uhrt_here, desk, tmp_path):
    photo, half = desk / "photo.png", ("--source-mpp", 0.25, "--mpp", 0.5)
    runs = {
        "a.tif": ("stain-normalize", photo, "--target", photo, "-o", tmp_path / "a.tif"),
        "b.tif": ("enhance", photo, "--reference", photo, "-o", tmp_path / "b.tif"),
        "c/dn.tif": (
            "compare", photo, "--norms", "dn", "--model", desk / "half.safetensors",
            "-o", tmp_path / "c",
        ),
    }  # fmt: skip
    for name, command in runs.items():
        done = uhrt_here(*command, *half)
        assert done.returncode == 0, done.stderr
        with open_slide(tmp_path / name) as slide:
            assert (slide.info.width, slide.info.mpp[0]) == (128, pytest.approx(0.5, rel=1e-3))
    done = uhrt_here("tiles", photo, "-o", tmp_path / "d", "--size", 64, "--tissue", 0, *half)
    assert done.stdout == f"{tmp_path}/d/tiles.csv\n", done.stderr
    assert len(list((tmp_path / "d").glob("*.png"))) == 4
    done = uhrt_here("evaluate", photo, *half, "--json")
    assert (json.loads(done.stdout)["width"], json.loads(done.stdout)["mpp"]) == (128, 0.5)
    model = ("--model", desk / "half.safetensors", "--norm", "tin", "-o", tmp_path / "e.pt")
    assert "trained at 0.5" in uhrt_here("models", "export", photo, *model).stderr
    done = uhrt_here("models", "export", photo, *model, *half, "--overwrite", "--json")
    assert json.loads(done.stdout)["mpp"] == [0.5, 0.5]


def test_trainings_are_told(uhrt_here, desk, tmp_path):
    config = {
        "method": "cut", "data": {"a": str(desk / "photo.png"), "b": str(desk / "0.5.tif")},
        "generator": {"ngf": 4}, "discriminator": {"ndf": 4, "layers": 2}, "epochs": 1, "decay": 0,
    }  # fmt: skip
    path = tmp_path / "cut.yaml"

    def train(**data):
        small = {"patch": 64, "tissue": 0, "epoch": 1}
        path.write_text(yaml.safe_dump({**config, "data": {**config["data"], **small, **data}}))
        return uhrt_here("train", path, "-o", tmp_path / f"run{len(list(tmp_path.iterdir()))}")

    assert "photo.png does not say the mpp" in train().stderr
    assert "state it with --source-mpp" in train(mpp=0.5).stderr
    done = train(source_power=20)
    assert "warning" not in done.stderr
    shown = json.loads(uhrt_here("models", "show", done.stdout.strip(), "--json").stdout)
    assert shown["mpp"] == 0.5


def test_references_keep_the_resolution_that_they_say(desk):
    from uhrtranslate.options import StainOptions
    from uhrtranslate.recipes.stain_reference import sample_file

    options = StainOptions(mpp=0.5, source_mpp=0.25, samples=1000)
    kept, told = (sample_file(desk / "0.5.tif", options, is_input=one) for one in (False, True))
    assert not np.array_equal(kept, told)
    np.testing.assert_array_equal(kept, sample_file(desk / "0.5.tif", StainOptions(samples=1000)))
