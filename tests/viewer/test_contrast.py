"""The page's colours are told apart by people who see little contrast (WCAG 2.2, 1.4.3, 1.4.11)."""

import re
from importlib.resources import files

import pytest

CSS = files("uhrtranslate.viewer").joinpath("assets/page.css").read_text()
COLOURS = {
    name: pair for name, *pair in re.findall(r"--(\w+): light-dark\((#\w{6}), (#\w{6})\);", CSS)
}
# Text on what it is written on: 4.5; edges of controls and of focus beside what is around them: 3.
TEXT = [
    ("ink", "page"), ("ink", "card"), ("quiet", "card"), ("quiet", "page"), ("accent", "card"),
    ("ink", "alert"), ("quiet", "glass"),
]  # fmt: skip
EDGES = [("edge", "card"), ("edge", "page"), ("accent", "page"), ("accent", "glass")]


def luminance(colour):
    shares = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    bright, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def test_contrast_is_what_wcag_says():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("dark", [0, 1])
def test_text_and_controls_stand_out(dark):
    needed = {**dict.fromkeys(TEXT, 4.5), **dict.fromkeys(EDGES, 3.0)}
    found = {pair: contrast(*(COLOURS[name][dark] for name in pair)) for pair in needed}
    assert {pair: value for pair, value in found.items() if value < needed[pair]} == {}
