"""Weights by distance from the tile's centre: 1 there, 1/2 at the edges (PathUp, ACM MM 2024).

The paper prints min(|p-p'|, |q-q'|)/L, which is 0 at the centre; its text asks for this. As a
tile's weight is still 1/2 where it ends, a third or more of a step between tiles stays visible.
"""

import numpy as np

from uhrtranslate.geometry.windows.ramps import Window


def centre(height: int, width: int, overlap: int) -> Window:
    """The window of a tile, [height, width] float32; it does not depend on the overlap."""
    rows, cols = (np.abs(np.arange(size) + 0.5 - size / 2) / size for size in (height, width))
    window: Window = (1 - np.maximum(rows[:, None], cols)).astype(np.float32)
    return window
