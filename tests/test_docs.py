"""Every command and example of the documentation is run as it stands."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
import yaml
from PIL import Image
from support import REPOSITORY, UHRT, killed_at_last, small_resnet
from tiny_diffusion import tiny_latent_diffusion

from uhrtranslate.cli import (
    benchmark,
    compare,
    doctor,
    enhance,
    evaluate,
    info,
    models,
    pairs,
    register,
    stain_normalize,
    synthesize,
    tiles,
    train,
    translate,
    upscale,
    validate,
    view,
    warp,
)
from uhrtranslate.enhance import Tally, dump_tally
from uhrtranslate.models.latent_diffusion import save_latent_diffusion
from uhrtranslate.registration import Frame, Matrix, Transform, dump_transform

README = (REPOSITORY / "README.md").read_text()
VIEW = (REPOSITORY / "docs/view.md").read_text()
TRAINING = (REPOSITORY / "docs/training.md").read_text()
SYNTHESIS = (REPOSITORY / "docs/synthesize.md").read_text()
CLUSTER = (REPOSITORY / "docs/cluster.md").read_text()
BESIDE = TRAINING + SYNTHESIS + CLUSTER + VIEW
# What makes the README's training one of seconds.
SMALL = {
    "generator": {"ngf": 4},
    "discriminator": {"ndf": 4, "layers": 2},
    "epochs": 1,
    "decay": 0,
}


def blocks(language, text=README):
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)


def commands(text=README):
    return [line for block in blocks("sh", text) for line in block.splitlines() if line.strip()]


def examples():
    commands = (
        translate,
        stain_normalize,
        enhance,
        evaluate,
        compare,
        benchmark,
        train,
        tiles,
        info,
        validate,
        doctor,
        models,
        pairs,
        register,
        warp,
        synthesize,
        upscale,
        view,
    )
    epilogs = [command.EXAMPLES for command in commands]
    return [line for text in epilogs for line in text.splitlines() if "uhrt" in line]


@pytest.fixture
def desk(tmp_path):
    """A fresh folder with the files that the documentation speaks of."""
    desk = tmp_path / "desk"
    section = np.tile(skimage.data.immunohistochemistry(), (2, 2, 1))[:640, :900]
    results = (
        "result.tif",
        "results/one.pooled.tif",
        "results/deep/two.pooled.tif",
        "he/real.tif",
        "ihc/real.tif",
    )
    slides = ("slide.svs", "slides/one.svs", "slides/deep/two.svs")
    for name in (*slides, *results, "trainA/one.svs", "trainB/two.svs"):
        (desk / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = section[:300, :300] if "/" in name else section
        tifffile.imwrite(
            desk / name,
            pixels,
            tile=(256, 256),
            photometric="rgb",
            resolution=(2e4, 2e4),
            resolutionunit="CENTIMETER",
        )
    Image.fromarray(skimage.data.coffee()).save(desk / "photo.jpg")
    (desk / "slides.csv").write_text('path,region\nslide.svs,\nphoto.jpg,"0,0,300,200"\n')
    torch.save(small_resnet(ngf=4, n_blocks=1).state_dict(), desk / "latest_net_G.pth")
    torch.save(small_resnet(in_channels=4).state_dict(), desk / "student.pth")
    (desk / "stained.json").write_text(json.dumps(dump_tally(Tally.of(section))))
    same = Transform(*[Frame("real.tif", 300, 300)] * 2, (Matrix(np.eye(3)),))
    (desk / "transform.json").write_text(json.dumps(dump_transform(same)))
    (desk / "pairs.csv").write_text("moving,fixed\nhe/real.tif,ihc/real.tif\n")
    (desk / "cells.csv").write_text("x,y,kind\n10,20,a\n")
    save_latent_diffusion(desk / "pathup.safetensors", tiny_latent_diffusion())
    (desk / "suite.yaml").write_text(
        "slides: [slides/one.svs]\nevaluate: {grid: 64}\n"
        "methods:\n  source: {folder: slides/}\n  ours: {folder: results/}\n"
    )
    (config,) = map(yaml.safe_load, blocks("yaml"))
    data = {**config["data"], "patch": 64, "epoch": 2, "tissue": 0.1}
    (desk / "cut.yaml").write_text(yaml.safe_dump({**config, **SMALL, "data": data}))
    return desk


def run(command, desk):
    if command.startswith("uhrt view") and "--export" not in command:
        return looked_at(command, desk)
    if shutil.which("jq") is None:
        command = re.sub(r"\s*\|\s*jq .*", "", command)
    path = f"{UHRT.parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; {command}"],
        cwd=desk,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def run_all(commands, desk):
    for command in commands:
        done = run(command, desk)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        assert done.stdout, command


def looked_at(command, desk):
    """Run a command that serves a page; ask for the page, then end it as Ctrl-C does."""
    environment = os.environ | {"PATH": f"{UHRT.parent}{os.pathsep}{os.environ['PATH']}"}
    with (
        subprocess.Popen(
            ["bash", "-c", f"exec {command}"],
            cwd=desk,
            env=environment | {"BROWSER": "true"},  # a program that opens nothing
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        ) as run,
        killed_at_last(run),
    ):
        address = run.stderr.readline().strip()
        told = f"{address}\n"
        if address.startswith("http"):
            with urllib.request.urlopen(address, timeout=60) as response:
                assert b"uhrt view" in response.read()
        run.send_signal(signal.SIGINT)
        told += run.communicate(timeout=60)[1]
    code = 0 if run.returncode == 128 + signal.SIGINT else run.returncode or 1
    return subprocess.CompletedProcess(command, code, address, told)


@pytest.mark.slow
def test_the_commands_of_the_readme_work_in_their_order(desk):
    assert len(commands()) >= 12
    run_all(commands(), desk)
    for made in ("slide.pooled.tif", "out/deep/two.pooled.tif", "photo.png", "part.preview.png"):
        assert (desk / made).is_file(), made


@pytest.mark.slow
def test_the_commands_about_training_work_in_their_order(desk):
    assert len(commands(TRAINING)) >= 5
    run_all(commands(TRAINING), desk)


def test_the_commands_about_looking_are_examples_of_the_help_which_are_run():
    assert len(commands(VIEW)) >= 4
    assert set(commands(VIEW)) <= set(examples())


@pytest.mark.slow
def test_the_commands_about_synthesis_work_in_their_order(desk):
    assert len(commands(SYNTHESIS)) >= 2
    run_all(commands(SYNTHESIS), desk)


@pytest.mark.slow
@pytest.mark.parametrize("block", blocks("sh", CLUSTER), ids=["local", "own"])
def test_the_set_ups_of_clusters_work_as_written(desk, block):
    pytest.importorskip("distributed")
    done = run(f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{block}", desk)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(".pooled.tif") == 2


@pytest.mark.slow
@pytest.mark.parametrize("command", examples())
def test_the_examples_of_help_work(desk, command):
    if command.startswith("uhrt train --resume"):
        assert run("uhrt train cut.yaml -o runs/he2ihc", desk).returncode == 0
    done = run(command, desk)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_the_python_of_the_readme_runs(desk):
    (code,) = blocks("python")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=desk, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "norm layers" in done.stdout


def test_files_that_the_readme_names_exist():
    for path in re.findall(r"\]\(((?!http|#)[^)]+)\)", README):
        assert (REPOSITORY / path).is_file(), path
    for path in re.findall(r"\]\(((?!http|#)[^)]+)\)", BESIDE):
        assert (REPOSITORY / "docs" / path).is_file(), path
    for path in re.findall(r"`((?:configs|scripts|docs)/[\w./-]+)`", README + BESIDE):
        assert (REPOSITORY / path).exists(), path


@pytest.mark.parametrize(
    "path", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda p: p.name
)
def test_every_config_is_valid(path):
    from uhrtranslate.options import make_options, read_config

    make_options(read_config(path))


def test_the_jobs_of_the_example_are_valid():
    pytest.importorskip("dask_jobqueue")
    from uhrtranslate.cluster.slurm import SlurmOptions
    from uhrtranslate.options import read_config, validated

    path = REPOSITORY / "configs/cluster/slurm.yaml"
    options = validated(SlurmOptions, read_config(path))
    # What is commented out is valid, too.
    text = path.read_text().replace("\n# ", "\n").partition("jobs:")
    validated(SlurmOptions, yaml.safe_load("".join(text[1:])))
    assert options.jobs > 1


def test_doctests_of_public_functions():
    import doctest

    from uhrtranslate.engine.forward import layers

    outcome = doctest.testmod(layers)
    assert outcome.attempted > 0
    assert outcome.failed == 0
