"""From facts to one HTML string."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from uhrtranslate.report.charts import charts
from uhrtranslate.report.facts import Candidate, HeatMap, Page, Scene
from uhrtranslate.report.measures import Group, table
from uhrtranslate.report.pictures import grey, heat_png, heat_top, jpeg, jpegs, png

# In characters. The scenes get what the rest leaves.
LARGEST_PAGE = 15_000_000
# With more candidates, the table has a row for each instead of a column.
MOST_COLUMNS = 8
# Number of colours in the style sheet; further candidates reuse them.
COLOURS = 8


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
    seams = [_seams(candidate, top) for candidate in done]
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
        # The source has its own.
        "colours": {one.name: number % COLOURS for number, one in enumerate(page.candidates)},
        "yardsticks": {candidate.name for candidate in done if candidate.yardstick},
        "charts": charts(done, groups),
        "table": table(done, groups),
        "upright": len(done) <= MOST_COLUMNS,
        "seams": [one for one in seams if one["heat"] or one["crops"]],
        "maps": [_map(one) for one in page.maps],
        "top": top,
        "legend": heat_png(scale, top),
        "scenes": (),
    }
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_asset("page.html"))
    # Names appear more than once, so render without scenes to measure the rest.
    rest = len(template.render(parts).encode())
    parts["scenes"] = _scenes(page.scenes, LARGEST_PAGE - rest - 100_000)
    return template.render(parts)


def _seams(candidate: Candidate, top: float) -> dict[str, Any]:
    """What is shown of a candidate's seams."""
    crops = [
        vars(border)
        | {
            "step": f"{border.step:.1f}",
            "after": png(border.after),
            "before": None if border.before is None else png(border.before),
        }
        for border in candidate.borders
    ]
    heat, block = candidate.heat, candidate.block
    rows, columns = (0, 0) if heat is None else heat.shape
    width, height = candidate.size or (columns * block, rows * block)
    return {
        "name": candidate.name,
        "width": width,
        "height": height,
        "backdrop": candidate.backdrop is not None and jpeg(grey(candidate.backdrop), 70),
        "heat": heat is not None and heat_png(heat, top),
        "heat_x": candidate.origin[0],
        "heat_y": candidate.origin[1],
        "heat_width": columns * block,
        "heat_height": rows * block,
        "crops": tuple(crops),
    }


def _map(one: HeatMap) -> dict[str, Any]:
    """What is shown of a figure all over an image."""
    return vars(one) | {
        "heat": heat_png(one.values, one.top),
        "backdrop": jpeg(grey(one.backdrop), 70),
        "legend": heat_png(np.linspace(0, one.top, 64, dtype=np.float32)[None], one.top),
    }


def _scenes(scenes: Sequence[Scene], budget: int) -> list[dict[str, Any]]:
    """Scenes, ready to be shown."""
    pictures = [picture.pixels for scene in scenes for picture in scene.pictures]
    uris = iter(jpegs(pictures, budget))
    return [
        vars(scene)
        | {
            "width": scene.pictures[0].pixels.shape[1],
            "height": scene.pictures[0].pixels.shape[0],
            "pictures": [(picture.name, next(uris)) for picture in scene.pictures],
        }
        for scene in scenes
    ]


@cache
def _asset(name: str) -> str:
    return files("uhrtranslate.report").joinpath("assets", name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
