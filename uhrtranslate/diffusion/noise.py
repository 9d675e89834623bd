"""Noise as a function of its place: bands, batches and resumed runs draw the same."""

import numpy as np
from numpy.typing import NDArray


def noise_rows(
    seed: int, stream: int, channels: int, width: int, y0: int, y1: int
) -> NDArray[np.float32]:
    """Standard normal noise of the rows `y0 <= y < y1` of a canvas.

    Each row has a counter-based generator of its own (Philox; Salmon et al. 2011), so it does not
    depend on what else is drawn.

    Args:
        seed: of the image, below 2^64.
        stream: tells apart the fields of one image.
        channels, width: of the canvas.
        y0, y1: rows.

    Returns:
        [channels, y1 - y0, width] float32.
    """
    field = np.empty((channels, y1 - y0, width), np.float32)
    for row in range(y0, y1):
        random = np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, row]))
        field[:, row - y0] = random.standard_normal((channels, width), np.float32)
    return field
