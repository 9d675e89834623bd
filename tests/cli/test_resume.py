"""Runs are really killed, and go on: the result is the same to the byte."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import tifffile

from uhrtranslate.io.files.atomic import SUFFIX
from uhrtranslate.recipes.transform_file import write_transform
from uhrtranslate.registration import DisplacementGrid, Frame, Matrix, Transform

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL"),
]


@pytest.fixture(scope="module")
def mortal():
    """Run a command in a process that may be killed; gives wait status and stderr."""
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("mortal.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )

    def run(*arguments, **death):
        order = {"arguments": [str(argument) for argument in arguments], **death}
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield run
    process.stdin.close()
    process.stdout.close()
    process.wait(30)


@pytest.fixture(scope="module")
def desk(folder, tmp_path_factory):
    """A slide of eight bands, with rows that fill no TIFF tile."""
    desk = tmp_path_factory.mktemp("resume")
    pixels = np.tile(skimage.data.immunohistochemistry(), (2, 2, 1))[:1000, :700]
    tifffile.imwrite(desk / "slide.tif", pixels, tile=(256, 256), photometric="rgb")
    shutil.copy(folder / "tiny.safetensors", desk)
    return desk


def command(desk, target, *more):
    return (
        "translate", desk / "slide.tif", "-o", target,
        "--model", desk / "tiny.safetensors", "--cell", "128", "--tile", "128", "--resume", *more,
    )  # fmt: skip


def content(path):
    """A digest of a file, or of all files of a folder."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]


def saved(target):
    return (target.parent / (target.name + SUFFIX) / "state").exists()


KINDS = {
    "jpeg": ("a.tif",),
    "jpeg-dn": ("a.tif", "--norm", "dn"),
    "deflate-kin": ("a.tif", "--compression", "deflate", "--norm", "kin"),
    "png": ("a.png", "--norm", "tin"),
    "blended-pooled": ("a.tif", "--compression", "lzw", "--overlap", "32", "--norm", "pooled"),
}


@pytest.fixture(scope="module", params=KINDS, ids=str)
def kind(request, mortal, desk, tmp_path_factory):
    """Arguments, the digest of an uninterrupted run, and how long it took."""
    name, *options = KINDS[request.param]
    target = tmp_path_factory.mktemp("whole") / name
    done = mortal(*command(desk, target, *options))
    assert done["status"] == 0, done["error"]
    return name, options, content(target), done["took"]


def test_killed_at_random_moments_again_and_again(kind, mortal, desk, tmp_path):
    name, options, whole, seconds = kind
    target = tmp_path / name
    chance = random.Random(name + str(options))
    kills = resumed = 0
    while kills < 8:
        # A busy machine may not come to the first band in the time that a whole run once took:
        # half of the clocks wait for it.
        since = "saved" if kills % 2 else "start"
        moment = chance.uniform(0, seconds if since == "start" else seconds / 3)
        done = mortal(*command(desk, target, *options), seconds=moment, since=since)
        if os.WIFSIGNALED(done["status"]):
            kills += 1
            resumed += saved(target)
            assert not target.exists() or content(target) == whole
        else:
            assert done["status"] == 0, done["error"]
            assert content(target) == whole
            target.unlink()
    done = mortal(*command(desk, target, *options))
    assert done["status"] == 0, done["error"]
    assert resumed > 0
    assert content(target) == whole
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("point", "counts"),
    [
        ("keep", (1, 3, 7, 11)),
        ("save", (1, 5, 9)),
        ("replace", (1, 2, 5, 9)),
        ("published", (1,)),
        ("reached", (1, 4, 8)),
    ],
)
def test_killed_at_the_worst_moments(kind, mortal, desk, tmp_path, point, counts):
    name, options, whole, _ = kind
    target = tmp_path / name
    if name == "a.png" and point in ("keep", "save"):
        pytest.skip("photos have no spilled tiles")
    for count in counts:
        done = mortal(*command(desk, target, *options), point=point, count=count)
        if not os.WIFSIGNALED(done["status"]):
            assert done["status"] == 0, done["error"]
            assert count != counts[0], "the point was never passed"
            break
        assert os.WTERMSIG(done["status"]) == signal.SIGKILL
    done = mortal(*command(desk, target, *options))
    assert done["status"] == 0, done["error"]
    assert content(target) == whole
    assert [path.name for path in tmp_path.iterdir()] == [name]


class TestAnUnfinishedRun:
    @pytest.fixture
    def target(self, mortal, desk, tmp_path):
        target = tmp_path / "a.tif"
        mortal(*command(desk, target), point="reached", count=7)
        assert saved(target)
        return target

    def test_is_not_thrown_away_by_mistake(self, mortal, desk, target):
        arguments = [part for part in command(desk, target) if part != "--resume"]
        done = mortal(*arguments)
        assert os.WEXITSTATUS(done["status"]) == 1
        assert "has finished 77% of it" in done["error"]
        assert "--resume" in done["error"]
        assert saved(target)
        assert mortal(*arguments, "--overwrite")["status"] == 0

    @pytest.mark.parametrize(
        ("more", "reason"),
        [
            (("--norm", "kin"), "norm was pooled and is now kin"),
            (("--glass", "white"), "glass was"),
            (("--quality", "80"), "quality was 90 and is now 80"),
            (("--cell", "64"), "cell was 128 and is now 64"),
            (("--tile", "256"), "tile was 128 and is now 256"),
            (("--region", "0,0,500,500"), "region was not set and is now 0,0,500,500"),
            (("--model", "he2ihc"), "model was"),
        ],
    )
    def test_is_not_gone_on_with_otherwise(self, mortal, desk, target, more, reason):
        done = mortal(*command(desk, target), *more)
        assert os.WEXITSTATUS(done["status"]) == 1
        assert reason in done["error"]
        assert len(done["error"].strip().splitlines()) <= 1
        assert saved(target)

    def test_says_that_it_resumes_and_where(self, mortal, desk, target):
        done = mortal(*command(desk, target))
        assert done["status"] == 0
        assert "resumed at 77%" in done["error"]

    @pytest.mark.parametrize("spoil", ["input", "state", "spill", "version"])
    def test_is_refused_when_something_changed(self, mortal, desk, target, spoil, tmp_path):
        state = tmp_path / ("a.tif" + SUFFIX) / "state"
        if spoil == "input":
            times = (desk / "slide.tif").stat()
            os.utime(desk / "slide.tif", (1, 1))
        elif spoil == "state":
            state.write_bytes(state.read_bytes()[:200])
        elif spoil == "spill":
            (state.parent / "level-0.tiles").write_bytes(b"short")
        else:
            state.write_bytes(state.read_bytes().replace(b'"version": 1', b'"version": 9', 1))
        done = mortal(*command(desk, target))
        if spoil == "input":
            os.utime(desk / "slide.tif", ns=(times.st_atime_ns, times.st_mtime_ns))
        reasons = {
            "input": "its input has been written again since then; use the old input",
            "state": "the state in it is damaged",
            "spill": "has lost its end",
            "version": "another version of uhrt",
        }
        assert os.WEXITSTATUS(done["status"]) == 1
        assert reasons[spoil] in done["error"]
        assert "--overwrite without --resume" in done["error"]
        assert "Traceback" not in done["error"]
        fresh = [part for part in command(desk, target) if part != "--resume"]
        assert mortal(*fresh, "--overwrite")["status"] == 0
        assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize(
    ("point", "count", "reason"),
    [("lost", 3, "Stale file handle"), ("full", 4, "the disk is full")],
)
def test_a_failure_keeps_what_was_done(mortal, desk, tmp_path, point, count, reason):
    target = tmp_path / "a.tif"
    # DN looks one row of cells ahead, so that some rows are done when a read fails.
    done = mortal(*command(desk, target, "--norm", "dn"), point=point, count=count)
    assert os.WEXITSTATUS(done["status"]) == 1
    assert reason in done["error"]
    assert done["error"].strip().endswith("--resume goes on from where it was.")
    assert saved(target)
    assert mortal(*command(desk, target, "--norm", "dn"))["status"] == 0
    assert mortal(*command(desk, tmp_path / "b.tif", "--norm", "dn"))["status"] == 0
    assert content(target) == content(tmp_path / "b.tif")


def test_white_glass_of_a_run_that_was_killed(mortal, desk, tmp_path):
    pixels = tifffile.imread(desk / "slide.tif")
    pixels[300:700, 100:] = 240
    tifffile.imwrite(tmp_path / "slide.tif", pixels, tile=(256, 256), photometric="rgb")
    shutil.copy(desk / "tiny.safetensors", tmp_path)
    how = ("--glass", "white", "--compression", "lzw")
    whole, target = tmp_path / "whole.tif", tmp_path / "a.tif"
    done = mortal(*command(tmp_path, whole, *how))
    assert done["status"] == 0, done["error"]
    assert (tifffile.imread(whole)[306:694, 106:] == 255).all()
    for point, count in (("reached", 3), ("keep", 2)):
        done = mortal(*command(tmp_path, target, *how), point=point, count=count)
        assert os.WTERMSIG(done["status"]) == signal.SIGKILL, done["error"]
    assert saved(target)
    done = mortal(*command(tmp_path, target, *how))
    assert done["status"] == 0, done["error"]
    assert "resumed at" in done["error"]
    assert content(target) == content(whole)


def test_a_warp_that_was_killed_gives_the_same(mortal, desk, tmp_path):
    moving, fixed = Frame("slide.tif", 700, 1000), Frame("other.tif", 700, 3000)
    waves = np.random.default_rng(0).normal(0, 4, (12, 9, 2)).astype(np.float32)
    turn = np.array([[0.98, -0.17, 90], [0.17, 0.98, -60], [0, 0, 1.0]])
    steps = DisplacementGrid((0, 0), (90, 90), waves), Matrix(turn)
    write_transform(tmp_path / "t.json", Transform(moving, fixed, steps))
    order = ["warp", desk / "slide.tif", "--transform", tmp_path / "t.json", "--resume", "-o"]
    done = mortal(*order, tmp_path / "whole.tif")
    assert done["status"] == 0, done["error"]
    target = tmp_path / "target.tif"
    for point, count in (("keep", 5), ("replace", 2)):
        done = mortal(*order, target, point=point, count=count)
        assert os.WIFSIGNALED(done["status"])
    assert saved(target)
    done = mortal(*order, target)
    assert done["status"] == 0, done["error"]
    assert content(target) == content(tmp_path / "whole.tif")
