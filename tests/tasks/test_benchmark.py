"""Methods on slides with seeds: done once, measured alike, compared in pairs."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy.stats import wilcoxon
from support import REPOSITORY

from uhrtranslate.errors import InputError, OptionError, OutputError
from uhrtranslate.evaluation.benchmark import Outcome, summarised
from uhrtranslate.evaluation.benchmark_pictures import side_by_side
from uhrtranslate.evaluation.suite import read_suite
from uhrtranslate.metrics.comparing import holm, mean_of, paired_test
from uhrtranslate.tasks.benchmark import benchmark

SUITE = """
slides: [slides/]
seeds: [0, 1]
crop: 128
methods:
  reinhard: {stain: {method: reinhard, target: target.png}}
  same: {folder: slides/}
  darker: {folder: "darker-{seed}/"}
baseline: same
evaluate: {grid: 64, truth: slides/}
"""


@pytest.fixture
def desk(tmp_path):
    section = skimage.data.immunohistochemistry()
    for folder in ("slides", "darker-0", "darker-1"):
        (tmp_path / folder).mkdir()
    for i in range(2):
        part = section[i * 200 : i * 200 + 200, :220]
        Image.fromarray(part).save(tmp_path / f"slides/{i}.png")
        for seed in range(2):
            darker = (part * (0.9 - 0.1 * seed)).astype(np.uint8)
            Image.fromarray(darker).save(tmp_path / f"darker-{seed}/{i}.png")
    Image.fromarray(section[300:, 300:]).save(tmp_path / "target.png")
    (tmp_path / "suite.yaml").write_text(SUITE)
    return tmp_path


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_suite_is_run_kept_and_told(desk, monkeypatch):
    out = desk / "out"
    found = benchmark(desk / "suite.yaml", out)
    assert [one.status for one in found.outcomes] == ["done"] * 12
    assert not any(one.cached for one in found.outcomes)
    by = {(one.method, one.slide, one.seed): one.metrics for one in found.outcomes}
    assert by["same", "0.png", 0]["stain"]["dice"] == 1
    assert (
        by["darker", "0.png", 0]["structure"]["psnr"]
        > by["darker", "0.png", 1]["structure"]["psnr"]
    )
    assert by["reinhard", "1.png", 1]["run"]["seconds"] > 0
    assert "run" not in by["same", "0.png", 0]
    means = {(row["method"], row["figure"]): row for row in rows(out / "benchmark-means.csv")}
    dice = means["darker", "stain.dice"]
    assert dice["pictures"] == "4"  # two crops of two slides
    assert float(dice["low"]) <= float(dice["mean"]) <= float(dice["high"]) < 1
    tests = rows(out / "benchmark-tests.csv")
    (pair,) = (
        row
        for row in tests
        if (row["figure"], row["method"], row["other"]) == ("stain.dice", "same", "darker")
    )
    assert float(pair["difference"]) == pytest.approx(1 - float(dice["mean"]))
    assert pair["p_value"] == ""  # four pairs are too few
    page = (out / "index.html").read_text()
    assert "Difference from same" in page
    assert re.findall(r'<div class="scene" data-name="([^"]*)"', page) == ["0.png", "1.png"]
    of_first = [one for one in found.outcomes if one.slide == "0.png"]
    (scene,) = side_by_side(of_first, ["same", "darker"], {"0.png": desk / "slides/0.png"})
    pictures = {one.name: one.pixels for one in scene.pictures}
    x, y, w, h = of_first[1].part
    crop = np.asarray(Image.open(desk / "slides/0.png"))[y : y + h, x : x + w]
    assert list(pictures) == ["source", "truth", "same", "darker"]
    assert all(np.array_equal(pictures[name], crop) for name in ("source", "truth", "same"))
    assert np.array_equal(pictures["darker"], (crop * 0.9).astype(np.uint8))
    assert len(rows(out / "benchmark.csv")) == 12
    monkeypatch.chdir(desk)  # a path from elsewhere names the same files
    again = benchmark(Path("suite.yaml"), out)
    assert all(one.cached for one in again.outcomes)
    assert [one.metrics for one in again.outcomes] == [one.metrics for one in found.outcomes]
    # One slide changes: what follows from it is done again, and nothing else.
    Image.fromarray(skimage.data.immunohistochemistry()[:200, 100:320]).save(desk / "slides/1.png")
    told = []
    benchmark(desk / "suite.yaml", out, told.append)
    assert {one.cached for one in told if one.slide == "1.png"} == {False}
    assert {one.cached for one in told if one.slide == "0.png"} == {True}


def test_what_fails_is_told_and_tried_again(desk):
    (desk / "darker-1/1.png").rename(desk / "kept.png")
    (desk / "suite.yaml").write_text(SUITE.replace("  reinhard", "  #reinhard"))
    out = desk / "out"
    first = benchmark(desk / "suite.yaml", out)
    failed = [one for one in first.outcomes if one.status == "failed"]
    assert [(one.method, one.slide, one.seed) for one in failed] == [("darker", "1.png", 1)]
    assert "has no image named 1" in failed[0].error
    assert "1 of 8 results failed" in (out / "index.html").read_text()
    (desk / "kept.png").rename(desk / "darker-1/1.png")
    again = benchmark(desk / "suite.yaml", out)
    assert [one.cached for one in again.outcomes] == [
        one.status == "done" for one in first.outcomes
    ]
    assert json.loads((out / "benchmark.json").read_text())["outcomes"][-1]["status"] == "done"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (("{folder: slides/}", "{folder: slides/, stain: {}}"), "one of translate"),
        (("baseline: same", "baseline: other"), "none of the methods"),
        (("{grid: 64,", "{grid: 3,"), "grid"),
        (("{grid: 64,", "{seed: 1,"), "follows from"),
        (("  same:", "  ../same:"), "names a folder"),
        (("seeds: [0, 1]", "seeds: []"), "seeds"),
    ],
)
def test_suites_that_cannot_be_used(desk, change, why):
    text = SUITE.replace("baseline: same\n", "") if "../" in change[1] else SUITE
    (desk / "suite.yaml").write_text(text.replace(*change))
    with pytest.raises(OptionError, match=why) as error:
        benchmark(desk / "suite.yaml", desk / "out")
    assert "suite.yaml" in str(error.value)
    assert not (desk / "out").exists()


def test_a_missing_slide_or_a_strangers_folder_stops_it(desk):
    with pytest.raises(OutputError, match="no folder of a benchmark"):
        benchmark(desk / "suite.yaml", desk / "slides")
    (desk / "suite.yaml").write_text(SUITE.replace("[slides/]", "[none.png]"))
    with pytest.raises(InputError, match=r"none\.png"):
        benchmark(desk / "suite.yaml", desk / "out")


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs/benchmark").glob("*.yaml")), ids=str)
def test_shipped_suites_can_be_read(path):
    suite = read_suite(path)
    assert suite.against in suite.methods
    assert len(suite.seeds) == 3


def test_means_tests_and_corrections_are_those_of_the_textbook():
    ours, others = [3.0, 4, 5, 6, 7, 9], [1.0, 5, 2, 3, 4, 4]
    test = paired_test(ours, others)
    assert test.p_value == pytest.approx(wilcoxon(ours, others).pvalue)
    assert test.difference.value == pytest.approx(np.mean(np.subtract(ours, others)))
    assert test.difference.low < test.difference.value < test.difference.high
    assert paired_test(ours, ours).p_value == 1
    tied = np.array([2.0, -1, 1, 3, 2, 2, 0])
    assert paired_test(tied, 0 * tied).p_value == pytest.approx(wilcoxon(tied).pvalue)
    many = np.random.default_rng(0).normal(0.3, 1, 20)
    assert paired_test(many, 0 * many).p_value == pytest.approx(wilcoxon(many).pvalue)
    assert paired_test(ours[:5], others[:5]).p_value is None
    assert mean_of([2.0]).low is None
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


def test_seeds_of_a_picture_are_averaged_first():
    outcomes = [
        Outcome("a", slide, seed, slide, metrics={"seam": {"ratio": value}})
        for slide, seed, value in (("x", 0, 1.0), ("x", 1, 3.0), ("y", 0, 5.0))
    ]
    mean = summarised(outcomes, ["a"]).means["a"]["seam.ratio"]
    assert (mean.value, mean.count) == (3.5, 2)
