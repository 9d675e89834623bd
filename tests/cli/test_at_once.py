"""Several images at once and several devices: the same results, and the same care."""

import json
import shutil
import signal
import subprocess
import threading

import numpy as np
import pytest
import tifffile
from support import UHRT, interrupted

from uhrtranslate.io import Found
from uhrtranslate.options import make_options
from uhrtranslate.recipes import generator_pool
from uhrtranslate.runs import many_images
from uhrtranslate.runs.items import Item
from uhrtranslate.tasks.translate import translate_many

MODEL = ("--model", "tiny.safetensors")


@pytest.fixture
def inputs(folder, tmp_path):
    """Three images, a file that is none, and the same slide in another folder."""
    inputs = tmp_path / "in"
    inputs.mkdir()
    for name in ("slide.tif", "photo.png", "more/slide.png"):
        target = inputs / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(folder / name, target)
    shutil.copy(folder / "slide.tif", inputs / "more" / "again.tif")
    (inputs / "bad.tif").write_bytes(b"no image at all")
    return inputs


def results(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".json"
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [("--device", "cpu,cpu"), ("--at-once", "3"), ("--device", "cpu,cpu,cpu", "--at-once", "2")],
    ids=" ".join,
)
def test_results_and_record_are_the_same(uhrt, inputs, tmp_path, more):
    common = ("translate", inputs, *MODEL, "--precision", "auto", "--json")
    alone = uhrt(*common, "-o", tmp_path / "alone")
    many = uhrt(*common, "-o", tmp_path / "many", *more)
    assert alone.returncode == many.returncode == 1
    assert len(results(tmp_path / "alone")) == 4
    assert results(tmp_path / "many") == results(tmp_path / "alone")
    one, other = (
        {line["input"]: (line["status"], line["error"]) for line in map(json.loads, lines)}
        for lines in (alone.stdout.splitlines(), many.stdout.splitlines())
    )
    assert one == other
    assert len(one) == 5
    record = json.loads((tmp_path / "many" / "uhrt-run.json").read_text())
    assert sorted(entry["input"] for entry in record["inputs"]) == sorted(one)
    assert "1 of 5 inputs failed" in many.stderr
    assert {f"[{n}/5]" in many.stderr for n in range(2, 5)} == {True}


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_saves_all_that_are_at_work(folder, tmp_path, number):
    pixels = np.random.default_rng(0).integers(0, 256, (4000, 3000, 3), np.uint8)
    names = ("a", "b")
    for name in names:
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, tile=(512, 512), photometric="rgb")
    command = [
        UHRT, "translate", *(tmp_path / f"{name}.tif" for name in names), "-o", tmp_path / "out",
        "--model", folder / "tiny.safetensors", "--tile", "512", "--at-once", "2",
    ]  # fmt: skip
    states = [tmp_path / "out" / f"{name}.pooled.tif.uhrt-partial" / "state" for name in names]
    out, errors = interrupted(command, number, *states)
    assert out == ""
    assert "failed" not in errors
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=120)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("resumed at") == 2
    first, second = ((tmp_path / "out" / f"{name}.pooled.tif").read_bytes() for name in names)
    assert first == second
    assert not list((tmp_path / "out").glob("*.uhrt-partial"))


def options(folder, **more):
    return make_options({"model": str(folder / "tiny.safetensors"), **more})


def test_as_many_images_as_devices_are_at_work(folder, inputs, tmp_path, monkeypatch):
    together = threading.Barrier(2)
    process_file = many_images.process_file

    def process(*arguments):
        together.wait(60)  # breaks where a third, or no second, is at work
        return process_file(*arguments)

    monkeypatch.setattr(many_images, "process_file", process)
    paths = [inputs / "slide.tif", inputs / "photo.png", inputs / "more" / "slide.png"]
    items = [Item(Found(path, inputs)) for path in [*paths, inputs / "more" / "again.tif"]]
    results = translate_many(items, tmp_path / "out", options(folder, device="cpu,cpu"))
    assert [result.status for result in results] == ["done"] * 4
    assert [result.input for result in results] == [item.name for item in items]


def test_the_halo_is_measured_once_for_all_images(folder, inputs, tmp_path, monkeypatch):
    measured = []
    measure_halo = generator_pool.measure_halo

    def measure(runner):
        measured.append(runner)
        return measure_halo(runner)

    monkeypatch.setattr(generator_pool, "measure_halo", measure)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    items = [Item(Found(inputs / name, inputs)) for name in ("slide.tif", "photo.png")]
    results = translate_many(items, tmp_path / "out", options(folder))
    assert [result.status for result in results] == ["done"] * 2
    assert len(measured) == 1


def test_every_image_has_a_trace_of_its_own(folder, inputs, tmp_path):
    names = ("slide.tif", "photo.png", "more/again.tif")
    items = [Item(Found(inputs / name, inputs)) for name in names]
    chosen = options(folder, at_once=3, profile=tmp_path / "trace.json")
    translate_many(items, tmp_path / "out", chosen)
    traces = sorted(tmp_path.glob("trace*.json"))
    assert [path.name for path in traces] == ["trace-2.json", "trace-3.json", "trace.json"]
    for path in traces:
        assert json.loads(path.read_text())["traceEvents"]
