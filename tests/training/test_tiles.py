"""`uhrt tiles`: names, manifest, tissue, pairs in step."""

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from problems import section

from uhrtranslate.errors import InputError, OptionError, OutputError
from uhrtranslate.io import SlideView
from uhrtranslate.options import TileOptions, validated
from uhrtranslate.runs.outputs import unique_names
from uhrtranslate.tasks.tiles import cut_tiles


@pytest.fixture
def slides(tmp_path):
    glass = np.full((700, 1000, 3), 243, np.uint8)
    glass[100:612, 300:812] = section()
    for name, pixels in (("a", glass), ("b", 255 - glass)):
        (tmp_path / name).mkdir()
        tifffile.imwrite(
            tmp_path / name / "one.tif",
            pixels,
            tile=(256, 256),
            photometric="rgb",
            resolution=(2e4, 2e4),
            resolutionunit="CENTIMETER",
        )
    return tmp_path, glass


def rows(folder):
    with (folder / "tiles.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_patches_are_named_by_their_place_and_listed(slides):
    folder, pixels = slides
    (result,) = cut_tiles(folder / "a", folder / "out", TileOptions(size=128))
    listed = rows(folder / "out")
    files = {path.name for path in (folder / "out").glob("*.png")}
    assert {row["file"] for row in listed} == files
    assert result.patches == len(files) > 8
    assert result.patches + result.skipped == 7 * 5
    for row in listed:
        x, y = int(row["x0"]), int(row["y0"])
        assert row["file"] == f"one_x{x}_y{y}.png"
        patch = np.asarray(Image.open(folder / "out" / row["file"]))
        np.testing.assert_array_equal(patch, pixels[y : y + 128, x : x + 128])
        assert float(row["tissue"]) >= 0.25
        assert float(row["mpp"]) == pytest.approx(0.5)


def test_overlap_and_resolution(slides):
    folder, _ = slides
    options = TileOptions(size=64, overlap=32, mpp=1.0, tissue=0)
    (result,) = cut_tiles(folder / "a", folder / "out", options)
    assert (result.patches, result.skipped) == (14 * 9, 0)
    row = rows(folder / "out")[1]
    assert (row["x0"], row["w0"], row["mpp"]) == ("64", "128", "1")


def test_pairs_are_cut_in_step(slides):
    folder, _ = slides
    cut_tiles(folder / "a", folder / "out", TileOptions(size=128), folder / "b")
    names = [sorted(p.name for p in (folder / "out" / side).iterdir()) for side in "AB"]
    assert names[0] == names[1]
    assert names[0]
    for name in names[0]:
        a, b = (np.asarray(Image.open(folder / "out" / side / name)) for side in "AB")
        np.testing.assert_array_equal(a, 255 - b)


def test_slides_of_equal_names_lose_no_patch(tmp_path):
    """One stem with two endings, two cases of it, and one name in two folders."""
    random = np.random.default_rng(0)
    written = {}
    for name in ("s1.png", "s1.tif", "S1.bmp", "left/s2.png", "right/s2.png", "right/s3.png"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        written[str(path)] = random.integers(0, 256, (64, 64, 3), np.uint8)
        Image.fromarray(written[str(path)]).save(path)
    cut_tiles(tmp_path / "in", tmp_path / "out", TileOptions(size=64, tissue=0))
    listed = rows(tmp_path / "out")
    assert {row["file"].removesuffix("_x0_y0.png") for row in listed} == {
        "s1.png", "s1.tif", "S1.bmp", "left_s2", "right_s2", "s3",
    }  # fmt: skip
    assert sorted(row["file"] for row in listed) == sorted(
        path.name for path in (tmp_path / "out").glob("*.png")
    )
    for row in listed:
        patch = np.asarray(Image.open(tmp_path / "out" / row["file"]))
        np.testing.assert_array_equal(patch, written.pop(row["source"]))
    assert written == {}


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["/a/s.png", "/a/t.png"], ["s", "t"]),
        (["/a/s.png", "/b/s.png"], ["a_s", "b_s"]),
        (["/a/s.png", "/a/S.png"], ["a_s.png", "a_S.png_2"]),
        (["/a/s.png", "/a/s.tif", "/b/s.png"], ["s.png", "s.tif", "b_s"]),
        (["/a/b/s.png", "/c/b/s.png"], ["a_b_s.png", "c_b_s.png"]),
        (["/a/s.png", "/b/s.png", "/c/a_s.png"], ["s.png", "b_s", "a_s.png"]),
        (["/a/s.png", "/a/s.png"], ["a_s.png", "a_s.png_2"]),  # by two links
    ],
)
def test_patches_are_named_after_as_little_as_it_takes(paths, names):
    assert unique_names([Path(path) for path in paths]) == names


@pytest.mark.parametrize("paired", [False, True])
def test_a_slide_that_fails_does_not_stop_the_others(slides, paired, monkeypatch):
    """Of one that fails in the middle, no patch is left that the table does not list."""
    folder, pixels = slides
    for side in "ab":
        for name in ("bad", "late", "small"):
            Image.fromarray(pixels).save(folder / side / f"{name}.png")
    (folder / "a" / "bad.png").write_bytes(b"no image")
    Image.fromarray(pixels[:100]).save(folder / "a" / "small.png")

    def read(view, x, y, w, h, read=SlideView.read):
        if "late" in view.info.path and y >= 128 and x == 0:
            raise InputError("late.png: the share is gone.")
        return read(view, x, y, w, h)

    monkeypatch.setattr(SlideView, "read", read)
    told = []
    options = TileOptions(size=128, tissue=0)
    partner = folder / "b" if paired else None
    results = cut_tiles(folder / "a", folder / "out", options, partner, told.append)
    assert told == results
    reasons = {Path(result.input).name: result.error for result in results}
    assert reasons.pop("one.tif") is None
    assert "no reader takes it" in reasons["bad.png"]
    assert reasons["late.png"] == "late.png: the share is gone."
    assert "less than a patch" in reasons["small.png"]
    listed = {row["file"] for row in rows(folder / "out")}
    there = {
        path.relative_to(folder / "out").as_posix() for path in (folder / "out").rglob("*.png")
    }
    assert there == listed
    assert len(listed) == 35 * (1 + paired)


def test_what_cannot_be_cut_is_said(slides):
    folder, _ = slides
    (failed,) = cut_tiles(folder / "a", folder / "x", TileOptions(size=1024))
    assert "less than a patch of 1024 px" in failed.error
    assert not (folder / "x").exists()
    with pytest.raises(OutputError, match="exists already"):
        cut_tiles(folder / "a", folder / "b")
    with pytest.raises(OptionError, match="overlap"):
        validated(TileOptions, {"size": 64, "overlap": 64})
    (folder / "b" / "one.tif").rename(folder / "b" / "two.tif")
    (folder / "a" / "more.tif").write_bytes((folder / "a" / "one.tif").read_bytes())
    with pytest.raises(InputError, match="has no partner"):
        cut_tiles(folder / "a", folder / "y", partner=folder / "b")
    assert not (folder / "y").exists()
