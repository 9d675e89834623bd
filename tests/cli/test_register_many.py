"""`uhrt register` of many pairs, and the page about a result."""

import csv
import json

import numpy as np
import pytest
from aligned_pairs import FIXED, MOVING, transform, write, write_pair
from browsing import check_calm

from uhrtranslate.io.files import disk


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """Two pairs with points set by hand, and one whose slide cannot be read."""
    folder = tmp_path_factory.mktemp("slides")
    for number, name in enumerate(("one", "two")):
        both = folder / f"he/{name}.tif", folder / f"ihc/{name}.tif"
        write_pair(*both, turn=number, spoilt=False, bent=False)
    (folder / "he/torn.tif").write_bytes(b"II*\0torn")
    (folder / "ihc/torn.tif").write_bytes((folder / "ihc/one.tif").read_bytes())
    known = transform("one.tif", "one.tif", bent=False)
    places = np.random.default_rng(0).uniform((100, 100), np.subtract(FIXED, 100), (12, 2))
    both = np.hstack([known.to_moving(places), places]).round(3)
    lines = ["moving_x,moving_y,fixed_x,fixed_y", *(",".join(map(str, row)) for row in both)]
    (folder / "points.csv").write_text("\n".join(lines))
    for name, columns in (("moving", both[:, :2]), ("fixed", both[:, 2:])):
        marks = ["X,Y", *(f"{x},{y}" for x, y in columns)]
        (folder / f"{name}.csv").write_text("\n".join(marks))
    rows = [
        f"he/{name}.tif,ihc/{name}.tif,points.csv,moving.csv,fixed.csv"
        for name in ("one", "torn", "two")
    ]
    header = "moving,fixed,points,moving_landmarks,fixed_landmarks"
    (folder / "pairs.csv").write_text("\n".join([header, *rows]))
    return folder


def register(uhrt_here, slides, *more):
    table = ("--manifest", slides / "pairs.csv", "--engine", "none", "--json")
    done = uhrt_here("register", *table, *more)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def found(slides):
    """What one run made."""
    from uhrtranslate.runs.pairs import read_pairs
    from uhrtranslate.tasks.register import RegisterOptions
    from uhrtranslate.tasks.register_many import register_pairs

    results = []
    register_pairs(
        read_pairs(slides / "pairs.csv"), slides / "out", RegisterOptions(engine="none"),
        slides / "pages", on_result=results.append,
    )  # fmt: skip
    return slides / "out", results


def test_each_pair_gets_a_transform_and_a_row_and_failures_stop_nothing(slides, found):
    out, results = found
    assert [one.verdict for one in results] == ["good", "failed", "good"]
    assert "torn.tif" in results[1].error
    assert sorted(files(out)) == ["one.json", "pairs.csv", "two.json"]
    assert sorted(files(slides / "pages")) == ["one.html", "two.html"]
    with (out / "pairs.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["one", "torn", "two"]
    assert [row["transform"] for row in rows] == ["one.json", "", "two.json"]
    assert "torn.tif" in rows[1]["reasons"]
    for row in (rows[0], rows[2]):
        assert float(row["rtre"]) < 0.01
        assert float(row["ncc"]) > float(row["ncc_before"])


def test_what_is_done_is_not_done_again(uhrt_here, slides, found, monkeypatch):
    """A run that dies in the middle goes on from there, to the same bytes."""
    out, _ = found
    done, _ = register(uhrt_here, slides, "-o", out)
    assert done.returncode == 1
    assert "--resume" in done.stderr
    written = []

    def write_text(path, text, write=disk.write_text):
        written.append(path.name)
        if path.name == "two.json" and len(written) < 3:
            raise KeyboardInterrupt
        write(path, text)

    monkeypatch.setattr("uhrtranslate.recipes.transform_file.write_text", write_text)
    done, _ = register(uhrt_here, slides, "-o", slides / "again")
    assert done.returncode == 130
    assert sorted(files(slides / "again")) == ["one.json", "pairs.csv"]
    written.clear()
    written += ["", ""]
    done, results = register(uhrt_here, slides, "-o", slides / "again", "--resume")
    assert done.returncode == 1  # one slide cannot be read
    assert written[2:] == ["two.json"]
    assert [one["done"] for one in results] == [True, False, False]
    assert files(slides / "again") == files(out)
    # Other points make another registration of that pair alone.
    (slides / "points.csv").write_text((slides / "points.csv").read_text() + "\n")
    written[2:] = []
    register(uhrt_here, slides, "-o", slides / "again", "--resume")
    assert written[2:] == ["one.json", "two.json"]


def test_there_is_a_page_about_a_failure_too(uhrt_here, slides):
    glass = np.full((*MOVING[::-1], 3), 243, np.uint8)
    write(slides / "glass.tif", glass)
    done = uhrt_here(
        "register", slides / "glass.tif", slides / "ihc/one.tif", "--points", slides / "points.csv",
        "--engine", "none", "-o", slides / "no.json", "--report", slides / "no.html",
    )  # fmt: skip
    assert done.returncode == 1
    assert not (slides / "no.json").exists()
    assert "glass.tif on one.tif: failed" in (slides / "no.html").read_text()
    again = uhrt_here(
        "register", slides / "he/one.tif", slides / "ihc/one.tif", "-o", slides / "yes.json",
        "--report", slides / "no.html",
    )  # fmt: skip
    assert "no.html: exists already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["a.tif"], "name two slides"),
        (["a.tif", "b.tif", "--manifest", "pairs.csv"], "leave out other slides"),
        (["he", "ihc", "--points", "points.csv"], "--points and --landmarks: are of one pair"),
        (["he", "ihc", "-o", "one.json"], "is one file, and there are 3 pairs"),
        (["he/one.tif", "ihc/one.tif", "-o", "one.json", "--resume"], "is for several pairs"),
    ],
)
def test_wrong_usage_is_said(uhrt_here, slides, arguments, told):
    arguments = [slides / one if "/" in one or one in ("he", "ihc") else one for one in arguments]
    output = [] if "-o" in arguments else ["-o", slides / "never"]
    done = uhrt_here("register", *arguments, *output)
    assert done.returncode == 2
    assert told in done.stderr


def test_the_page_shows_curtain_checkerboard_maps_and_worst_places(slides, found, browser):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(f"file://{slides / 'pages' / 'one.html'}")
    viewer = browser.find_element(By.ID, "viewer")
    WebDriverWait(browser, 30).until(lambda _: viewer.get_attribute("data-ready") == "yes")
    broken = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert browser.execute_script(broken) == 0
    assert browser.find_element(By.TAG_NAME, "h1").text == "one.tif on one.tif: good"
    places = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "[role=radiogroup] span")]
    assert places[:2] == ["Overview", "Worst 1"]
    assert places[-1] == "Typical"
    shown = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#panes figcaption")]
    assert shown == ["fixed", "moving, before", "checkerboard", "moving"]
    curtain = [
        browser.find_element(By.ID, side).get_attribute("value") for side in ("left", "right")
    ]
    assert curtain == ["fixed", "moving"]
    maps = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#maps figcaption")]
    assert maps == [
        "How far away windows fit best, um", "How little windows agree: 1 less their correlation",
    ]  # fmt: skip
    heads = [one.text for one in browser.find_elements(By.CSS_SELECTOR, "#figures thead th")]
    assert heads[1:4] == ["before", "coarse", "after"]
    assert "rtre_median" in browser.find_element(By.ID, "how").text
    browser.find_elements(By.CSS_SELECTOR, "[role=radiogroup] span")[1].click()
    note = browser.find_element(By.ID, "note")
    WebDriverWait(browser, 10).until(lambda _: "local correlation" in note.text)
    check_calm(browser, "one.html")
