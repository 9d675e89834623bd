"""Which cells of an image are translated: by detection, by a picture, or by drawn polygons."""

import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.engine import Masking
from uhrtranslate.errors import InputError, OptionError
from uhrtranslate.geometry import CellGrid, CellMask, cells_with_tissue, spans
from uhrtranslate.io import Slide, SlideView, open_slide
from uhrtranslate.io.background import parse_background
from uhrtranslate.recipes.recipe import Recipe
from uhrtranslate.recipes.tissue_pictures import (
    LARGEST_PICTURE,
    picture_side,
    tissue_of,
    window_of,
)
from uhrtranslate.tissue import draw_polygons, read_polygons

Mask = NDArray[np.bool_]

# Tissue within so many px of the mask around a cell counts as the cell's.
MARGIN = 1.0
# By how much the aspects of mask and slide may differ (natural logarithm).
ASPECT_TOLERANCE = 0.03
GEOJSON_ENDINGS = (".geojson", ".json")
LARGEST_GEOJSON = 512 << 20
# Side in px of what is read of a mask image at once, and the most px of the level that is read.
PIECE = 2048
LARGEST_MASK = 200_000_000


def make_masking(
    view: SlideView, grid: CellGrid, mask: str, background: str, recipe: Recipe | None = None
) -> Masking:
    """What `stream` needs for the options `mask` and `background`; a recipe tells of the result.

    In channels that are no colours, cells without tissue are 0.

    Raises:
        OptionError, InputError: as in `make_cell_mask` and `parse_background`.
    """
    behind = parse_background(background)
    cells = make_cell_mask(view, grid, mask)
    channels = recipe.channels if recipe else ()
    if behind is None and cells is not None and (channels or view.info.channels):
        raise OptionError(
            "--background keep: source and result have different channels; leave it out."
        )
    return Masking(cells, (0,) * len(channels) or behind, recipe.bits_out if recipe else 8)


def make_cell_mask(view: SlideView, grid: CellGrid, mask: str) -> CellMask | None:
    """The cells of a view that have tissue.

    A mask always covers the whole slide, whichever region or level of it is translated.

    Args:
        view: what is translated.
        grid: its cells.
        mask: `none` for all cells (returns None); `auto` to detect tissue in a thumbnail of the
            slide; or the path of an image that is stretched over the slide and not black where
            there is tissue, or of a GeoJSON file with polygons in level-0 px.

    Raises:
        InputError: the file is missing, not a mask, empty, or not of the slide's shape.
        ValueError: the grid is not that of the view.
    """
    if mask == "none":
        return None
    if (grid.width, grid.height) != (view.width, view.height):
        raise ValueError("the grid is not that of the view")
    slide = view.slide
    if mask == "auto" and slide.info.channels:
        raise InputError(
            f"{slide.info.path}: has channels, in which no tissue can be detected; give --mask an "
            "image or a GeoJSON file."
        )
    if mask == "auto":
        found = tissue_of(slide, picture_side(view, grid))[0]
    elif Path(mask).suffix.lower() in GEOJSON_ENDINGS:
        found = _drawn(Path(mask), slide, picture_side(view, grid))
    else:
        found = _pictured(Path(mask), slide)
    return cells_with_tissue(found, grid, window_of(view, found), MARGIN)


def _drawn(path: Path, slide: Slide, side: int) -> Mask:
    try:
        size = path.stat().st_size
        if size > LARGEST_GEOJSON:
            raise InputError(
                f"{path}: has {size / 1e6:.0f} MB, too much for a mask; export fewer annotations."
            )
        polygons = read_polygons(json.loads(path.read_bytes()))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: is not JSON (line {error.lineno}); export it again.") from error
    except (RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not GeoJSON; export it again.") from error
    except ValueError as error:
        raise InputError(f"{path}: {error}.") from error
    info = slide.info
    share = side / max(info.width, info.height)
    shape = max(round(info.height * share), 1), max(round(info.width * share), 1)
    mask = draw_polygons(polygons, (info.width, info.height), shape)
    if not mask.any():
        raise InputError(
            f"{path}: has no polygon on {info.path}, which has {info.width} x {info.height} px; "
            "coordinates must be level-0 pixels."
        )
    return mask


def _pictured(path: Path, slide: Slide) -> Mask:
    with open_slide(path) as picture:
        found, info = picture.info, slide.info
        stretch = (found.width / found.height) / (info.width / info.height)
        # A small picture is rounded to whole pixels.
        rounding = 1 / min(found.width, found.height)
        if abs(math.log(stretch)) > ASPECT_TOLERANCE + rounding:
            raise InputError(
                f"{path}: has {found.width} x {found.height} px, another shape than {info.path} "
                f"with {info.width} x {info.height} px; a mask must cover the whole slide."
            )
        mask = _not_black(picture)
    if not mask.any():
        raise InputError(f"{path}: is black, so no tissue is marked; save the mask as 0 and 255.")
    return mask


def _not_black(picture: Slide) -> Mask:
    """Pixels of the largest level that is not too large; a box of them is set if one of them is."""
    levels = picture.info.levels
    fitting = [i for i, size in enumerate(levels) if size.width * size.height <= LARGEST_MASK]
    level = fitting[0] if fitting else len(levels) - 1
    width, height = levels[level].width, levels[level].height
    factor = -(-max(width, height) // LARGEST_PICTURE)
    mask = np.zeros((-(-height // factor), -(-width // factor)), np.bool_)
    step = PIECE // factor * factor
    for y0, y1 in spans(height, step):
        for x0, x1 in spans(width, step):
            marked = picture.read(x0, y0, x1 - x0, y1 - y0, level).any(axis=2)
            rows = np.logical_or.reduceat(marked, np.arange(0, y1 - y0, factor), axis=0)
            part = np.logical_or.reduceat(rows, np.arange(0, x1 - x0, factor), axis=1)
            top, left = y0 // factor, x0 // factor
            mask[top : top + part.shape[0], left : left + part.shape[1]] = part
    return mask
