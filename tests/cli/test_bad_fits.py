"""Slides that a method does not fit are named, and what is done with them is as told."""

import csv
import json

import numpy as np
import pytest
import skimage.data
from PIL import Image

SECTION = skimage.data.immunohistochemistry()


def faded(strength):
    """The section with weaker stains, as by bleaching, and a camera's noise."""
    noise = np.random.default_rng(0).normal(0, 1.5, SECTION.shape)
    return (243 - (243.0 - SECTION) * strength + noise).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = tmp_path_factory.mktemp("desk")
    Image.fromarray(SECTION).save(desk / "target.png")
    Image.fromarray(np.ascontiguousarray(SECTION[::-1])).save(desk / "good.png")
    Image.fromarray(faded(0.3)).save(desk / "pale.png")
    Image.fromarray(faded(0.05)).save(desk / "paler.png")
    return desk


def normalize(uhrt_here, desk, tmp_path, *arguments, names=("good", "pale", "paler")):
    done = uhrt_here(
        "stain-normalize", *(desk / f"{name}.png" for name in names), "--target",
        desk / "target.png", "-o", tmp_path / "out", "--json", "--compression", "deflate",
        *arguments,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return done.stderr, dict(zip(names, lines, strict=True))


@pytest.mark.parametrize("method", ["macenko", "vahadane", "reinhard", "histogram"])
def test_a_fit_that_would_make_static_is_named(uhrt_here, desk, tmp_path, method):
    qc = ("--qc", tmp_path / "qc")
    told, results = normalize(uhrt_here, desk, tmp_path, "--method", method, *qc)
    warned = [line for line in told.splitlines() if line.startswith("uhrt: warning: ")]
    assert [name for name in results if any(f"{name}.png: " in line for line in warned)] == [
        "pale", "paler",
    ]  # fmt: skip
    assert results["good"]["warnings"] == {}
    assert "would grow" in results["pale"]["warnings"]["fit"]
    assert "--on-bad-fit skip|copy|fallback" in results["pale"]["warnings"]["fit"]
    record = json.loads((tmp_path / "out/uhrt-run.json").read_text())
    assert [sorted(one["warnings"]) for one in record["inputs"]] == [[], ["fit"], ["fit"]]
    rows = {
        row["slide"]: row
        for row in csv.DictReader((tmp_path / "qc/stains.csv").read_text().splitlines())
    }
    assert "would grow" in rows[str(desk / "pale.png")]["doubts"]
    assert rows[str(desk / "good.png")]["doubts"] == ""


@pytest.mark.parametrize("way", ["skip", "copy", "fallback"])
def test_what_is_done_with_it_is_as_told(uhrt_here, desk, tmp_path, way):
    told, results = normalize(uhrt_here, desk, tmp_path, "--on-bad-fit", way, "--format", "tiff")
    assert results["good"]["status"] == "done"
    for name in ("pale", "paler"):
        result = results[name]
        assert f"{name}.png: " in told
        if way == "skip":
            assert (result["status"], result["output"]) == ("skipped", None)
            assert result["error"].endswith("skipped.")
            continue
        after = np.asarray(Image.open(result["output"])).astype(float)
        before = np.asarray(Image.open(desk / f"{name}.png")).astype(float)
        if way == "copy" or name == "paler":  # without stained pixels, there is nothing to move
            np.testing.assert_array_equal(after, before)
        else:
            goal = SECTION.reshape(-1, 3).mean(0)
            assert (
                np.abs(after.mean((0, 1)) - goal).max() < np.abs(before.mean((0, 1)) - goal).max()
            )
            _, warned = normalize(
                uhrt_here, desk, tmp_path / "warn", "--format", "tiff", names=("pale",)
            )
            static = np.asarray(Image.open(warned["pale"]["output"])).astype(float)
            noise = [np.abs(np.diff(one, axis=1)).mean() for one in (after, static)]
            assert noise[0] < 0.8 * noise[1]


def test_without_its_image_a_reference_has_no_mean_colour(uhrt_here, desk, tmp_path):
    saved = tmp_path / "fit.json"
    normalize(uhrt_here, desk, tmp_path, "--save-fit", saved, names=("good",))
    done = uhrt_here(
        "stain-normalize", desk / "pale.png", "--target", saved, "-o", tmp_path / "x.tif",
        "--on-bad-fit", "fallback",
    )  # fmt: skip
    assert done.returncode == 1
    assert "needs the reference's image" in done.stderr


def test_pictures_have_names_of_their_own_and_a_legend(uhrt_here, desk, tmp_path):
    Image.fromarray(SECTION).save(desk / "good.jpg")
    names = (desk / "good.png", desk / "good.jpg", desk / "pale.png")
    done = uhrt_here(
        "stain-normalize", *names, "--target", desk / "target.png", "-o", tmp_path / "out",
        "--qc", tmp_path / "qc",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "qc").glob("*.png")}
    assert made == {"good.png", "good.jpg.png", "pale.png"}
    rows = csv.DictReader((tmp_path / "qc/stains.csv").read_text().splitlines())
    assert {row["picture"] for row in rows} == made
    good, pale = (
        np.asarray(Image.open(tmp_path / "qc" / name)) for name in ("good.png", "pale.png")
    )
    # Above the panels there is a title, and of the pale one also why it is doubted, in red.
    assert (good[:30] < 100).all(axis=2).sum() > 200
    assert pale.shape[0] > good.shape[0]
    red = (pale[..., 0] > 150) & (pale[..., 1] < 60) & (pale[..., 2] < 60)
    assert red[20:100].sum() > 100
    # Below them, the legend has the colours of both lines.
    for colour in ((0, 0, 255), (255, 20, 147)):
        assert (good[-40:] == colour).all(axis=2).sum() > 50
