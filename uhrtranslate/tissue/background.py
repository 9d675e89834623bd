"""Whether a picture has an empty background at all, as slides have and most photos don't."""

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.tissue.detect import BLACK, DARKEST_GLASS, Mask, Pixels, is_dark_field

# Neighbouring pixels of an empty background differ by no more than this, in every channel: noise.
NOISE = 6
# Glass is white or nearly so: its channels differ by no more than this.
TINT = 25
# Less of it is a highlight. Measured on 49 pictures: sections with glass have 2.5% to 66% of their
# pixels, tissue alone up to 1.1%, photos up to 0.9%; but with a featureless white sky or a page of
# paper, which say as little as glass does, 3.7% to 27%.
LEAST = 0.015


def has_background(thumbnail: Pixels, tissue: Mask) -> bool:
    """Whether a picture shows glass, the black of a dark field, or parts that were not scanned.

    Args:
        thumbnail: [h, w, 3] uint8 RGB.
        tissue: what `detect_tissue` found in it, [h, w] bool.
    """
    value = thumbnail.astype(np.int16)
    empty = ~tissue & _is_flat(value)
    if not is_dark_field(thumbnail):
        most = value.max(axis=2)
        white = (value.min(axis=2) >= DARKEST_GLASS) & (most - value.min(axis=2) <= TINT)
        empty &= white | (most <= BLACK)
    return bool(empty.mean() >= LEAST)


def _is_flat(value: NDArray[np.int16]) -> Mask:
    """Pixels that hardly differ from those to the right and below."""
    down = np.abs(np.diff(value, axis=0, append=value[-1:])).max(axis=2)
    right = np.abs(np.diff(value, axis=1, append=value[:, -1:])).max(axis=2)
    return np.asarray(np.maximum(down, right) <= NOISE, np.bool_)
