"""Pixels: their types and depths, and what every image that is read in parts offers."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# uint8, or uint16 for slides that were opened with 16 bits.
Pixels = NDArray[np.unsignedinteger[Any]]
# Samples that are converted at a time.
CHUNK = 1 << 20


class Source(Protocol):
    """An image whose parts can be read, from several threads.

    Attributes:
        width, height: size in px.
        strip_height: rows that are best read together.
        dtype: of its pixels, uint8 or uint16.
    """

    @property
    def width(self) -> int: ...  # noqa: D102

    @property
    def height(self) -> int: ...  # noqa: D102

    @property
    def strip_height(self) -> int: ...  # noqa: D102

    @property
    def dtype(self) -> np.dtype[Any]: ...  # noqa: D102

    def read(self, x: int, y: int, w: int, h: int) -> Pixels:
        """Pixels of a rectangle inside the image, [h, w, c]; c is its `samples`, or 3."""
        ...


def to_bits(pixels: NDArray[Any], bits: int, wanted: int = 8) -> Pixels:
    """Scale unsigned pixels from one bit depth to another, rounding to the nearest value.

    8-bit values that were widened come back unchanged. 12-bit data stored in 16 bits stays as dark
    as it is stored, since values are not stretched to the range that the image uses.

    Args:
        pixels: any shape.
        bits: depth of the stored values, 1 to 16.
        wanted: depth of the result, 8 or 16.

    Returns:
        The same shape, uint8 or uint16.
    """
    dtype = np.uint8 if wanted == 8 else np.uint16
    if bits == wanted:
        return pixels.astype(dtype, copy=False)
    largest, top = 2**bits - 1, 2**wanted - 1
    scaled: Pixels = np.empty(pixels.shape, dtype)
    rows = max(CHUNK * len(pixels) // max(pixels.size, 1), 1)
    for start in range(0, len(pixels), rows):  # takes four bytes per sample
        part = pixels[start : start + rows].astype(np.uint32)
        scaled[start : start + rows] = (part * np.uint32(top) + largest // 2) // largest
    return scaled
