"""What would end the process ends another one."""

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import skimage.data
import tifffile
from PIL import Image
from support import killed_at_last

from uhrtranslate.errors import InputError
from uhrtranslate.io import open_slide
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
    assert within_ten_seconds(lambda: not runs(done.stdout.strip()))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_it_ends_with_its_parent_even_if_it_hangs(tmp_path):
    path = tmp_path / "hangs.svs"
    os.mkfifo(path)
    script = (
        "import sys, threading, time; from pathlib import Path; "
        "from uhrtranslate.io.readers import openslide_trial as t\n"
        "threading.Thread(target=t.try_out, args=[Path(sys.argv[1])]).start()\n"
        "while t._process._child is None: time.sleep(0.01)\n"
        "print(t._process._child.pid, flush=True)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True
    ) as parent, killed_at_last(parent):  # fmt: skip
        child = parent.stdout.readline().strip()
        # From now on it waits for what we do not write.
        ours = within_ten_seconds(lambda: writable(path))
        assert runs(child)
    assert within_ten_seconds(lambda: not runs(child))
    os.close(ours)


def within_ten_seconds(question):
    """The answer as soon as it is true."""
    deadline = time.monotonic() + 10
    while not (answer := question()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return answer


def writable(path):
    """An open named pipe, if somebody reads it."""
    with suppress(OSError):
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)


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


def test_photos_that_are_no_slides_by_their_first_bytes_are_not_tried(tmp_path, monkeypatch):
    def tried(path):
        raise AssertionError(path)

    monkeypatch.setattr("uhrtranslate.io.readers.openslide.try_out", tried)
    path = tmp_path / "small.png"
    Image.new("RGB", (30, 20), "teal").save(path)
    with open_slide(path) as slide:
        assert slide.read(0, 0, 30, 20)[3, 4].tolist() == [0, 128, 128]
    path.rename(tmp_path / "small.mrxs")  # whose index may be any picture
    with pytest.raises(AssertionError):
        open_slide(tmp_path / "small.mrxs")
