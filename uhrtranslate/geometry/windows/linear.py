"""Straight ramps: the weights of two neighbours add up to 1 by themselves."""

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.geometry.windows.ramps import Window, rising


def linear(height: int, width: int, overlap: int) -> Window:
    """The window of a tile that overlaps its neighbours, [height, width] float32."""
    return rising(height, width, overlap, _straight)


def _straight(share: NDArray[np.float64]) -> Window:
    return share.astype(np.float32)
