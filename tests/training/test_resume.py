"""A run that is killed and resumed is the run that was never killed, bit by bit."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from problems import SMALL, write_pair
from safetensors.torch import load_file
from support import UHRT, killed_at_last

from uhrtranslate.errors import InputError
from uhrtranslate.tasks.train import read_train_options, resume_training, train
from uhrtranslate.training.run.checkpoint import list_checkpoints, load_state
from uhrtranslate.training.run.learner import Learner

# With what has a memory of its own: a pool, dropout, a mean of weights, drawn places.
CYCLEGAN = {
    "method": "cyclegan",
    "pool": 3,
    "ema": 0.9,
    "clip": 1.0,
    "generator": {**SMALL["generator"], "dropout": True},
}
CUT = {"method": "cut", "layers": [0, 4, 8, 12], "patches": 32, "width": 16}

LSESIM = {"method": "lsesim", "vgg_width": 4, "layers": [2, 4], "patches": 16, "window": 8}
PYRAMID = {
    "method": "pyramid-pix2pix",
    "batch": 1,
    "generator": {**SMALL["generator"], "dropout": True},
    "precision": "bf16",
}


@pytest.fixture
def desk(tmp_path):
    return write_pair(tmp_path)


def write_config(desk, **options):
    data = {"a": "a", "b": "b", "patch": 64, "tissue": 0.1, "rotate": True, "jitter": 0.1}
    small = {**SMALL, "epochs": 1, "decay": 2, "checkpoint_steps": 7, "log": 5, "seed": 4}
    config = {**small, **options, "data": {**data, "epoch": 8}}
    (desk / "config.yaml").write_text(yaml.safe_dump(config))


def uhrt(desk, *arguments):
    return subprocess.run([UHRT, *arguments], cwd=desk, capture_output=True, text=True, timeout=200)


def stop_at(desk, run, number):
    """Start a training and send a signal once it has taken a step; returns what it then said."""
    with (
        subprocess.Popen(
            [UHRT, "train", "config.yaml", "-o", run],
            cwd=desk,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # jobs ignore Ctrl-C
        ) as process,
        killed_at_last(process),
    ):
        deadline = time.monotonic() + 120
        while not (desk / run / "log.csv").exists():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        _, told = process.communicate(timeout=120)
        assert process.returncode == 128 + number, told
        return told


def kill_after(desk, run, checkpoints):
    """Start a training and kill it, with no warning, once it has so many checkpoints."""
    with (
        subprocess.Popen(
            [UHRT, "train", "config.yaml", "-o", run, "--quiet"],
            cwd=desk,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process,
        killed_at_last(process),
    ):
        deadline = time.monotonic() + 120
        while len(list_checkpoints(desk / run)) < checkpoints:
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.02)


def tensors(value):
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from tensors(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from tensors(one)


@pytest.mark.slow
def test_a_killed_and_resumed_run_equals_an_uninterrupted_one(desk):
    write_config(desk, **CYCLEGAN)
    whole = uhrt(desk, "train", "config.yaml", "-o", "whole")
    assert whole.returncode == 0, whole.stderr
    kill_after(desk, "cut", 2)
    newest = list_checkpoints(desk / "cut")[-1] / "A2B.safetensors"
    assert (desk / "cut" / "A2B.safetensors").read_bytes() == newest.read_bytes()
    resumed = uhrt(desk, "train", "--resume", "cut")
    assert resumed.returncode == 0, resumed.stderr

    one, other = (load_file(desk / run / "A2B.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    states = [load_state(list_checkpoints(desk / run)[-1]) for run in ("whole", "cut")]
    assert states[0]["step"] == states[1]["step"] == 24
    pairs = list(zip(*(list(tensors(state)) for state in states), strict=True))
    assert len(pairs) > 50
    assert all(torch.equal(x, y) for x, y in pairs)
    logs = [(desk / run / "log.csv").read_text() for run in ("whole", "cut")]
    assert logs[0] == logs[1]
    assert [row.split(",")[0] for row in logs[0].split()] == ["step", "5", "10", "15", "20", "24"]
    pictures = [(desk / run / "samples/epoch-0003.png").read_bytes() for run in ("whole", "cut")]
    assert pictures[0] == pictures[1]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_stopped_run_saves_the_step_in_hand_and_goes_on_from_it(desk, name):
    """Long before its first checkpoint of schedule; what is said is true."""
    write_config(desk, **CYCLEGAN, checkpoint_steps=1000, log=1, decay=0)
    assert uhrt(desk, "train", "config.yaml", "-o", "whole").returncode == 0
    told = stop_at(desk, "cut", getattr(signal, name)).splitlines()
    (saved,) = list_checkpoints(desk / "cut")
    step = load_state(saved)["step"]
    assert 1 <= step < 8
    assert told[-2] == "uhrt: stopping: the step in hand is finished, and a checkpoint is saved."
    assert told[-1] == (
        f"uhrt: stopped; uhrt train --resume cut goes on from step {step}, and "
        "cut/A2B.safetensors is the generator so far."
    )
    assert load_file(desk / "cut/A2B.safetensors").keys()
    resumed = uhrt(desk, "train", "--resume", "cut")
    assert resumed.returncode == 0, resumed.stderr
    one, other = (load_file(desk / run / "A2B.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert (desk / "cut/log.csv").read_text() == (desk / "whole/log.csv").read_text()


def test_a_run_without_any_checkpoint_starts_from_its_first_step(desk, monkeypatch):
    monkeypatch.chdir(desk)
    write_config(desk, **CUT)
    options = read_train_options(desk / "config.yaml", ["epochs=1", "decay=0", "data.epoch=2"])
    train(options, "run")
    before = load_file("run/A2B.safetensors")
    shutil.rmtree("run/checkpoints")
    assert resume_training("run").steps == 2
    after = load_file("run/A2B.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_step_torn_apart_is_not_saved(desk, monkeypatch):
    """Python's own Ctrl-C, of those who train in their programs, may come at any line."""
    monkeypatch.chdir(desk)
    write_config(desk, **CUT, log=1)
    options = read_train_options(desk / "config.yaml", ["epochs=1", "decay=0", "data.epoch=3"])

    def interrupt(progress):
        if progress.step == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(options, "between", interrupt)
    assert [path.name for path in list_checkpoints(Path("between"))] == ["step-00000001"]

    learn = Learner._learn
    phases = []

    def torn(self, *arguments):
        phases.append(arguments)
        if len(phases) > 1:
            raise KeyboardInterrupt
        learn(self, *arguments)

    monkeypatch.setattr(Learner, "_learn", torn)
    with pytest.raises(KeyboardInterrupt):
        train(options, "within")
    assert list_checkpoints(Path("within")) == []


@pytest.mark.slow
@pytest.mark.parametrize("options", [CUT, LSESIM, PYRAMID], ids=lambda o: o["method"])
def test_any_checkpoint_can_be_resumed_from(desk, options, monkeypatch):
    monkeypatch.chdir(desk)
    write_config(desk, **options)
    settings = ["epochs=1", "decay=0", "checkpoint_steps=3"]
    train(read_train_options(desk / "config.yaml", settings), "run")
    before = load_file("run/A2B.safetensors")
    log = Path("run/log.csv").read_text()
    kept = list_checkpoints(Path("run"))
    assert [path.name for path in kept] == ["step-00000003", "step-00000006", "step-00000008"]
    torch.rand(3)  # whatever was drawn in between
    assert resume_training(kept[0]).steps == 8
    after = load_file("run/A2B.safetensors")
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert Path("run/log.csv").read_text() == log


def test_changed_images_are_not_gone_on_with(desk, monkeypatch):
    monkeypatch.chdir(desk)
    write_config(desk, **CUT)
    settings = ["epochs=1", "decay=0", "data.epoch=1"]
    train(read_train_options(desk / "config.yaml", settings), "run")
    (desk / "a" / "0.png").rename(desk / "a" / "1.png")
    with pytest.raises(InputError, match=r"0\.png: was changed, added or removed"):
        resume_training("run")


@pytest.mark.slow
def test_two_processes_learn_together(desk):
    """Under torchrun both processes' samples count; one writes."""
    write_config(desk, **CUT)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
            *("-m", "uhrtranslate", "train", "config.yaml", "-o", "run"),
            *("--set", "epochs=1", "--set", "decay=0"),
        ],
        cwd=desk,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["run/A2B.safetensors"]
    assert load_state(list_checkpoints(desk / "run")[-1])["step"] == 4
