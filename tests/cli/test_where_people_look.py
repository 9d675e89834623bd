"""Outputs, lists and times are where and as people look for them."""

import json

import numpy as np
import pytest
import skimage.data
from PIL import Image

from uhrtranslate.cli.times import duration
from uhrtranslate.io import kept_suffix


@pytest.fixture
def photos(tmp_path):
    section = skimage.data.immunohistochemistry()
    (tmp_path / "photos" / "deep").mkdir(parents=True)
    Image.fromarray(section).save(tmp_path / "photos" / "a.png")
    Image.fromarray(np.ascontiguousarray(section[::-1])).save(
        tmp_path / "photos" / "deep" / "b.JPG"
    )
    return tmp_path / "photos"


@pytest.mark.parametrize(
    ("command", "suffix"),
    [
        (("stain-normalize", "--method", "reinhard", "--target"), "reinhard"),
        (("enhance", "--no-invert", "--reference"), "enhanced"),
    ],
    ids=["stain-normalize", "enhance"],
)
def test_patches_stay_what_they_are(uhrt_here, photos, tmp_path, command, suffix):
    target = photos / "a.png"
    done = uhrt_here(*command, target, photos, "-o", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    made = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*g")}
    assert made == {f"a.{suffix}.png", f"deep/b.{suffix}.jpg"}
    with Image.open(tmp_path / "out" / f"a.{suffix}.png") as picture:
        assert picture.format == "PNG"
    done = uhrt_here(*command, target, photos, "-o", tmp_path / "tiffs", "--format", "tiff")
    assert (tmp_path / "tiffs" / f"a.{suffix}.tif").is_file()
    again = uhrt_here(*command, target, photos, "-o", tmp_path / "out", "--resume")
    assert "is there already, complete" in again.stderr
    # Beside their inputs, they are not taken for inputs the next time.
    uhrt_here(*command, target, photos)
    assert (photos / f"a.{suffix}.png").is_file()
    more = uhrt_here(*command, target, photos, "--overwrite")
    assert len(more.stdout.splitlines()) == 2


def test_sixteen_bits_are_no_photo(tmp_path):
    path = tmp_path / "a.png"
    assert kept_suffix(path, None) == ".png"
    assert kept_suffix(path, None, 16) == ".tif"
    assert kept_suffix(path, "ome-tiff") == ".ome.tif"
    assert kept_suffix(tmp_path / "a.svs", None) == ".tif"


def test_info_lists_a_folder(uhrt_here, photos, tmp_path):
    done = uhrt_here("info", photos)
    first, second = done.stdout.splitlines()
    assert first.startswith(f"{photos / 'a.png'}: 512 x 512 px, mpp unknown, 1 level, PNG, ")
    assert second.startswith(f"{photos / 'deep' / 'b.JPG'}: ")
    done = uhrt_here("info", photos, photos / "a.png", "--json")
    assert [json.loads(line)["width"] for line in done.stdout.splitlines()] == [512] * 3
    assert "stored in tiles" in uhrt_here("info", photos / "a.png").stdout
    (tmp_path / "empty").mkdir()
    done = uhrt_here("info", tmp_path / "empty", photos)
    assert done.returncode == 1
    assert "has no images" in done.stderr
    (photos / "broken.png").write_bytes(b"no image")
    done = uhrt_here("info", photos)
    assert done.returncode == 1
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"), (0.44, "0.4 s"), (9.96, "10 s"), (42.4, "42 s"), (59.7, "0:01:00"),
        (123, "0:02:03"), (3723, "1:02:03"), (90_000, "25:00:00"),
    ],
)  # fmt: skip
def test_times(seconds, text):
    assert duration(seconds) == text
