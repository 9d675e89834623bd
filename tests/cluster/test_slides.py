"""Slides on a cluster: the bytes are those of one machine."""

import gc
import json
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from support import REPOSITORY

pytest.importorskip("distributed")

from uhrtranslate.cluster import connect
from uhrtranslate.errors import ClusterError, OptionError
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.io import Found
from uhrtranslate.options import (
    EnhanceOptions,
    PairTileOptions,
    StainOptions,
    TileOptions,
    make_options,
    validated,
)
from uhrtranslate.registration import Frame, Matrix, Transform, dump_transform
from uhrtranslate.runs.items import Item
from uhrtranslate.runs.pairs import Pair
from uhrtranslate.tasks.enhance import enhance
from uhrtranslate.tasks.evaluate import Failed, evaluate_many
from uhrtranslate.tasks.pair_tiles import cut_pairs
from uhrtranslate.tasks.stain_normalize import stain_normalize
from uhrtranslate.tasks.tiles import cut_tiles
from uhrtranslate.tasks.translate import translate_many

pytestmark = pytest.mark.filterwarnings("default")  # those of Dask
# A network of few layers, which kills its process if it is fed with black.
NETWORK = """
import os
import signal
import torch
from torch import nn


class Mortal(nn.Sequential):
    def forward(self, x):
        if x.max() < -0.99:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().forward(x)


def make():
    torch.manual_seed(0)
    layers = [nn.ReflectionPad2d(2), nn.Conv2d(3, 4, 5), nn.InstanceNorm2d(4), nn.ReLU()]
    return Mortal(*layers, nn.Conv2d(4, 3, 1), nn.Tanh())
"""
CHOSEN = {"model": "mortal_network:make", "cell": 64, "tile": 64, "halo": 8, "format": "tiff"}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """A folder with slides, and a network that workers can import."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "mortal_network.py").write_text(textwrap.dedent(NETWORK))
    (folder / "slides").mkdir()
    rng = np.random.default_rng(0)
    for name, (width, height) in {"a": (200, 150), "b": (300, 520), "c": (128, 64)}.items():
        small = rng.integers(0, 256, (height // 8, width // 8, 3), np.uint8)
        image = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
        image.save(folder / "slides" / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def scheduler(desk):
    """The file of a scheduler with two workers on this machine, which all tests here share."""
    file = desk / "scheduler.json"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, desk))),
        "DASK_LOGGING__DISTRIBUTED": "critical",
    }
    started = []

    def start(what, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--host", "127.0.0.1"]
        command += ["--no-dashboard", "--scheduler-file", str(file), *arguments]
        started.append(subprocess.Popen(command, env=environment, cwd=desk))

    try:
        start("scheduler", "--port", "0", "--dashboard-address", "127.0.0.1:0")
        for _ in range(2):
            start("worker", "--nthreads", "1", "--no-nanny", "--memory-limit", "0")
        yield file
    finally:
        for process in started:
            process.kill()
            process.wait()


@pytest.fixture
def place(desk, monkeypatch):
    monkeypatch.chdir(desk)
    monkeypatch.syspath_prepend(desk)
    return desk


def slides(place):
    return [Item(Found.at(path)) for path in sorted((place / "slides").iterdir())]


def translated(place, folder, **options):
    results = translate_many(slides(place), folder, make_options(CHOSEN | options))
    assert [result.error for result in results] == [None] * 3
    return results, {path.name: path.read_bytes() for path in sorted(folder.glob("*.tif"))}


@pytest.mark.parametrize(
    ("norm", "options"),
    [
        ("dn", {"split": 0}),
        ("dn", {"split": 1}),  # statistics are recorded first
        ("dn", {"split": 9, "cell": 32}),  # each of two bands records its own
        ("pooled", {"split": 2}),
        ("pooled", {"split": 3, "bandwidth": "inf", "mask": "auto"}),
        ("tin", {"split": 2, "halo": None, "overlap": 16, "precision": "auto"}),
    ],
    ids=lambda one: one if isinstance(one, str) else ",".join(f"{k}={v}" for k, v in one.items()),
)
def test_the_bytes_are_those_of_one_machine(scheduler, place, tmp_path, norm, options):
    _, alone = translated(place, tmp_path / "alone", norm=norm, **options)
    cluster = f"scheduler-file:{scheduler}"
    results, made = translated(place, tmp_path / "together", norm=norm, cluster=cluster, **options)
    assert made == alone
    assert sorted(path.name for path in (tmp_path / "together").iterdir()) == [
        *alone, "uhrt-run.json",
    ]  # fmt: skip
    record = json.loads((tmp_path / "together/uhrt-run.json").read_text())
    assert len(record["inputs"]) == 3
    assert all(one["host"] and one["status"] == "done" for one in record["inputs"])
    if options["split"] == 1:  # of the largest, both have done bands
        assert ", " in results[1].host


def test_colours_are_those_of_one_machine(scheduler, place, tmp_path):
    cluster = {"cluster": f"scheduler-file:{scheduler}", "split": 1}
    for run in ("alone", "together"):
        more = cluster if run == "together" else {}
        options = validated(StainOptions, {"format": "tiff", "method": "reinhard", **more})
        qc = tmp_path / run / "qc"
        stain_normalize(slides(place), tmp_path / run, options, "slides/b.png", qc=qc)
        options = validated(EnhanceOptions, {"format": "tiff", **more})
        enhance(slides(place), tmp_path / run, options, ["slides/b.png"])
    names = [path.name for path in (tmp_path / "alone").glob("*.tif")]
    assert len(names) == 6
    looks = sorted(path.name for path in (tmp_path / "alone/qc").iterdir())
    assert looks == ["a.png", "b.png", "c.png", "stains.csv"]
    for name in (*names, *(f"qc/{look}" for look in looks)):
        alone, together = ((tmp_path / run / name).read_bytes() for run in ("alone", "together"))
        assert alone == together, name


def test_patches_and_figures_are_those_of_one_machine(scheduler, place, tmp_path):
    cluster = {"cluster": f"scheduler-file:{scheduler}"}
    cut, measured = {}, {}
    for run, more in (("alone", {}), ("together", cluster)):
        options = validated(TileOptions, {"size": 48, "tissue": 0, **more})
        results = cut_tiles(place / "slides", tmp_path / run, options)
        assert [result.patches for result in results] == [12, 60, 2]
        cut[run] = {path.name: path.read_bytes() for path in (tmp_path / run).iterdir()}
        chosen = {"reference": place / "slides/b.png", "patch": 64, "patches": 8, **more}
        inputs = [Found.at(path) for path in sorted((place / "slides").iterdir())]
        told = []
        found = evaluate_many(
            [*inputs, Found.at("none.png")], validated(EvaluateOptions, chosen), told.append
        )
        assert "none.png" in next(one.error for one in told if isinstance(one, Failed))
        measured[run] = [(one.input, one.metrics) for one in found]
    assert cut["together"] == cut["alone"]
    assert len(measured["alone"]) == 4
    assert json.dumps(measured["together"]) == json.dumps(measured["alone"])


def test_pairs_are_cut_as_on_one_machine(scheduler, place, tmp_path):
    moving = place / "slides/b.png"
    frame = Frame("b.png", 300, 520)
    turn = Matrix(np.array([[1.0, 0, 20], [0, 1, 30], [0, 0, 1]]))
    known = tmp_path / "known.json"
    known.write_text(json.dumps(dump_transform(Transform(frame, frame, (turn,)))))
    good = Pair("good", moving, moving, known)
    others = [
        replace(good, name="lost", fixed=place / "slides/none.png"),
        replace(good, name="failed", verdict="failed"),
        replace(good, name="more"),
    ]
    found = {}
    for run, more in (("alone", {}), ("together", {"cluster": f"scheduler-file:{scheduler}"})):
        chosen = {"size": 48, "tissue": 0, "tissue_overlap": 0, "ncc": -1, **more}
        results = cut_pairs(
            [good, *others], tmp_path / run, validated(PairTileOptions, chosen)
        )  # fmt: skip
        assert [bool(result.error) for result in results] == [False, True, False, False]
        assert [bool(result.left_out) for result in results] == [False, False, True, False]
        made = {path.name: path.read_bytes() for path in (tmp_path / run).rglob("*.*")}
        found[run] = made, [result.patches for result in results], results[1].error
        assert found[run][1][0] > 20
    assert found["together"] == found["alone"]


def test_complete_results_are_skipped_and_others_refused(scheduler, place, tmp_path):
    cluster = f"scheduler-file:{scheduler}"
    translated(place, tmp_path, norm="dn", cluster=cluster, split=1)
    again, _ = translated(place, tmp_path, norm="dn", cluster=cluster, split=1, resume=True)
    assert [one.status for one in again] == ["skipped"] * 3
    options = make_options(CHOSEN | {"norm": "dn", "cluster": cluster, "split": 1})
    results = translate_many(slides(place), tmp_path, options)
    assert all("exists already; use --overwrite" in result.error for result in results)


def test_a_poisoned_slide_is_given_up_and_the_others_are_done(place, tmp_path):
    slides = place / "poisoned"
    slides.mkdir()
    for path in (place / "slides").iterdir():
        (slides / path.name).write_bytes(path.read_bytes())
    Image.new("RGB", (130, 130)).save(slides / "aa.png")
    # It is as one would run it: in a process of its own, by the command.
    arguments = ["translate", "poisoned", "-o", str(tmp_path / "out"), "--norm", "dn"]
    arguments += ["--cluster", "local:2", "--split", "2"]
    for name, value in CHOSEN.items():
        arguments += [f"--{name}", str(value)]
    run = subprocess.run(
        [sys.executable, "-P", "-m", "uhrtranslate", *arguments],
        cwd=place, text=True, capture_output=True, timeout=300,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (REPOSITORY, place)))},
    )  # fmt: skip
    assert run.returncode == 1, run.stderr
    assert "aa.png: given up, as 3 workers died while they worked on it" in run.stderr
    assert "Traceback" not in run.stderr
    record = json.loads((tmp_path / "out/uhrt-run.json").read_text())
    assert {one["input"]: one["status"] for one in record["inputs"]} == {
        "poisoned/a.png": "done", "poisoned/aa.png": "failed",
        "poisoned/b.png": "done", "poisoned/c.png": "done",
    }  # fmt: skip
    assert len(run.stdout.split()) == 3


def test_what_cannot_be_reached_or_must_not_be_is_said_in_a_sentence(place, tmp_path, monkeypatch):
    monkeypatch.setattr(connect, "WRITING", 0.1)

    def run(**options):
        translate_many(slides(place), tmp_path / "out", make_options(CHOSEN | options))

    with pytest.raises(OptionError, match=r"encrypts nothing.*--without-tls"):
        run(cluster="tcp://192.0.2.1:8786")
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r"cannot be reached .*check that its scheduler runs"):
        run(cluster="tls://127.0.0.1:9")
    gc.collect()
    assert time.monotonic() < began + 45
    with pytest.raises(ClusterError, match=r"none\.json: cannot be read"):
        run(cluster="scheduler-file:none.json")
    (tmp_path / "odd.json").write_text("[]")
    with pytest.raises(ClusterError, match=r"odd\.json: is no file of a Dask scheduler"):
        run(cluster=f"scheduler-file:{tmp_path / 'odd.json'}")
    with pytest.raises(OptionError, match="cluster: must be local:N"):
        run(cluster="local")
    with pytest.raises(OptionError, match="at_once and cluster exclude each other"):
        run(cluster="local:2", at_once=2)
    with pytest.raises(OptionError, match="device must be auto, cpu or cuda with a cluster"):
        run(cluster="local:2", device="cuda:0,cuda:1")
