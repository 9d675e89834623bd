"""`uhrt train` and `uhrt tiles` as a user runs them: two commands, and each wrong input."""

import csv
import errno
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
import torch
import yaml
from PIL import Image
from problems import SMALL, recolour, section, write_pair
from support import UHRT
from typer.testing import CliRunner

from uhrtranslate.cli.app import app
from uhrtranslate.training.run.checkpoint import list_checkpoints

CUT = {
    "method": "cut",
    **SMALL,
    "data": {"a": "a", "b": "b", "patch": 64, "tissue": 0.1, "epoch": 2, "workers": 2},
    "layers": [0, 4, 8],
    "patches": 16,
    "width": 16,
    "epochs": 1,
    "decay": 1,
    "checkpoint_steps": 1,
    "log": 1,
}


@pytest.fixture
def desk(tmp_path):
    return write_pair(tmp_path)


def write_config(desk, **more):
    (desk / "config.yaml").write_text(yaml.safe_dump({**CUT, **more}))


def uhrt(desk, *arguments, **more):
    return subprocess.run(
        [UHRT, *arguments],
        cwd=desk,
        capture_output=True,
        text=True,
        timeout=200,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        **more,
    )


@pytest.mark.slow
def test_a_method_needs_no_configuration_file(desk):
    """DSTGAN takes a folder of slides and one picture of the look; what comes of it normalizes."""
    small = {
        "data.patch": 64, "data.epoch": 2, "data.tissue": 0.1, "epochs": 1, "generator.width": 8,
        "generator.depths": "[1, 1, 1, 1]", "texture_width": 4, "discriminator.ndf": 4,
    }  # fmt: skip
    given = {"source": "a", "target": "b/0.png", **small}
    sets = [word for key, value in given.items() for word in ("--set", f"{key}={value}")]
    done = uhrt(desk, "train", "dstgan", *sets, "-o", "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "run/A2B.safetensors\n"
    shown = json.loads(uhrt(desk, "models", "show", "run/A2B.safetensors", "--json").stdout)
    assert (shown["architecture"], shown["inputs"]) == ("swin-unet", ["toned"])
    assert (shown["covariant"], shown["period"], shown["cell"]) == (False, 128, 64)
    is_one_sentence(uhrt(desk, "train", "dstgam"), "dstgam: cannot be read", code=2)
    is_one_sentence(uhrt(desk, "train", "dstgan"), "source is missing", code=2)


def is_one_sentence(done, *parts, code=1):
    lines = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    for part in parts:
        assert part in lines[-1]
    assert sum(line.startswith("uhrt: ") for line in lines) == 1


@pytest.mark.slow
def test_two_folders_of_slides_and_two_commands(tmp_path):
    """Train, then translate: what came of the training is all that translating needs."""
    for name, pixels in (("a", section()), ("b", recolour(section()))):
        (tmp_path / name).mkdir()
        tifffile.imwrite(
            tmp_path / name / "slide.tif",
            pixels,
            tile=(256, 256),
            photometric="rgb",
            resolution=(2e4, 2e4),
            resolutionunit="CENTIMETER",
        )
    write_config(
        tmp_path,
        domains=["IHC", "H&E"],
        ema=0.5,
        precision="bf16",
        tensorboard=True,
        validation={"image": "a/slide.tif", "region": "100,60,200,160", "every": 1},
    )
    done = uhrt(tmp_path, "train", "config.yaml", "-o", "run", "--json")
    assert done.returncode == 0, done.stderr
    assert "epoch 2/2, step 4/4" in done.stderr
    result = json.loads(done.stdout)
    assert (result["steps"], result["generators"]) == (4, {"A2B": "run/A2B.safetensors"})

    region = ("--region", "100,60,200,160")
    done = uhrt(
        tmp_path, "translate", "a/slide.tif", "--model", "run/A2B.safetensors", "-o", "x.tif",
        *region,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    translated = tifffile.imread(tmp_path / "x.tif")
    assert translated.shape == (160, 200, 3)
    # The validation of the last epoch is what the user's own command gives.
    validated = tifffile.imread(tmp_path / "run/validation/epoch-0002.tif")
    np.testing.assert_array_equal(validated, translated)

    shown = json.loads(uhrt(tmp_path, "models", "show", "run/A2B.safetensors", "--json").stdout)
    assert (shown["cell"], shown["mpp"], shown["domains"]) == (64, 0.5, ["IHC", "H&E"])

    run = tmp_path / "run"
    with (run / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[0]["lr"]) == 2e-4
    assert float(rows[3]["lr"]) == 1e-4
    assert all(np.isfinite(float(row["nce"])) for row in rows)
    with Image.open(run / "samples/epoch-0002.png") as grid:
        assert grid.size == (4 * 64 + 3 * 4, 2 * 64 + 4)
    assert list((run / "tensorboard").iterdir())
    record = json.loads((run / "run.json").read_text())
    assert record["versions"]["torch"] == torch.__version__
    assert record["seed"] == 0
    assert len(record["commit"] or "0" * 40) == 40
    data = json.loads((run / "data.json").read_text())
    assert data["A"][0]["path"].endswith("a/slide.tif")


def no_folder(desk):
    write_config(desk, data={**CUT["data"], "a": "nowhere"})
    return 1, "nowhere", "does not exist"


def no_images(desk):
    (desk / "a" / "0.png").unlink()
    return 1, "has no images"


def unreadable(desk):
    (desk / "a" / "1.png").write_bytes((desk / "a" / "0.png").read_bytes()[:3000])
    return 1, "1.png"


def no_tissue(desk):
    Image.fromarray(np.full((600, 600, 3), 240, np.uint8)).save(desk / "b" / "glass.png")
    return 1, "glass.png: no patch of it has 10% of tissue"


def too_large_patches(desk):
    write_config(desk, data={**CUT["data"], "patch": 1024})
    return 1, "less than a patch of 1024 px; choose a smaller data.patch"


def unpaired_names(desk):
    options = {key: CUT[key] for key in ("data", "discriminator")}
    config = {"method": "pix2pix", **options, "generator": {"architecture": "resnet"}}
    (desk / "config.yaml").write_text(yaml.safe_dump(config))
    (desk / "b" / "0.png").rename(desk / "b" / "one.png")
    Image.fromarray(section()).save(desk / "a" / "1.png")
    return 1, "has no partner"


def wrong_key(desk):
    write_config(desk, temprature=0.1)
    return 2, "temprature: there is no such option; temperature is near"


def wrong_value(desk):
    write_config(desk, lr="fast")
    return 2, "lr: ", "'fast'"


def no_yaml(desk):
    (desk / "config.yaml").write_text("method: [cut\n")
    return 2, "config.yaml: cannot be read as YAML"


def no_config(desk):
    (desk / "config.yaml").unlink()
    return 2, "config.yaml: cannot be read", "No such file"


def no_number(desk):
    write_config(desk, nce=1e300)
    return 1, "step 1: the loss", "there is no checkpoint yet; lower lr"


def no_dark_fields(desk):
    write_config(
        desk,
        data={**CUT["data"], "b": "a"},
        generator={**SMALL["generator"], "inputs": ["rgb", "enhanced"]},
    )
    return 1, "a: its images are as bright as the stained ones", "are no dark fields"


def no_validation_image(desk):
    write_config(desk, validation={"image": "nowhere.tif"})
    return 1, "nowhere.tif"


def folder_in_use(desk):
    (desk / "run").mkdir()
    (desk / "run" / "thesis.txt").write_text("mine")
    return 1, "run: exists already and is not a run; choose another folder with -o"


WRONG = [
    no_folder,
    no_images,
    unreadable,
    no_tissue,
    too_large_patches,
    unpaired_names,
    wrong_key,
    wrong_value,
    no_yaml,
    no_config,
    no_number,
    no_dark_fields,
    no_validation_image,
    folder_in_use,
]


@pytest.mark.slow
@pytest.mark.parametrize("spoil", WRONG, ids=lambda spoil: spoil.__name__)
def test_what_is_wrong_is_said_in_one_sentence(desk, spoil, monkeypatch):
    write_config(desk)
    code, *parts = spoil(desk)
    monkeypatch.chdir(desk)  # in this process: starting one for each would take ten times as long
    done = CliRunner().invoke(app, ["train", "config.yaml", "-o", "run"])
    assert isinstance(done.exception, SystemExit), done.exception
    said = SimpleNamespace(returncode=done.exit_code, stdout=done.stdout, stderr=done.stderr)
    is_one_sentence(said, *parts, code=code)
    assert not list((desk / "run").glob("*.safetensors"))


@pytest.mark.slow
def test_a_loss_that_is_no_number_leaves_the_last_good_checkpoint(desk):
    write_config(desk)
    assert uhrt(desk, "train", "config.yaml", "-o", "run", "--set", "keep=9").returncode == 0
    config = yaml.safe_load((desk / "run/config.yaml").read_text())
    (desk / "run/config.yaml").write_text(yaml.safe_dump({**config, "nce": 1e300}))
    done = uhrt(desk, "train", "--resume", "run/checkpoints/step-00000002")
    is_one_sentence(
        done, "step 3: the loss", "the last good checkpoint is", "step-00000002; lower lr"
    )
    assert [path.name for path in list_checkpoints(desk / "run")] == [
        "step-00000001",
        "step-00000002",
    ]
    is_one_sentence(
        uhrt(desk, "train", "config.yaml", "-o", "run"), "has a run already", "--resume"
    )
    is_one_sentence(uhrt(desk, "train", "--resume", "a"), "is not a run of uhrt train")
    is_one_sentence(uhrt(desk, "train", "--resume", "run", "-o", "x"), "needs nothing", code=2)
    is_one_sentence(uhrt(desk, "train", "-o", "x"), "give either a CONFIG.yaml", code=2)


# Runs a training whose third checkpoint finds the disk full, as the system says it.
FULL = f"""
import os, pathlib, sys
from uhrtranslate.cli import main
write = pathlib.Path.write_bytes
def full(path, content):
    if path.name == "state.pt" and "00000003" in path.parent.name:
        write(path, bytes(content)[:100])
        raise OSError({errno.ENOSPC}, os.strerror({errno.ENOSPC}), str(path))
    return write(path, content)
pathlib.Path.write_bytes = full
sys.argv = ["uhrt", "train", "config.yaml", "-o", "run"]
main()
"""


@pytest.mark.slow
def test_a_full_disk_leaves_whole_checkpoints_to_go_on_from(desk):
    write_config(desk)
    done = subprocess.run(
        [sys.executable, "-c", FULL], cwd=desk, capture_output=True, text=True, timeout=200
    )
    is_one_sentence(done, "step-00000003: the disk is full; free some space")
    names = {path.name for path in (desk / "run/checkpoints").iterdir()}
    assert names == {"step-00000001", "step-00000002"}
    assert uhrt(desk, "train", "--resume", "run").stdout == "run/A2B.safetensors\n"


@pytest.mark.slow
def test_tiles_feed_a_training(desk):
    done = uhrt(desk, "tiles", "a", "-o", "cut", "--paired", "b", "--size", "64", "--tissue", "0.1")
    assert done.stdout == "cut/tiles.csv\n", done.stderr
    assert "patches" in done.stderr
    data = {**CUT["data"], "a": "cut/A", "b": "cut/B"}
    options = {key: CUT[key] for key in ("discriminator", "epochs", "decay")}
    generator = {**SMALL["generator"], "architecture": "resnet"}
    config = {"method": "pix2pix", **options, "generator": generator, "data": data}
    (desk / "config.yaml").write_text(yaml.safe_dump(config))
    done = uhrt(desk, "train", "config.yaml", "--check")
    assert done.returncode == 0, done.stderr
    assert "pix2pix on cpu" in done.stdout
    assert "patches of 64 px, 2 epochs of 2 steps" in done.stdout
    assert not (desk / "runs").exists()
    is_one_sentence(uhrt(desk, "tiles", "a", "-o", "cut"), "cut: exists already")
    is_one_sentence(uhrt(desk, "tiles", "a", "-o", "x", "--size", "600"), "less than a patch")
    is_one_sentence(uhrt(desk, "tiles", "nowhere", "-o", "x"), "does not exist")
