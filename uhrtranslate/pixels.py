"""Pixels: their types, depths and halves, and what every image that is read in parts offers."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

# uint8, uint16 for slides that were opened with 16 bits, or float32 for channels.
Pixels = NDArray[Any]
# Rec. 601: shares of red, green and blue in luma, as of Pillow's and most cameras' grey.
LUMA = (0.299, 0.587, 0.114)
# Grey levels of a pixel's darkest channel: above the first it is partly bare glass, above the
# second as glass altogether. Glass of bright-field scans lies at 230 to 250.
GLASS = (215, 235)
# Samples that are converted at a time.
CHUNK = 1 << 20


class Source(Protocol):
    """An image whose parts can be read, from several threads.

    Attributes:
        width, height: size in px.
        strip_height: rows that are best read together.
        dtype: of its pixels: uint8, uint16, or float32 for channels.
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


def dtype_of(bits: int) -> np.dtype[Any]:
    """The type of pixels of 8, 16 or (float32) 32 bits."""
    return np.dtype({8: np.uint8, 16: np.uint16, 32: np.float32}[bits])


def to_bits(pixels: NDArray[Any], bits: int, wanted: int = 8) -> Pixels:
    """Scale pixels from one bit depth to another, rounding to the nearest value.

    8-bit values that were widened come back unchanged. 12-bit data stored in 16 bits stays as dark
    as it is stored, since values are not stretched to the range that the image uses.

    Args:
        pixels: any shape.
        bits: depth of the stored unsigned values, 1 to 16; or 32: float32, where 0 to 1 stand for
            what other depths hold. What is beyond is clipped.
        wanted: depth of the result: 8, 16 or 32.

    Returns:
        The same shape, uint8, uint16 or float32.
    """
    dtype = dtype_of(wanted)
    if bits == wanted:
        return pixels.astype(dtype, copy=False)
    if wanted == 32:
        return pixels.astype(np.float32) / np.float32(2**bits - 1)
    if bits == 32:
        return np.rint(pixels.clip(0, 1) * np.float32(2**wanted - 1)).astype(dtype)
    largest, top = 2**bits - 1, 2**wanted - 1
    scaled: Pixels = np.empty(pixels.shape, dtype)
    rows = max(CHUNK * len(pixels) // max(pixels.size, 1), 1)
    for start in range(0, len(pixels), rows):  # takes four bytes per sample
        part = pixels[start : start + rows].astype(np.uint32)
        scaled[start : start + rows] = (part * np.uint32(top) + largest // 2) // largest
    return scaled


def finite(pixels: Pixels) -> Pixels:
    """Floats in place, with 0 for those that are not numbers or infinite; others unchanged."""
    if pixels.dtype.kind == "f":
        np.nan_to_num(pixels, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    return pixels


def halve(pixels: Pixels) -> Pixels:
    """Average squares of 2 x 2 pixels, rounding .5 of whole numbers up; both sides must be even."""
    half = np.empty((pixels.shape[0] // 2, pixels.shape[1] // 2, pixels.shape[2]), pixels.dtype)
    whole = pixels.dtype.kind != "f"
    wide = (np.uint16 if pixels.itemsize == 1 else np.uint32) if whole else np.float32
    rows = np.add(pixels[0::2], pixels[1::2], dtype=wide)
    for channel in range(half.shape[2]):  # numpy's inner loop then runs along a row
        sums = rows[:, 0::2, channel] + rows[:, 1::2, channel]
        if whole:
            sums += 2
            sums >>= 2
        else:
            sums *= 0.25
        half[..., channel] = sums
    return half
