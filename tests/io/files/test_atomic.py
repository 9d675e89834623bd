"""Outputs appear whole or not at all, whatever happens on the way."""

import contextlib
import dataclasses
import errno
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import tifffile

from uhrtranslate.errors import OutputError
from uhrtranslate.io import OutputSpec, open_writer
from uhrtranslate.io.files import disk
from uhrtranslate.io.files.atomic import SUFFIX, PartialOutput, can_resume, partial_folder
from uhrtranslate.io.writers import levels, pyramid, tiff
from uhrtranslate.io.writers.pyramid import PyramidWriter

SPEC = OutputSpec(300, 300, compression="none", tile=64, smallest=100)
PIXELS = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)


def write(target, then=lambda: None, **options):
    with open_writer(target, SPEC, **options) as writer:
        writer.write(0, 0, PIXELS)
        then()


def raising(error):
    def fail(*args, **kwargs):
        raise error

    return fail


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_the_target_appears_at_the_end_and_alone(tmp_path, name):
    with open_writer(tmp_path / name, SPEC) as writer:
        writer.write(0, 0, PIXELS)
        assert names(tmp_path) == [name + SUFFIX]
    assert names(tmp_path) == [name]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError, SystemExit])
def test_an_exception_leaves_nothing(tmp_path, error):
    threads = threading.active_count()
    with pytest.raises(error):
        write(tmp_path / "a.tif", then=raising(error))
    assert names(tmp_path) == []
    assert threading.active_count() == threads


def test_ctrl_c_during_the_last_copy_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(path, spec, levels):
        path.write_bytes(b"half a file")
        raise KeyboardInterrupt

    format = dataclasses.replace(tiff.TIFF, assemble=interrupted)
    monkeypatch.setattr(pyramid, "slide_format", lambda *_: format)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "a.tif")
    assert names(tmp_path) == []


def test_parents_are_made(tmp_path):
    write(tmp_path / "new" / "folder" / "a.tif")
    assert (tmp_path / "new" / "folder" / "a.tif").exists()


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_an_existing_target_is_kept(tmp_path, name):
    target = tmp_path / name
    target.write_bytes(b"precious")
    with pytest.raises(OutputError, match="exists already; use --overwrite"):
        open_writer(target, SPEC)
    assert target.read_bytes() == b"precious"
    write(target, overwrite=True)
    assert target.read_bytes() != b"precious"
    assert names(tmp_path) == [name]


def test_a_target_that_appears_meanwhile_is_kept(tmp_path):
    target = tmp_path / "a.tif"
    with pytest.raises(OutputError, match="exists already"):
        write(target, then=lambda: target.write_bytes(b"precious"))
    assert target.read_bytes() == b"precious"
    assert names(tmp_path) == ["a.tif"]


def test_the_old_file_stays_if_overwriting_fails(tmp_path):
    target = tmp_path / "a.tif"
    target.write_bytes(b"precious")
    with pytest.raises(KeyboardInterrupt):
        write(target, then=raising(KeyboardInterrupt), overwrite=True)
    assert target.read_bytes() == b"precious"


def test_a_folder_is_no_target(tmp_path):
    (tmp_path / "a.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        open_writer(tmp_path / "a.tif", SPEC, overwrite=True)


# Tests may run as root, whom permissions don't stop: a file in the place of a folder does.
@pytest.mark.parametrize("target", ["file/a.tif", "file/deep/a.tif", "file/a.png"])
def test_a_folder_that_cannot_be_made_is_named(tmp_path, target):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="is no folder; choose another folder with -o"):
        write(tmp_path / target)
    assert names(tmp_path) == ["file"]


def test_a_folder_that_may_not_be_written_is_named(tmp_path, monkeypatch):
    refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr(Path, "mkdir", raising(refused))
    with pytest.raises(OutputError, match="cannot be written; choose another folder with -o"):
        write(tmp_path / "a.tif")


@pytest.mark.parametrize("letter", ["a", "\u00e4", "\U0001f52c"])
def test_a_name_as_long_as_names_can_be_is_written(tmp_path, letter):
    name = letter * ((255 - 4) // len(letter.encode())) + ".tif"
    other = name.replace(".tif", ".svs")
    assert partial_folder(tmp_path / name) != partial_folder(tmp_path / other)
    assert not can_resume(tmp_path / name)
    write(tmp_path / name)
    assert names(tmp_path) == [name]


def test_a_name_too_long_is_an_output_error(tmp_path):
    target = tmp_path / f"{'a' * 252}.tif"
    with pytest.raises(OutputError, match="its name is too long; choose a shorter one with -o"):
        write(target)
    assert not can_resume(target)
    assert names(tmp_path) == []


full = raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


@pytest.mark.parametrize("place", ["spill", "copy", "encoder", "publish"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, place):
    if place == "spill":
        monkeypatch.setattr(levels.Level, "keep", full)
    elif place == "copy":
        monkeypatch.setattr(tifffile.TiffWriter, "write", full)
    elif place == "encoder":
        monkeypatch.setattr(levels, "halve", full)
    else:
        monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"a\.tif: the disk is full; free .* with -o$"):
        write(tmp_path / "a.tif")
    assert names(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs (root)")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
@pytest.mark.parametrize("room", [100, 400, 560])
def test_a_disk_that_is_really_full(small_disk, name, room):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(1024 * (600 - room)))
    enough = name == "a.png" and room > 300  # 270 kB of noise, once
    expected = contextlib.nullcontext() if enough else pytest.raises(OutputError, match="is full")
    with expected:
        write(small_disk / name)
    assert names(small_disk) == ([name, "filler"] if enough else ["filler"])


def test_the_missing_space_is_estimated(tmp_path, monkeypatch):
    spec = OutputSpec(512, 512, compression="none", tile=64, smallest=512)
    pixels = np.zeros((512, 512, 3), np.uint8)
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(PyramidWriter(tmp_path / "a.tif", spec, workers=1))
        writer.write(0, 0, pixels[:256])
        monkeypatch.setattr(levels.Level, "keep", full)
        # 0.79 MB, twice; some of it is there already.
        with pytest.raises(OutputError, match=r"free about 1\.\d MB"):
            writer.write(0, 256, pixels[256:])
        stack.pop_all().__exit__(KeyboardInterrupt, None, None)


SLOW = """
import sys, time
from pathlib import Path
import numpy as np
from uhrtranslate.io import OutputSpec, open_writer
with open_writer(Path(sys.argv[1]), OutputSpec(300, 300, tile=64)) as writer:
    writer.write(0, 0, np.zeros((200, 300, 3), np.uint8))
    print("half", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def slow(tmp_path):
    """Start another process that is in the middle of writing a target."""
    running = []

    def start(target):
        process = subprocess.Popen(
            [sys.executable, "-c", SLOW, str(target)],
            stdout=subprocess.PIPE,
            text=True,
            # Background jobs of a shell ignore Ctrl-C, and so would what they start.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        running.append(process)
        assert process.stdout.readline() == "half\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_a_killed_run_leaves_no_target_and_the_next_one_cleans(tmp_path, slow, name):
    process = slow(tmp_path / name)
    with pytest.raises(OutputError, match="another run is writing it"):
        write(tmp_path / name)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert names(tmp_path) == [name + SUFFIX]
    (tmp_path / (name + SUFFIX) / "folder").mkdir()
    write(tmp_path / name)
    assert names(tmp_path) == [name]


def test_ctrl_c_ends_a_run_without_leftovers(tmp_path, slow):
    process = slow(tmp_path / "a.tif")
    process.send_signal(signal.SIGINT)
    process.wait()
    assert names(tmp_path) == []


def test_two_writers_of_one_target_in_one_process(tmp_path):
    with PyramidWriter(tmp_path / "a.tif", SPEC) as writer:
        with pytest.raises(OutputError, match="another run is writing it"):
            write(tmp_path / "a.tif")
        write(tmp_path / "b.tif")
        writer.write(0, 0, PIXELS)
    assert names(tmp_path) == ["a.tif", "b.tif"]


def test_one_of_many_runs_wins_and_the_others_say_so(tmp_path):
    results = []

    def run():
        try:
            write(tmp_path / "a.tif")
            results.append("done")
        except OutputError as error:
            results.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count("done") == 1
    assert all("another run" in text or "exists" in text for text in results if text != "done")
    assert np.array_equal(tifffile.imread(tmp_path / "a.tif"), PIXELS)
    assert names(tmp_path) == ["a.tif"]


def test_a_symbolic_link_in_place_of_the_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_bytes(b"precious")
    (tmp_path / f"a.tif{SUFFIX}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputError, match="is a symbolic link"):
        write(tmp_path / "a.tif")
    assert (tmp_path / "elsewhere" / "file").read_bytes() == b"precious"


def test_a_leftover_link_is_removed_but_not_what_it_names(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / f"a.tif{SUFFIX}").mkdir()
    (tmp_path / f"a.tif{SUFFIX}" / "link").symlink_to(tmp_path / "precious")
    write(tmp_path / "a.tif")
    assert names(tmp_path) == ["a.tif", "precious"]


def test_a_target_that_is_a_link_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "a.tif").symlink_to(tmp_path / "real" / "b.tif")
    write(tmp_path / "a.tif")
    assert (tmp_path / "a.tif").is_symlink()
    assert names(tmp_path / "real") == ["b.tif"]


def test_a_loop_of_links_is_an_output_error(tmp_path):
    (tmp_path / "a.tif").symlink_to(tmp_path / "b.tif")
    (tmp_path / "b.tif").symlink_to(tmp_path / "a.tif")
    with pytest.raises(OutputError):
        write(tmp_path / "a.tif")


def test_file_systems_without_locks_are_written_all_the_same(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl")
    unsupported = OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    monkeypatch.setattr(fcntl, "flock", raising(unsupported))
    write(tmp_path / "a.tif")
    assert names(tmp_path) == ["a.tif"]


def test_a_folder_that_cannot_be_emptied_is_an_output_error(tmp_path, monkeypatch):
    (tmp_path / f"a.tif{SUFFIX}").mkdir()
    (tmp_path / f"a.tif{SUFFIX}" / "level-0.tiles").write_bytes(b"")
    monkeypatch.setattr(Path, "unlink", full)
    with pytest.raises(OutputError), PartialOutput(tmp_path / "a.tif"):
        pass


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (1500, "1.5 kB"), (2e6, "2.0 MB"), (4.2e12, "4,200.0 GB")]
)
def test_sizes_for_people(size, text):
    assert disk.human_size(size) == text
