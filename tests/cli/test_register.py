"""`uhrt register` and `uhrt warp` from files to files."""

import json
from contextlib import chdir

import numpy as np
import pytest
import skimage.data
import tifffile
from PIL import Image
from scipy.ndimage import shift
from typer.testing import CliRunner

from uhrtranslate.cli.app import app

SECTION = np.pad(
    skimage.data.immunohistochemistry()[40:360, 60:420], ((50, 50), (40, 40), (0, 0)), "constant",
    constant_values=240,
)  # fmt: skip
MOVED = np.stack(
    [shift(SECTION[..., c], (-9, 14), order=1, cval=240, mode="constant") for c in range(3)], -1
)


def uhrt(folder, *arguments):
    with chdir(folder):
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """A section, the same in another place and darker, and what was found of them."""
    folder = tmp_path_factory.mktemp("pair")
    how = {"photometric": "rgb", "tile": (128, 128), "resolutionunit": "CENTIMETER"}
    tifffile.imwrite(folder / "moving.tif", SECTION, resolution=(2e4, 2e4), **how)
    dark = (MOVED.astype(float) * 0.9).astype(np.uint8)
    tifffile.imwrite(folder / "fixed.tif", dark, resolution=(2e4, 2e4), **how)
    marks = np.random.default_rng(0).uniform(80, 300, (20, 2))
    for name, offset in (("moving", (0, 0)), ("fixed", (14, -9))):
        rows = [f"{i},{x},{y}" for i, (x, y) in enumerate(marks + offset)]
        (folder / f"{name}.csv").write_text("\n".join([" ,X,Y", *rows]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("uhrtranslate.cli.stages.SECONDS_BETWEEN_LINES", 0)
        found = uhrt(
            folder, "register", "moving.tif", "fixed.tif", "-o", "t.json",
            "--landmarks", "moving.csv", "fixed.csv", "--json",
        )  # fmt: skip
    assert found.exit_code == 0, found.stderr
    (folder / "stderr").write_text(found.stderr)
    return folder, json.loads(found.stdout)


def test_a_moved_section_is_found_and_called_good(pair):
    _, found = pair
    assert found["verdict"] == "good"
    assert found["quality"]["landmarks"]["tre_px"] < 0.5
    assert found["quality"]["landmarks"]["robustness"] == 1
    assert found["quality"]["after"]["ncc"] > found["quality"]["before"]["ncc"] + 0.3


def test_the_stages_are_told_as_they_come(pair):
    assert (pair[0] / "stderr").read_text().splitlines()[:3] == [
        "moving.tif: 0%, coarse step (1 of 3)",
        "moving.tif: 33%, non-rigid step at 1,024 px (2 of 3)",
        "moving.tif: 67%, judging (3 of 3)",
    ]


def test_a_transform_is_not_overwritten_unasked(pair):
    folder, _ = pair
    again = uhrt(folder, "register", "moving.tif", "fixed.tif", "-o", "t.json")
    assert again.exit_code == 1
    assert "t.json: exists already" in again.stderr


@pytest.mark.parametrize("output", ["warped.tif", "warped.ome.tif", "warped.png"])
def test_the_warped_slide_lies_on_the_fixed_one(pair, output):
    folder, _ = pair
    done = uhrt(
        folder, "warp", "moving.tif", "--transform", "t.json", "-o", output, "--quality", 99
    )
    assert done.exit_code == 0, done.stderr
    read = np.asarray(Image.open(folder / output)) if output.endswith("png") else None
    made = tifffile.imread(folder / output) if read is None else read
    assert made.shape == MOVED.shape
    inner = np.s_[80:320, 80:340]
    assert np.abs(made[inner].astype(int) - MOVED[inner]).mean() < 6
    again = uhrt(
        folder, "warp", "moving.tif", "--transform", "t.json", "-o", output, "--skip-existing",
        "--quality", 99,
    )  # fmt: skip
    assert again.exit_code == 0, again.stderr
    if output == "warped.tif":
        other = uhrt(
            folder, "warp", "moving.tif", "--transform", "t.json", "-o", output, "--skip-existing",
            "--quality", 99, "--sampling", "linear",
        )  # fmt: skip
        assert other.exit_code == 1
        assert "was made otherwise" in other.stderr


def test_annotations_go_to_and_fro(pair):
    folder, _ = pair
    (folder / "cells.csv").write_text("name,X,Y\na,100,120\nb,200,150\n")
    outline = {"type": "Polygon", "coordinates": [[[100, 120], [200, 150], [150, 220], [100, 120]]]}
    feature = {"type": "Feature", "properties": {"coordinates": [1, 2]}, "geometry": outline}
    (folder / "cells.geojson").write_text(json.dumps([feature]))
    for ending in ("csv", "geojson"):
        for source, to, target in (("cells", "fixed", "there"), ("there", "moving", "back")):
            done = uhrt(
                folder, "warp", "--points", f"{source}.{ending}", "--transform", "t.json",
                "--to", to, "-o", f"{target}.{ending}",
            )  # fmt: skip
            assert done.exit_code == 0, done.stderr
    name, x, y = (folder / "there.csv").read_text().splitlines()[1].split(",")
    assert name == "a"
    assert float(x) == pytest.approx(114, abs=0.6)
    assert float(y) == pytest.approx(111, abs=0.6)
    back = json.loads((folder / "back.geojson").read_text())[0]
    assert back["properties"] == {"coordinates": [1, 2]}
    found = np.array(back["geometry"]["coordinates"][0])
    assert np.abs(found - outline["coordinates"][0]).max() < 0.01


def test_points_by_hand_take_the_place_of_the_search(pair):
    folder, _ = pair
    corners = [(0, 0), (400, 0), (400, 400), (0, 400)]
    rows = [f"{x},{y},{x + 14},{y - 9}" for x, y in corners]
    (folder / "points.csv").write_text("\n".join(["moving_x,moving_y,fixed_x,fixed_y", *rows]))
    arguments = ["moving.tif", "fixed.tif", "--points", "points.csv", "--engine", "none"]
    done = uhrt(folder, "register", *arguments, "-o", "by-hand.json")
    assert done.exit_code == 0, done.stderr
    steps = json.loads((folder / "by-hand.json").read_text())["steps"]
    expected = [[1, 0, -14], [0, 1, 9], [0, 0, 1]]
    assert np.allclose(steps[0]["matrix"], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "pixels", "reason"),
    [
        ("glass.png", np.full((300, 300, 3), 244, np.uint8), "no tissue"),
        ("coffee.png", skimage.data.coffee()[:300, :300], "no better there"),
        ("over.png", np.ascontiguousarray(SECTION[:, ::-1]), ""),
    ],
)
def test_glass_and_unrelated_and_overturned_sections_fail(pair, name, pixels, reason):
    folder, _ = pair
    Image.fromarray(pixels).save(folder / name)
    done = uhrt(folder, "register", name, "fixed.tif", "-o", "no.json")
    assert done.exit_code == 1, done.stderr
    assert "does not lie on" in done.stderr
    assert reason in done.stderr
    assert not (folder / "no.json").exists()


def test_what_is_wrong_is_said_in_a_sentence(pair):
    folder, _ = pair
    Image.fromarray(SECTION[:100]).save(folder / "part.png")
    (folder / "no.csv").write_text("a,b\n1,2\n")
    for arguments, told in (
        (["part.png", "--transform", "t.json"], "made for a slide of"),
        (["part.png", "--transform", "no.csv"], "is no transform"),
        (["--points", "no.csv", "--transform", "t.json"], "no columns x and y"),
        (["--transform", "t.json"], "either a slide"),
    ):
        done = uhrt(folder, "warp", *arguments, "-o", "never.tif")
        assert done.exit_code in (1, 2)
        assert told in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
