"""Where the tissue of a slide is, as found in a small picture of all of it."""

import math

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.geometry import CellGrid, shares_of_tissue
from uhrtranslate.io import Pixels, Slide, SlideView, slide_thumbnail
from uhrtranslate.tissue import detect_tissue, has_background

Mask = NDArray[np.bool_]

# Pixels of the picture along a cell: enough that tissue in a cell's corner is not averaged away.
PER_CELL = 8
# Limits of the larger side of the picture: clear enough, and quick.
SMALLEST_PICTURE = 1024
LARGEST_PICTURE = 6144
# The same for shares of tissue, which need not be as exact, and are found before the first tile.
SMALLEST_FOR_SHARES = 512
LARGEST_FOR_SHARES = 2048


def tissue_of(slide: Slide, side: int) -> tuple[Mask, Pixels]:
    """The tissue in a picture of a whole slide, whose larger side has `side` px.

    Returns:
        [h, w] bool, and the picture, [h, w, 3] uint8.
    """
    picture = slide_thumbnail(slide, side)
    mpp = None
    if slide.info.mpp is not None:
        mpp = max(slide.info.mpp) * slide.info.width / picture.shape[1]
    return detect_tissue(picture, mpp), picture


def tissue_shares(view: SlideView, grid: CellGrid) -> NDArray[np.float64]:
    """How much of each cell of a view is tissue, [rows, cols] in 0..1.

    All of it where there is no glass or other empty background, as in most photos, and in images
    whose channels are no colours.
    """
    slide = view.slide
    if not slide.info.channels:
        side = picture_side(view, grid, SMALLEST_FOR_SHARES, LARGEST_FOR_SHARES)
        tissue, picture = tissue_of(slide, side)
        if has_background(picture, tissue):
            return shares_of_tissue(tissue, grid, window_of(view, tissue))
    return np.ones((grid.rows, grid.cols))


def picture_side(
    view: SlideView, grid: CellGrid, least: int = SMALLEST_PICTURE, most: int = LARGEST_PICTURE
) -> int:
    """Larger side in px of a picture of the whole slide that is fine enough for the cells."""
    whole = max(view.slide.info.width, view.slide.info.height)
    # Side of a cell in level-0 px.
    cell = grid.cell * min(view.region[2] / view.width, view.region[3] / view.height)
    side = math.ceil(whole / cell * PER_CELL)
    return min(max(side, least), most, whole)


def window_of(view: SlideView, mask: Mask) -> tuple[float, float, float, float]:
    """x, y, w, h of a view in pixels of a mask of its whole slide."""
    height, width = mask.shape
    across, down = width / view.slide.info.width, height / view.slide.info.height
    x, y, w, h = view.region
    return x * across, y * down, w * across, h * down
