import csv
import json
import shutil

import numpy as np
import pytest
from browsing import check_calm

from uhrtranslate.io import open_slide

pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def report(uhrt_once, folder):
    """A comparison, made once."""
    done = uhrt_once(
        "compare", "slide.tif", "--model", "tiny.safetensors", "--cell", "128",
        "--norms", "in,dn:reflect,dn", "--region", "0,0,512,600", "--untiled", "-o", "report",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "report/index.html"
    return folder / "report"


@pytest.fixture(scope="session")
def uhrt_once(folder):
    import os
    import subprocess

    from support import UHRT

    return lambda *arguments: subprocess.run(
        [UHRT, *arguments], capture_output=True, text=True, cwd=folder, timeout=300,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_all_that_was_compared_is_there(report):
    names = ["in", "dn-reflect", "dn", "untiled"]
    content = json.loads((report / "compare.json").read_text())
    assert [one["name"] for one in content["candidates"]] == names
    with (report / "compare.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == names
    for one, row in zip(content["candidates"], rows, strict=True):
        metrics = one["metrics"]
        assert metrics["seam"]["grid"] == 128
        assert metrics["run"]["seconds"] > 0
        assert metrics["run"]["peak_mb"] > 50
        assert 0 < metrics["structure"]["ssim"] < 1
        assert float(row["seam.ratio"]) == pytest.approx(metrics["seam"]["ratio"])
        assert ("baseline" in metrics) == (one["name"] != "in")
        with open_slide(report / f"{one['name']}.tif") as slide:
            assert (slide.info.width, slide.info.height) == (512, 600)
    ratios = {one["name"]: one["metrics"]["seam"]["ratio"] for one in content["candidates"]}
    assert ratios["in"] > ratios["dn"]
    assert content["settings"]["cells"] == "128 px"


def test_a_method_that_fails_does_not_stop_the_others(uhrt, folder):
    (folder / "one" / "dn.tif").mkdir(parents=True)  # in the way
    done = uhrt(
        "compare", "more/slide.png", "--model", "tiny.safetensors", "--norms", "dn,tin",
        "-o", "one", "--json",
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 1
    assert [(line["name"], line["status"]) for line in lines] == [("dn", "failed"), ("tin", "done")]
    assert "dn.tif" in done.stderr
    assert "Traceback" not in done.stderr
    assert "failed" in (folder / "one" / "index.html").read_text()


def test_a_baseline_of_another_comparison_is_not_taken(uhrt_here, folder):
    """Whatever lies in the folder as in.tif: colours are compared with what this run has made."""
    shutil.copytree(folder / "more", folder / "stale")
    command = ("compare", "more/slide.png", "--model", "tiny.safetensors", "-o", "stale", "--json")
    config = folder / "resume.yaml"
    config.write_text("resume: true\n")

    def groups(*arguments):
        done = uhrt_here(*command, *arguments)
        assert done.returncode == 0, done.stderr
        return {one["name"]: one["metrics"] for one in map(json.loads, done.stdout.splitlines())}

    assert "baseline" in groups("--norms", "in,dn")["dn"]
    before = (folder / "stale" / "in.tif").stat().st_mtime_ns
    assert "baseline" not in groups("--norms", "dn", "--overwrite")["dn"]
    assert (folder / "stale" / "in.tif").stat().st_mtime_ns == before
    again = groups("--norms", "in,dn", "--overwrite", "--config", config)
    assert (folder / "stale" / "in.tif").stat().st_mtime_ns > before
    assert "baseline" in again["dn"]
    assert again["in"]["run"]["seconds"] > 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--norms", "in,batch"], "norm"),
        (["--norms", "in,in"], "twice"),
        (["--region", "0,0,9999,9"], "not inside"),
    ],
)
def test_wrong_usage(uhrt, arguments, sentence):
    done = uhrt("compare", "slide.tif", "--model", "tiny.safetensors", "-o", "bad", *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr


def test_results_are_not_overwritten(uhrt, report):
    done = uhrt("compare", "slide.tif", "--model", "tiny.safetensors", "-o", "report")
    assert done.returncode == 1
    assert "--overwrite" in done.stderr


def test_evaluate_writes_a_report_too(uhrt, report, folder):
    done = uhrt("evaluate", report / "dn.tif", "--source", report / "source.tif", "-o", "judged")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "judged/index.html"
    content = json.loads((folder / "judged" / "evaluation.json").read_text())
    assert content["images"][0]["metrics"]["structure"]["ssim"] > 0
    assert (folder / "judged" / "evaluation.csv").read_text().startswith("name,input,source")
    heat = content["images"][0]["heat"]
    assert (heat["rows"], heat["columns"], heat["step"]) == (5, 4, 128)
    command = f"uhrt view {report / 'source.tif'} {report / 'dn.tif'} judged/evaluation.json"
    assert command in (folder / "judged" / "index.html").read_text()


def test_the_command_that_a_report_names_shows_its_seams(report):
    from uhrtranslate.tasks.view import routes

    assert f"uhrt view {report.name}" in (report / "index.html").read_text()
    found = routes([str(report)])
    try:
        by_name = {item["name"]: item["id"] for item in found.site()["items"]}
        facts = json.loads(found.answer(f"images/{by_name['in.tif']}.json").body)
        compared = json.loads((report / "compare.json").read_text())["candidates"]
        (own,) = [one for one in compared if one["name"] == "in"]
        assert len(facts["seams"]["borders"]) == len(own["borders"]) > 0
        assert found.answer(f"images/{by_name['in.tif']}.heat.png").status == 200
        assert "seams" not in json.loads(found.answer(f"images/{by_name['source.tif']}.json").body)
    finally:
        found.shelf.close()


def test_the_page_works_in_a_real_browser(browser, report):
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    browser.get(f"file://{report / 'index.html'}")
    viewer = browser.find_element(By.ID, "viewer")
    WebDriverWait(browser, 30).until(lambda _: viewer.get_attribute("data-ready") == "yes")
    broken = browser.execute_script(
        "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    )
    assert broken == 0

    split = browser.find_element(By.ID, "split")
    pixels = (
        "const c = arguments[0], d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
        "let s = 0; for (let i = 0; i < d.length; i += 4) s = (s * 31 + d[i]) % 1000003; return s;"
    )
    before = browser.execute_script(pixels, split)
    divider = browser.find_element(By.ID, "divider")
    divider.send_keys(Keys.HOME)
    WebDriverWait(browser, 10).until(lambda _: split.get_attribute("data-split") == "0.000")
    moved = browser.execute_script(pixels, split)
    assert moved != before  # the slider moves, and another picture is there

    canvases = browser.find_elements(By.CSS_SELECTOR, "#panes canvas")
    assert len(canvases) == 5  # the source and four translations
    places = {canvas.get_attribute("data-view") for canvas in canvases}
    assert len(places) == 1
    canvases[2].send_keys("+", "+", Keys.ARROW_RIGHT)
    WebDriverWait(browser, 10).until(lambda _: canvases[0].get_attribute("data-view") not in places)
    views = [canvas.get_attribute("data-view") for canvas in (*canvases, split)]
    assert len(set(views)) == 1  # all moved together
    assert np.isfinite([float(value) for value in views[0].split()]).all()

    check_calm(browser, "index.html")
