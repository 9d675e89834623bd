"""Ramps without corners (Hann): neither a step nor a bend where an overlap begins or ends."""

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.geometry.windows.ramps import Window, rising


def cosine(height: int, width: int, overlap: int) -> Window:
    """The window of a tile that overlaps its neighbours, [height, width] float32."""
    return rising(height, width, overlap, _bent)


def _bent(share: NDArray[np.float64]) -> Window:
    return (np.sin(share * (np.pi / 2)) ** 2).astype(np.float32)
