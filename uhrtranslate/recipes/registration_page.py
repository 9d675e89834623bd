"""A page about how well one slide lies on another: curtain, checkerboard, maps, worst places."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.io import Pixels, open_view
from uhrtranslate.recipes.pictures_of_pairs import PairPictures, SlidePair
from uhrtranslate.registration import DisplacementGrid, Transform
from uhrtranslate.registration.local import Places
from uhrtranslate.registration.quality import REACH, STEP, WINDOW, measure_fit
from uhrtranslate.report import Candidate, Group, HeatMap, Measure, Page, Picture, Scene, render
from uhrtranslate.version import __version__

# Longest side in px of the pictures of true pixels at single places.
CROP = 512
# Fields of a checkerboard along its longer side, and places shown.
FIELDS, WORST = 16, 4
# Nodes of the map of displacements along its longer side.
NODES = 64
GROUPS = {
    "fit": Group(
        "How well it fits",
        {
            "ncc": Measure(
                "Local correlation", "higher", note="median of windows, 1 at most", charted=True
            ),
            "mutual_information": Measure("Mutual information", "higher", unit="nats"),
            "confirmed": Measure(
                "Windows that fit best where they are", "higher", note="as a share", charted=True
            ),
            "above_chance": Measure("More than by chance", "higher", 1, "in standard deviations"),
            "windows": Measure("Windows with tissue", digits=0),
        },
    )
}


def registration_page(
    pair: SlidePair, before: Transform, found: Transform, quality: Mapping[str, Any]
) -> str:
    """The page as one HTML file.

    Args:
        pair: the slides.
        before: both as they lie.
        found: the registration.
        quality: what was measured of it, with its verdict.
    """
    pictures = pair.pictures(found)
    _, places = measure_fit(*pictures.looks, pictures.tissue & pictures.inside)
    verdict, reasons = quality["verdict"], quality["reasons"]
    names = found.moving.name, found.fixed.name
    page = Page(
        title=f"{names[0]} on {names[1]}: {verdict}",
        lead="; ".join(reasons).capitalize() + "." if reasons else "Nothing speaks against it.",
        candidates=tuple(
            Candidate(name, {"fit": quality[name]}) for name in ("before", "coarse", "after")
        ),
        scenes=(
            _overview(pictures, pair.pictures(before).moving),
            *_worst(pair, found, pictures, places),
        ),
        maps=_maps(found, pictures, places),
        settings=_settings(found, quality),
    )
    return render(page, GROUPS)


def checkerboard(first: Pixels, second: Pixels, fields: int = FIELDS) -> Pixels:
    """Two pictures of one size in turns: structures that cross fields show how they fit.

    Args:
        first, second: [h, w, 3] uint8.
        fields: along the longer side.
    """
    h, w = first.shape[:2]
    side = max(-(-max(h, w) // fields), 1)
    rows, columns = np.arange(h) // side, np.arange(w) // side
    odd = (rows[:, None] + columns[None]) % 2 == 1
    return np.where(odd[..., None], second, first)


def _overview(pictures: PairPictures, before: Pixels) -> Scene:
    board = checkerboard(pictures.fixed, pictures.moving)
    return Scene(
        "Overview",
        "Both slides whole. The divider is a curtain between any two; the checkerboard has fields "
        "of both.",
        1.0,
        _shown(pictures.fixed, pictures.moving, board, before),
    )


def _shown(
    fixed: Pixels, moving: Pixels, board: Pixels, before: Pixels | None = None
) -> tuple[Picture, ...]:
    more = () if before is None else (Picture("moving, before", before),)
    return (
        Picture("fixed", fixed), *more, Picture("checkerboard", board), Picture("moving", moving),
    )  # fmt: skip


def _worst(
    pair: SlidePair, found: Transform, pictures: PairPictures, places: Places
) -> tuple[Scene, ...]:
    """True pixels of both where windows agree least, and of the window in the middle."""
    order = [int(i) for i in np.argsort(places.here, kind="stable")]
    chosen = [(f"Worst {number}", i) for number, i in enumerate(_apart(order, places), 1)]
    if order:
        chosen.append(("Typical", order[len(order) // 2]))
    views = open_view(pair.fixed), open_view(WarpedSlide(pair.moving, found))
    scale = pair.fixed.info.width / pictures.fixed.shape[1]
    scenes = []
    for name, i in chosen:
        w, h = min(CROP, views[0].width), min(CROP, views[0].height)
        x = int(np.clip(places.centres[i, 0] * scale - w / 2, 0, views[0].width - w))
        y = int(np.clip(places.centres[i, 1] * scale - h / 2, 0, views[0].height - h))
        one, other = (view.read(x, y, w, h) for view in views)
        shift = float(np.hypot(*places.shifts[i]) * scale)
        note = (
            f"{w} x {h} px of level 0 at {x}, {y}: local correlation {places.here[i]:.2f}; the "
            f"window fits best {shift:.0f} px away."
        )
        scenes.append(Scene(name, note, 1.0, _shown(one, other, checkerboard(one, other, 8))))
    return tuple(scenes)


def _apart(order: list[int], places: Places) -> list[int]:
    """The first windows of an order that do not overlap, `WORST` at most."""
    chosen: list[int] = []
    for i in order:
        gaps = [np.abs(places.centres[i] - places.centres[k]).max() for k in chosen]
        if all(gap >= WINDOW for gap in gaps) and len(chosen) < WORST:
            chosen.append(i)
    return chosen


def _maps(found: Transform, pictures: PairPictures, places: Places) -> tuple[HeatMap, ...]:
    """Bending by the non-rigid step, how far windows fit best away, and where they do not agree."""
    frame = found.fixed
    size = frame.width, frame.height
    scale = frame.width / pictures.fixed.shape[1]
    unit, per = ("um", frame.mpp[0]) if frame.mpp is not None else ("px", 1.0)
    shifts = np.hypot(*places.shifts.T) * scale * per
    disagreement = (1 - places.here).clip(0, 1)
    maps = []
    if any(isinstance(step, DisplacementGrid) for step in found.steps):
        bending, box = _bending(found)
        title = f"How far the non-rigid step moves, {unit}"
        top = max(float(np.nanmax(bending)) * per, 1e-3)
        maps.append(HeatMap(title, bending * np.float32(per), box, size, pictures.fixed, top))
    for title, values, top in (
        (f"How far away windows fit best, {unit}", shifts, REACH * scale * per),
        ("How little windows agree: 1 less their correlation", disagreement, 1.0),
    ):
        grid, box = _on_grid(values, places, pictures, scale)
        maps.append(HeatMap(title, grid, box, size, pictures.fixed, top))
    return tuple(maps)


def _bending(found: Transform) -> tuple[NDArray[np.float32], tuple[float, float, float, float]]:
    """How far points of the fixed slide are moved beside the matrices alone, in px of it."""
    frame = found.fixed
    side = max(frame.width, frame.height) / NODES
    columns, rows = (max(round(n / side), 1) for n in (frame.width, frame.height))
    xs = (np.arange(columns) + 0.5) * frame.width / columns
    ys = (np.arange(rows) + 0.5) * frame.height / rows
    gap = found.lattice(xs, ys) - found.linear().lattice(xs, ys)
    moved = np.linalg.norm(gap, axis=-1) / found.scale()
    return np.asarray(moved, np.float32), (0, 0, frame.width, frame.height)


def _on_grid(
    values: NDArray[np.float64], places: Places, pictures: PairPictures, scale: float
) -> tuple[NDArray[np.float32], tuple[float, float, float, float]]:
    """Values of windows as a picture with a pixel for each, NaN where there is no window."""
    h, w = pictures.fixed.shape[:2]
    shape = max((h - WINDOW) // STEP + 1, 1), max((w - WINDOW) // STEP + 1, 1)
    grid = np.full(shape, np.nan, np.float32)
    at = ((places.centres - WINDOW / 2) / STEP).round().astype(int)
    grid[at[:, 1], at[:, 0]] = values
    start = (WINDOW - STEP) / 2 * scale
    return grid, (start, start, shape[1] * STEP * scale, shape[0] * STEP * scale)


def _settings(found: Transform, quality: Mapping[str, Any]) -> dict[str, str]:
    settings = {"uhrt": __version__, "verdict": quality["verdict"]}
    for name, frame in (("moving", found.moving), ("fixed", found.fixed)):
        mpp = "" if frame.mpp is None else f", {frame.mpp[0]:.4g} um/px"
        settings[name] = f"{frame.name}, {frame.width:,} x {frame.height:,} px{mpp}"
    settings |= {name: str(value) for name, value in found.how.items()}
    settings["tissue that is covered"] = f"{quality['covered']:.1%}"
    settings["nodes that fold"] = f"{quality['folds']:.2%}"
    landmarks = quality.get("landmarks")
    settings |= {f"landmarks: {name}": str(value) for name, value in (landmarks or {}).items()}
    return settings
