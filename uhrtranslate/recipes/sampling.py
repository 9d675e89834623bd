"""Colours of a slide's tissue, from all over it."""

import numpy as np

from uhrtranslate.io import Pixels, SlideView, slide_thumbnail
from uhrtranslate.pixels import GLASS
from uhrtranslate.stain.base import Colours
from uhrtranslate.tissue import detect_tissue

# Larger side of the thumbnail in which tissue is detected; side in px and number of the blocks
# from which pixels are taken.
THUMBNAIL = 1024
BLOCK = 96
PLACES = 96


def sample_tissue(view: SlideView, count: int, seed: int) -> Colours:
    """Colours of tissue pixels, drawn over the whole view.

    Args:
        view: at the working resolution.
        count: how many at most.
        seed: of the draw.

    Returns:
        [n, 3] uint8, without bare glass; fewer than `count` if there is little tissue.
    """
    return sample_shown(view, slide_thumbnail(view.slide, THUMBNAIL), count, seed)


def sample_shown(view: SlideView, thumbnail: Pixels, count: int, seed: int) -> Colours:
    """The same, given a thumbnail of the whole slide, of `THUMBNAIL` px."""
    random = np.random.default_rng(seed)
    tissue = detect_tissue(thumbnail)
    x0, y0, w0, h0 = view.region
    scale = view.slide.info.width / thumbnail.shape[1]
    ys, xs = np.nonzero(tissue)
    # Level-0 px, then px of the view; only places inside it.
    ys, xs = (ys + 0.5) * scale - y0, (xs + 0.5) * scale - x0
    inside = (ys >= 0) & (ys < h0) & (xs >= 0) & (xs < w0)
    ys, xs = ys[inside] * view.height / h0, xs[inside] * view.width / w0
    if len(ys) == 0:
        return np.empty((0, 3), np.uint8)
    w, h = min(BLOCK, view.width), min(BLOCK, view.height)
    places = random.choice(len(ys), min(PLACES, len(ys)), replace=False)
    parts = []
    for place in np.sort(places):  # in order, so that each TIFF tile is decoded once
        x = int(np.clip(xs[place] - w / 2, 0, view.width - w))
        y = int(np.clip(ys[place] - h / 2, 0, view.height - h))
        pixels = view.read(x, y, w, h).reshape(-1, 3)
        parts.append(pixels[pixels.min(axis=1) < GLASS[1]])
    colours = np.concatenate(parts)
    if len(colours) > count:
        colours = colours[np.sort(random.choice(len(colours), count, replace=False))]
    return colours
