"""From facts to one HTML string."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from uhrtranslate.report.charts import charts
from uhrtranslate.report.facts import Candidate, Page, Scene
from uhrtranslate.report.measures import Group, table
from uhrtranslate.report.pictures import grey, heat_png, heat_top, jpeg, jpegs, png

# In characters. The scenes get what the rest leaves.
LARGEST_PAGE = 15_000_000
# With more candidates, the table has a row for each instead of a column.
MOST_COLUMNS = 8
# Number of colours in the style sheet; further candidates reuse them.
COLOURS = 8


@dataclass(frozen=True)
class _Crop:
    """A border's crop, ready to be shown."""

    axis: str
    x: int
    y: int
    step: str
    after: str
    before: str | None


@dataclass(frozen=True)
class _Seams:
    """What is shown of a candidate's seams."""

    name: str
    colour: int
    width: int
    height: int
    backdrop: str | None
    heat: str | None
    heat_x: int
    heat_y: int
    heat_width: int
    heat_height: int
    crops: tuple[_Crop, ...]


@dataclass(frozen=True)
class _Scene:
    """A scene, ready to be shown."""

    name: str
    note: str
    scale: float
    width: int
    height: int
    pictures: tuple[tuple[str, str], ...]


def render(page: Page, groups: Mapping[str, Group]) -> str:
    """Make the page.

    Args:
        page: its content.
        groups: titles and directions of known figures, by the name of their group.

    Returns:
        Self-contained HTML of at most `LARGEST_PAGE` characters, unless there are too many scenes
        to fit even at the lowest quality.
    """
    style, script = _asset("page.css"), _asset("viewer.js")
    done = [candidate for candidate in page.candidates if candidate.error is None]
    heats = [candidate.heat for candidate in done if candidate.heat is not None]
    top = heat_top(heats)
    seams = [_seams(candidate, page, top) for candidate in done]
    scale = np.linspace(0, top, 64, dtype=np.float32)[None]
    parts: dict[str, Any] = {
        "page": page,
        "policy": (
            "default-src 'none'; img-src data:; "
            f"style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
            "base-uri 'none'; form-action 'none'"
        ),
        # Our own, and the only text that is not escaped.
        "style": Markup(style),
        "script": Markup(script),
        "candidates": done,
        "failed": [candidate for candidate in page.candidates if candidate.error is not None],
        "warned": [candidate for candidate in done if candidate.warnings],
        "colours": _colours(page),
        "yardsticks": {candidate.name for candidate in done if candidate.yardstick},
        "charts": charts(done, groups),
        "table": table(done, groups),
        "upright": len(done) <= MOST_COLUMNS,
        "seams": [one for one in seams if one.heat or one.crops],
        "top": top,
        "legend": heat_png(scale, top),
        "scenes": (),
    }
    template = _template()
    # Names appear more than once, so render without scenes to measure the rest.
    rest = len(template.render(parts).encode())
    parts["scenes"] = _scenes(page.scenes, LARGEST_PAGE - rest - 100_000)
    return template.render(parts)


def _colours(page: Page) -> dict[str, int]:
    """A colour for each candidate; the source has its own."""
    return {candidate.name: number % COLOURS for number, candidate in enumerate(page.candidates)}


def _seams(candidate: Candidate, page: Page, top: float) -> _Seams:
    crops = tuple(
        _Crop(
            border.axis,
            border.x,
            border.y,
            f"{border.step:.1f}",
            png(border.after),
            None if border.before is None else png(border.before),
        )
        for border in candidate.borders
    )
    heat = candidate.heat
    rows, columns = (0, 0) if heat is None else heat.shape
    width, height = candidate.size or (columns * candidate.block, rows * candidate.block)
    return _Seams(
        candidate.name,
        _colours(page)[candidate.name],
        width,
        height,
        None if candidate.backdrop is None else jpeg(grey(candidate.backdrop), 70),
        None if heat is None else heat_png(heat, top),
        *candidate.origin,
        columns * candidate.block,
        rows * candidate.block,
        crops,
    )


def _scenes(scenes: Sequence[Scene], budget: int) -> tuple[_Scene, ...]:
    pictures = [picture.pixels for scene in scenes for picture in scene.pictures]
    uris = iter(jpegs(pictures, budget))
    return tuple(
        _Scene(
            scene.name,
            scene.note,
            scene.scale,
            scene.pictures[0].pixels.shape[1],
            scene.pictures[0].pixels.shape[0],
            tuple((picture.name, next(uris)) for picture in scene.pictures),
        )
        for scene in scenes
    )


@cache
def _asset(name: str) -> str:
    return files("uhrtranslate.report").joinpath("assets", name).read_text(encoding="utf-8")


def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_asset("page.html"))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
