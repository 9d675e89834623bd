"""Signals: what they leave, what they say, and their exit codes."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
import tifffile
from support import UHRT, killed_at_last

from uhrtranslate.cli.report import Report, Stopped, errors_as_sentences
from uhrtranslate.io.files.atomic import PartialOutput
from uhrtranslate.io.files.journal import Journal
from uhrtranslate.runs.events import ImageResult, Started

SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
on_unix = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")


def stopped(*events):
    """What is told if a signal comes after these events."""
    stop = Stopped(15)
    with suppress(Stopped), Report(False, True, 2) as report:
        for event in events:
            report.event(event)
        raise stop
    return stop.sentence


def test_resume_is_offered_only_where_something_was_saved(tmp_path):
    target = tmp_path / "b.tif"
    begun = Started("b.svs", str(target), 100, "")
    failed = ImageResult("a.svs", None, "failed", "a.svs: is broken.")
    nothing = "stopped before anything was saved; the same command starts afresh."
    assert stopped() == nothing
    assert stopped(failed, begun) == nothing
    done = ImageResult("a.svs", "a.tif", "done", seconds=1.0)
    assert "--resume goes on" in stopped(done, begun)
    with PartialOutput(target) as output:
        Journal(output.folder, {}, 100).save(10, [], {})
    assert "--resume goes on" in stopped(begun)
    assert stopped(begun, ImageResult("b.svs", None, "failed", "b.svs: is broken.")) == nothing


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_has_its_exit_code(number, capsys):
    import typer

    with pytest.raises(typer.Exit) as end, errors_as_sentences():
        raise Stopped(number)
    assert end.value.exit_code == 128 + number
    assert capsys.readouterr().err == "uhrt: stopped.\n"


@pytest.fixture
def begun(folder, tmp_path):
    """Start a translation that has begun, and saves nothing before its end; streams as given."""
    pixels = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), np.uint8)
    tifffile.imwrite(tmp_path / "big.tif", pixels, tile=(512, 512), photometric="rgb")
    running = []

    def start(**streams):
        command = [
            UHRT, "translate", tmp_path / "big.tif", "--model", folder / "tiny.safetensors",
            "-o", tmp_path / "out" / "o.tif", "--tile", "3072", "--cell", "512",
        ]  # fmt: skip
        run = subprocess.Popen(command, text=True, **streams)
        running.append(run)
        deadline = time.monotonic() + 100
        while not list((tmp_path / "out").glob("*/level-0.tiles")) and run.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return run

    yield start
    for run in running:
        run.kill()
        run.communicate()  # also closes its streams


@on_unix
@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
def test_a_run_that_has_saved_nothing_says_so(begun, tmp_path, number):
    run = begun(
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(number, signal.SIG_DFL),  # jobs of a shell ignore Ctrl-C
    )
    run.send_signal(number)
    _, errors = run.communicate(timeout=300)
    assert run.returncode == 128 + number
    assert errors.splitlines()[-1] == (
        "uhrt: stopped before anything was saved; the same command starts afresh."
    )
    assert "Traceback" not in errors
    assert list((tmp_path / "out").iterdir()) == []


@on_unix
@pytest.mark.slow
def test_a_closed_terminal_leaves_nothing_behind(begun, tmp_path):
    import fcntl
    import termios

    def take_terminal():
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs these tests may ignore it

    ours, theirs = os.openpty()
    run = begun(
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(theirs)
    os.close(ours)
    assert run.wait(timeout=300) == 128 + signal.SIGHUP
    assert list((tmp_path / "out").iterdir()) == []


@on_unix
@pytest.mark.slow
def test_nohup_is_obeyed():
    with (
        subprocess.Popen(
            [UHRT, "translate", "-"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
        ) as run,
        killed_at_last(run),
    ):
        time.sleep(2)
        run.send_signal(signal.SIGHUP)
        _, errors = run.communicate(timeout=300)
    assert run.returncode == 2
    assert "the list is empty" in errors


# Runs the program so that something in it says that it hangs, and does.
HANGING = """
import hashlib, os, sys, threading, time
from contextlib import suppress
from uhrtranslate.cli import main, stopping
from uhrtranslate.engine import GeneratorRunner, NativeRunner
from uhrtranslate.io.writers.levels import Levels
from uhrtranslate.runs import one_image

def hang(*_):
    os.write(1, b"hangs\\n")
    threading.Event().wait()

def hang_in_c(*_, **__):  # where no handler of signals is called
    while True:
        with suppress(BaseException):  # the signal may come while it writes
            os.write(1, b"hangs\\n")
            hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)

def linger(*_):
    os.write(1, b"hangs\\n")
    time.sleep(2)
    return b"", None

what = sys.argv.pop(1)
if what == "device":
    GeneratorRunner.record = NativeRunner.record = hang
elif what == "encoder":
    Levels._encode_and_halve = hang
    stopping.PATIENCE = 1
elif what == "engine":
    one_image.stream = hang_in_c
    stopping.PATIENCE = 1
elif what == "nothing":
    Levels._encode_and_halve = linger
main()
"""
NOTHING_SAVED = "stopped before anything was saved; the same command starts afresh."
BROKEN_OFF = "stopped; cleaning up took more than 1 s and was broken off."


@on_unix
@pytest.mark.parametrize(
    ("what", "at_once", "sentence"),
    [
        ("device", 1, NOTHING_SAVED),
        ("device", 2, NOTHING_SAVED),
        ("encoder", 1, BROKEN_OFF),
        ("engine", 1, BROKEN_OFF),
        ("nothing", 1, NOTHING_SAVED),
    ],
)
def test_it_ends_whatever_its_threads_do(folder, tmp_path, what, at_once, sentence):
    """More signals do not disturb it."""
    inputs = [folder / "slide.tif", folder / "photo.png"][:at_once]
    with subprocess.Popen(
        [
            sys.executable, "-c", HANGING, what, "translate", *inputs, "-o", tmp_path / "out",
            "--model", folder / "tiny.safetensors", "--cell", "128", "--format", "ome-tiff",
            "--device", ",".join(["cpu"] * at_once), "--at-once", str(at_once),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as run, killed_at_last(run):  # fmt: skip
        for _ in inputs:
            assert run.stdout.readline() == "hangs\n"
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
            run.send_signal(number)
            time.sleep(0.2)
        _, errors = run.communicate(timeout=20)
    assert run.returncode == 128 + signal.SIGTERM
    assert errors.splitlines()[-1] == f"uhrt: {sentence}"
    assert "Traceback" not in errors
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["uhrt-run.json"]


@pytest.mark.parametrize("saved", [True, False])
def test_a_training_says_how_to_go_on(uhrt_here, tmp_path, monkeypatch, saved):
    from uhrtranslate.tasks import train as task

    def stop(options, run, *_):
        (run / "checkpoints" / "step-00000001").mkdir(parents=True) if saved else run.mkdir()
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(task, "train", stop)
    monkeypatch.setattr(task, "read_train_options", lambda *_: None)
    done = uhrt_here("train", "cut.yaml", "-o", tmp_path / "run")
    assert done.returncode == 143
    how = "stopped" if saved else "stopped before the first step"
    assert done.stderr.startswith(f"uhrt: {how}; uhrt train --resume {tmp_path / 'run'} ")
    assert ("goes on from step 1, " in done.stderr) == saved
