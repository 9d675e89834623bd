"""`uhrt tiles`: names, manifest, tissue, pairs in step."""

import csv

import numpy as np
import pytest
import tifffile
from PIL import Image
from problems import section

from uhrtranslate.errors import InputError, OptionError, OutputError
from uhrtranslate.options import validated
from uhrtranslate.tasks.tiles import TileOptions, cut_tiles


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


def test_what_cannot_be_cut_is_said(slides):
    folder, _ = slides
    with pytest.raises(InputError, match="less than a patch of 1024 px"):
        cut_tiles(folder / "a", folder / "x", TileOptions(size=1024))
    with pytest.raises(OutputError, match="exists already"):
        cut_tiles(folder / "a", folder / "b")
    with pytest.raises(OptionError, match="overlap"):
        validated(TileOptions, {"size": 64, "overlap": 64})
    (folder / "b" / "one.tif").rename(folder / "b" / "two.tif")
    (folder / "a" / "more.tif").write_bytes((folder / "a" / "one.tif").read_bytes())
    with pytest.raises(InputError, match="has no partner"):
        cut_tiles(folder / "a", folder / "y", partner=folder / "b")
    assert not (folder / "y").exists()
