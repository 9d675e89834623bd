import html.parser
import re

import numpy as np
import pytest
import skimage.data

from uhrtranslate.report import BorderCrop, Candidate, Page, Picture, Scene, render
from uhrtranslate.report.measures import table
from uhrtranslate.tables import FIGURES

GROUPS = {name: figure.group for name, figure in FIGURES.items()}
HOSTILE = '"><img src=x onerror=alert(1)>.svs</script><script>alert(2)</script>'


class Elements(html.parser.HTMLParser):
    """All elements with their attributes, and the text between."""

    def __init__(self, page):
        super().__init__()
        self.found, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.found if name == tag]


@pytest.fixture(scope="module")
def section():
    return skimage.data.immunohistochemistry()[:200, :240]


def seam(excess, spread=0.05, borders=20):
    """Figures of seams, as far as the best is chosen by them."""
    ends = {"excess_low": excess - spread, "excess_high": excess + spread}
    return {"ratio": excess - 0.2, "excess": excess, **ends, "borders": borders}


def page(section, name="dn", **more):
    crop = BorderCrop("x", 100, 90, 3.25, section[:64, :64], section[:64, 64:128])
    candidates = (
        Candidate("in", {"seam": seam(1.5), "structure": {"ssim": 0.7, "psnr": None}}),
        Candidate(
            name,
            {"seam": seam(1.01), "structure": {"ssim": 0.9, "psnr": 30.0}},
            (crop,),
            np.array([[0, 2], [np.nan, 4]], np.float32),
            128,
            (-28, 0),
            section,
            (240, 200),
            warnings=(f"warned of {name}",),
        ),
    )
    scene = Scene("Overview", "all", 1.0, (Picture("source", section), Picture(name, section)))
    values = {"title": name, "lead": "It is so.", "settings": {"slide": name}} | more
    return Page(candidates=candidates, scenes=(scene,), **values)


def test_the_page_is_whole_by_itself(section):
    elements = Elements(render(page(section), GROUPS))
    for tag, attrs in elements.found:
        for name in ("src", "href"):
            place = attrs.get(name)
            assert place is None or place.startswith(("data:", "#")), (tag, place)
    assert not any(attrs.get("src") for attrs in elements.of("script"))
    (policy,) = [
        attrs["content"]
        for attrs in elements.of("meta")
        if attrs.get("http-equiv") == "Content-Security-Policy"
    ]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert len(elements.of("img")) >= 4
    assert any(attrs.get("x") == "-28" for attrs in elements.of("image"))


def test_names_cannot_become_html(section):
    text = render(page(section, HOSTILE, lead=HOSTILE, files=(HOSTILE,)), GROUPS)
    elements = Elements(text)
    assert not any("onerror" in attrs for _, attrs in elements.found)
    assert len(elements.of("script")) == 1
    assert "<img src=x" not in text
    assert any("onerror=alert(1)" in piece for piece in elements.text)


def test_the_best_is_marked_by_direction(section):
    rows = {
        row.measure.label: row
        for rows in table(page(section).candidates, GROUPS).values()
        for row in rows
    }
    assert [cell.best for cell in rows["Seams over the source's"].cells] == [False, True]
    assert [cell.best for cell in rows["Seam ratio"].cells] == [False, False]
    assert [cell.best for cell in rows["SSIM"].cells] == [False, True]
    assert rows["PSNR"].cells[0].text == "\N{EN DASH}"


def best_of(label, candidates):
    (row,) = [
        row
        for rows in table(candidates, GROUPS).values()
        for row in rows
        if row.measure.label == label
    ]
    return [cell.best for cell in row.cells]


def test_there_is_no_winner_without_evidence():
    """Where few borders were measured, or intervals overlap, or figures are nearly equal."""

    def seams(*figures):
        return [Candidate(str(i), {"seam": one}) for i, one in enumerate(figures)]

    label = "Seams over the source's"
    assert best_of(label, seams(seam(1.25), seam(1.02))) == [False, True]
    assert best_of(label, seams(seam(1.25, 0.2), seam(1.02, 0.2))) == [False, False]
    assert best_of(label, seams(seam(1.25), seam(1.02, borders=4))) == [False, False]
    unknown = seam(1.02) | {"excess_low": None, "excess_high": None}
    assert best_of(label, seams(seam(1.25), unknown)) == [False, False]
    close = [Candidate(str(i), {"structure": {"ssim": one}}) for i, one in enumerate((0.9, 0.905))]
    assert best_of("SSIM", close) == [False, False]


def test_what_was_not_measured_is_called_so():
    nothing = Candidate("a", {"seam": {"ratio": None, "verdict": "not measured", "borders": 0}})
    text = render(Page("t", "l", (nothing,)), GROUPS)
    assert "not measured" in text
    assert "do not show" not in text


def test_a_yardstick_and_a_failure_compete_with_nobody(section):
    candidates = (
        Candidate("a", {"seam": seam(1.2)}),
        Candidate("b", {"seam": seam(1.4)}),
        Candidate("untiled", {"seam": seam(1.0)}, yardstick=True),
    )
    assert best_of("Seams over the source's", candidates) == [True, False, False]
    failed = Page("t", "l", (*candidates, Candidate("c", {}, error="c: no memory.")))
    text = "".join(Elements(render(failed, GROUPS)).text)
    assert "c: no memory." in text


def test_large_pictures_are_squeezed_into_the_page():
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (1800, 1800, 3), np.uint8)  # what compresses worst
    scenes = tuple(
        Scene(f"{i}", "", 1.0, (Picture("source", noise), Picture("dn", noise))) for i in range(3)
    )
    text = render(Page("t", "l", (Candidate("dn", {}),), scenes), GROUPS)
    assert len(text) < 15_500_000
    assert len(re.findall("data:image/jpeg", text)) == 6
