"""What would end the process ends another one."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import skimage.data
import tifffile

from uhrtranslate.errors import InputError
from uhrtranslate.io.readers import openslide_trial
from uhrtranslate.io.readers.openslide_trial import try_out

PIXELS = skimage.data.immunohistochemistry()[:200, :256]


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.tif"
    tifffile.imwrite(path, PIXELS, tile=(256, 256), photometric="rgb", compression="jpeg")
    return path


@pytest.fixture
def deadly(tmp_path):
    """OpenSlide asks for 2^63 bytes, and GLib aborts."""
    path = tmp_path / "deadly.tif"
    tifffile.imwrite(path, PIXELS, tile=(256, 256), photometric="rgb", compression="jpeg",
                     bigtiff=True)  # fmt: skip
    with tifffile.TiffFile(path) as tiff:
        tag = tiff.pages[0].tags["TileByteCounts"]
    data = bytearray(path.read_bytes())
    data[tag.offset + 2 : tag.offset + 4] = (16).to_bytes(2, "little")
    data[tag.offset + 19] = 0x80
    path.write_bytes(data)
    return path


def test_a_deadly_file_is_refused_and_the_next_is_tried(good, deadly):
    for _ in range(2):
        with pytest.raises(InputError, match=r"deadly\.tif: is damaged: OpenSlide crashes on it"):
            try_out(deadly)
        try_out(good)


def test_paths_are_those_of_this_process(deadly, good, tmp_path, monkeypatch):
    try_out(good)  # the other process is there now, and stays where it is
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^deadly\.tif: is damaged"):
        try_out(Path("deadly.tif"))


def test_what_is_no_slide_is_left_to_those_who_say_so(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("no slide")
    try_out(path)


def test_files_are_tried_once(good, monkeypatch):
    try_out(good)
    monkeypatch.setattr(openslide_trial, "_process", None)
    try_out(good)


def test_files_are_trusted_where_the_process_cannot_run(deadly, tmp_path, monkeypatch):
    monkeypatch.setattr(openslide_trial.openslide_limits, "__file__", tmp_path / "nothing.py")
    openslide_trial._Process().try_out(str(deadly))
    monkeypatch.setattr(openslide_trial.sys, "executable", tmp_path / "no-python")
    openslide_trial._Process().try_out(str(deadly))


def test_what_hangs_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(openslide_trial, "SECONDS", 0.3)
    monkeypatch.setattr(openslide_trial.openslide_limits, "__file__", tmp_path / "sleeper.py")
    (tmp_path / "sleeper.py").write_text("import time; time.sleep(60)")
    process = openslide_trial._Process()
    began = time.monotonic()
    with pytest.raises(InputError, match="found nothing in it within"):
        process.try_out(str(tmp_path / "slow.svs"))
    assert time.monotonic() - began < 10


def test_the_process_ends_with_its_parent(good):
    script = (
        "import os, sys; from pathlib import Path; "
        "from uhrtranslate.io.readers import openslide_trial as t; t.try_out(Path(sys.argv[1])); "
        "print(t._process._child.pid, flush=True); os._exit(3)"
    )
    done = subprocess.run([sys.executable, "-c", script, good], capture_output=True, text=True)
    deadline = time.monotonic() + 10
    while runs(done.stdout.strip()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not runs(done.stdout.strip())


def runs(process):
    """Whether it does; one that ended may wait for ever for somebody to ask how."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_process_starts_without_what_takes_long():
    script = "import runpy, sys; runpy.run_path(sys.argv[1]); print(*sys.modules)"
    command = [sys.executable, "-P", "-c", script, openslide_trial.openslide_limits.__file__]
    loaded = subprocess.run(command, capture_output=True, text=True).stdout.split()
    assert "openslide" in loaded
    assert not {"torch", "numpy", "uhrtranslate"} & set(loaded)
