"""What people type in a hurry ends in one sentence that is true, whatever the command."""

import io
import json
import os
import shutil
import sys

import pytest

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="names of files are any bytes there")


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (["evaluate", "-"], 2, "no inputs: the list is empty."),
        (["evaluate", "photo.png", "--reference", "-"], 1, "-: does not exist; check the path."),
        (["enhance", "photo.png", "--reference", "-"], 1, "-: does not exist; check the path."),
        (["stain-normalize", "photo.png", "--target", "-"], 1, "-: does not exist"),
        (["tiles", "-", "-o", "none"], 1, "-: does not exist; check the path."),
        (["tiles", "bad.png", "-o", "none"], 1, "bad.png: no reader takes it"),
        (
            ["evaluate", "photo.png", "--grid", "5"],
            2,
            "grid: input should be 'auto' or 'search' or greater than or equal to 33 (got 5).",
        ),
        (["evaluate", "photo.png", "--niqe", "gone"], 1, "gone: cannot be read (No such file or"),
        (["evaluate", "photo.png", "--niqe", "list.csv"], 1, "list.csv: cannot be read (the file"),
        (
            ["translate", "photo.png", "--config", "gone"],
            2,
            "gone: cannot be read as YAML (No such file or directory).",
        ),
        (
            ["translate", "--manifest", "gone"],
            2,
            "gone: cannot be read as CSV (No such file or directory).",
        ),
        (["models", "convert", "he2ihc", "tiny.safetensors"], 1, "or use --overwrite"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_one_true_sentence(uhrt_here, folder, arguments, code, sentence):
    (folder / "bad.png").write_bytes(b"no image")
    (folder / "list.csv").write_text("path\n")
    done = uhrt_here(*arguments)
    for name in ("bad.png", "list.csv"):  # other tests translate all of this folder
        (folder / name).unlink()
    assert done.returncode == code, done.stderr
    assert sentence in " ".join(done.stderr.split())
    assert len([line for line in done.stderr.splitlines() if line.startswith("uhrt: ")]) == 1
    assert done.stdout == ""
    assert not (folder / "none").exists()


def test_tiles_of_the_good_slides_are_cut(uhrt_here, folder, tmp_path):
    shutil.copy(folder / "photo.png", tmp_path / "good.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    done = uhrt_here("tiles", tmp_path, "-o", tmp_path / "out", "--size", 128, "--tissue", 0)
    assert done.returncode == 1
    assert "bad.png: no reader takes it" in done.stderr
    assert done.stdout.strip() == str(tmp_path / "out" / "tiles.csv")


@on_linux
class TestNamesThatAreNoText:
    """A name may hold bytes that are no UTF-8, and stays what it is on the way through."""

    @pytest.fixture
    def photo(self, folder, tmp_path):
        path = tmp_path / os.fsdecode(b"b\xff.png")
        shutil.copy(folder / "more" / "slide.png", path)
        return path

    @pytest.fixture
    def uhrt_in_bytes(self, uhrt_here, monkeypatch):
        """Streams as a UTF-8 terminal has them; gives code, stdout and stderr as bytes."""

        def run(*arguments, stdin=b""):
            out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
            monkeypatch.setattr("sys.stdout", out)
            given = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
            done = uhrt_here(*arguments, stdin=given)
            out.flush()
            return done.returncode, out.buffer.getvalue(), done.stderr

        return run

    def test_come_from_a_list_and_go_to_the_next_program(self, uhrt_in_bytes, photo, tmp_path):
        model = ("--model", "tiny.safetensors", "--cell", 128)
        code, out, errors = uhrt_in_bytes(
            "translate", "-", "-o", tmp_path / "out", *model, stdin=os.fsencode(photo) + b"\n"
        )
        assert code == 0, errors
        assert out == os.fsencode(tmp_path / "out") + b"/b\xff.dn.tif\n"
        assert os.path.exists(out.strip())

    @pytest.mark.parametrize(
        "command",
        [("info",), ("validate",), ("evaluate",), ("translate", "--skip-existing", "-o", "n.tif")],
        ids=lambda command: command[0],
    )
    def test_are_told(self, uhrt_in_bytes, photo, command):
        model = () if len(command) == 1 else ("--model", "tiny.safetensors", "--cell", 128)
        for as_json in (False, True):
            more = ("--json",) if as_json else ()
            code, out, errors = uhrt_in_bytes(*command, *model, *more, photo)
            assert code == 0, errors
            if as_json:
                found = json.loads(out)
                assert os.fspath(photo) in (found.get("input"), found.get("path"))
