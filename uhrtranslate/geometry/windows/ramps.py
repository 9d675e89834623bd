"""What windows that rise from a tile's edges have in common."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Window = NDArray[np.float32]
# Makes the window of a tile from its height, width and overlap.
WindowOf = Callable[[int, int, int], Window]


def rising(
    height: int, width: int, overlap: int, shape: Callable[[NDArray[np.float64]], Window]
) -> Window:
    """A window that rises from all four edges within the overlap, and is 1 further inside.

    Args:
        height, width: of the tile in px.
        overlap: of neighbouring tiles in px; 0 gives 1 everywhere.
        shape: of the rise: numbers of 0..1, the share of the overlap that lies between a pixel's
            centre and the edge, to weights of 0..1.

    Returns:
        [height, width] float32 in 0..1, nowhere 0.
    """
    rows, cols = (
        shape(_share(size, overlap)).astype(np.float32) if overlap else np.ones(size, np.float32)
        for size in (height, width)
    )
    return rows[:, None] * cols


def _share(size: int, overlap: int) -> NDArray[np.float64]:
    centres = np.arange(size) + 0.5
    share: NDArray[np.float64] = np.minimum(centres, size - centres) / overlap
    return share.clip(max=1.0)
