"""The stain against its truth, through a transform, by class; two tilings."""

import json

import numpy as np
import pytest
import skimage.data
from metrics.planted import with_tiles
from PIL import Image
from pydantic import ValidationError

from uhrtranslate.errors import InputError
from uhrtranslate.evaluation import pixels as evaluation_pixels
from uhrtranslate.evaluation.classes import read_classes
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.io import Found
from uhrtranslate.metrics.dab import dab_density, tile_pair
from uhrtranslate.metrics.masks import MaskRecipe, dab_mask, mask_counts
from uhrtranslate.registration import Frame, Matrix, Transform, dump_transform
from uhrtranslate.tasks.evaluate import evaluate, evaluate_many


@pytest.fixture(scope="module")
def section():
    return skimage.data.immunohistochemistry()[:300, :340]


@pytest.fixture
def place(tmp_path, section):
    Image.fromarray(section).save(tmp_path / "truth.png")
    paler = 255 - (255 - section.astype(int)) * 0.85
    Image.fromarray(np.rint(paler).astype(np.uint8)).save(tmp_path / "result.png")
    return tmp_path


def test_figures_of_blocks_are_those_of_the_whole(place, section, monkeypatch):
    result = np.asarray(Image.open(place / "result.png"))
    options = EvaluateOptions(truth=place / "truth.png", dab_tile=64, nuclei=True)
    whole = evaluate(place / "result.png", options).metrics
    monkeypatch.setattr(evaluation_pixels, "BLOCK", 128)
    blocks = evaluate(place / "result.png", options).metrics
    assert blocks["stain"] == pytest.approx(whole["stain"])
    assert blocks["true_nuclei"] == whole["true_nuclei"]
    counts = mask_counts(*(dab_mask(pixels, MaskRecipe()) for pixels in (result, section)))
    assert whole["stain"]["dice"] == counts.dice
    assert whole["stain"]["tiles"] == 5 * 5
    pairs = [
        tile_pair(*(dab_density(one[y : y + 64, x : x + 64]) for one in (result, section)))
        for y in range(0, 300, 64)
        for x in range(0, 340, 64)
        if y + 32 <= 300 and x + 32 <= 340
    ]
    assert whole["stain"]["dab_kl"] == pytest.approx(np.mean([one.kl for one in pairs]))
    assert whole["stain"]["p90_correlation"] > 0.9
    assert whole["stain"]["iod_difference"] < 0


def test_a_recipe_of_ones_own(place):
    few = EvaluateOptions(truth=place / "truth.png", dab_threshold=0.2, dab_close=0, dab_median=1)
    stain = evaluate(place / "result.png", few).metrics["stain"]
    usual = evaluate(place / "result.png", EvaluateOptions(truth=place / "truth.png"))
    assert stain["true_positive"] < usual.metrics["stain"]["true_positive"]
    with pytest.raises(ValidationError, match="even"):
        EvaluateOptions(dab_median=4)
    with pytest.raises(ValidationError, match="truth"):
        EvaluateOptions(transform=place / "t.json")


def test_a_truth_in_another_frame_is_seen_through_its_transform(place, section):
    """The truth is turned by a quarter and enlarged; the transform undoes it."""
    other = np.rot90(section).repeat(2, 0).repeat(2, 1)
    Image.fromarray(np.ascontiguousarray(other)).save(place / "far.png")
    # From (x, y) of the result to the truth: x' = 2 y, y' = 2 (width - x).
    matrix = Matrix(np.array([[0.0, 2, 0], [-2, 0, 2 * 340], [0, 0, 1]]))
    frames = Frame("far.png", 600, 680), Frame("result.png", 340, 300)
    transform = place / "transform.json"
    transform.write_text(json.dumps(dump_transform(Transform(*frames, (matrix,)))))
    same, seen = (
        evaluate(place / "result.png", EvaluateOptions(truth=place / name, transform=how)).metrics
        for name, how in (("truth.png", None), ("far.png", transform))
    )
    assert seen["stain"]["dice"] == pytest.approx(same["stain"]["dice"], abs=0.02)
    assert seen["paired"]["psnr"] == pytest.approx(same["paired"]["psnr"], abs=1.5)
    with pytest.raises(InputError, match="transform was made for"):
        evaluate(
            place / "result.png",
            EvaluateOptions(truth=place / "truth.png", transform=transform),
        )


def test_classes_in_the_wrong_order_are_counted(place, section):
    strengths = {"none": 0.4, "weak": 0.9, "some": 0.6, "strong": 1.1}
    folder = place / "results"
    folder.mkdir()
    for name, strength in strengths.items():
        pixels = np.clip(255 - (255 - section[:128, :128].astype(int)) * strength, 0, 255)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}.png")
    table = place / "classes.csv"
    table.write_text("image,class\nnone.svs,0\nweak.pooled.tif,1+\nsome,2\nstrong.png,3+\n")
    found = []
    items = [Found.at(folder / f"{name}.png") for name in strengths]
    evaluate_many(items, EvaluateOptions(classes=table), found.append)
    together = found[-1].metrics["classes"]
    assert found[0].metrics["classes"]["class"] == "0"
    assert (together["violations"], together["pairs"]) == (1, 6)
    assert together["mean_1"] > together["mean_2"]


@pytest.mark.parametrize(
    ("text", "why"),
    [("image\na\n", "no column class"), ("image,class\na,4\n", "line 2"), (None, "cannot be read")],
)
def test_tables_of_classes_that_are_none(tmp_path, text, why):
    path = tmp_path / "classes.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=why):
        read_classes(path)


def test_two_tilings_and_the_nulls_of_the_source(place, section):
    Image.fromarray(with_tiles(section, 100, 12)).save(place / "tiled.png")
    Image.fromarray(with_tiles(section, 100, 12, seed=1)).save(place / "again.png")
    options = EvaluateOptions(
        source=place / "truth.png", retiled=place / "again.png", grid=100, nuclei=True
    )
    found = evaluate(place / "tiled.png", options).metrics
    a, b = (np.asarray(Image.open(place / name)).astype(int) for name in ("tiled.png", "again.png"))
    assert found["tilings"]["mismatch"] == pytest.approx(np.abs(a - b).mean())
    assert found["tiles"]["tested"] == 12
    assert found["tiles"]["severity_z"] > found["tiles"]["source_severity_z"]
    assert found["nuclei"]["f1"] > 0.7
    with pytest.raises(ValidationError, match="nuclei are compared"):
        EvaluateOptions(nuclei=True)
