"""Conversions shared by the readers: colours become opaque RGB with 8 or 16 bits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# uint8, uint16 for slides that were opened with 16 bits, or float32 for channels.
Pixels = NDArray[Any]
WHITE = (255, 255, 255)
# Samples that are converted at a time.
CHUNK = 1 << 20


def composite(rgb: Pixels, alpha: Pixels, background: tuple[int, ...]) -> Pixels:
    """Lay pixels over a background colour.

    Args:
        rgb: [h, w, 3] uint8 or uint16, not premultiplied.
        alpha: [h, w] of the same type; the largest value is opaque.
        background: 8-bit RGB.

    Returns:
        [h, w, 3] of the same type, contiguous.
    """
    top = np.iinfo(rgb.dtype).max
    if alpha.min() == top:
        return np.ascontiguousarray(rgb)
    # A type twice as wide as the pixels', so that products fit.
    wide: np.dtype[Any] = np.dtype(np.uint16 if top == 255 else np.uint32)
    weight = alpha[..., None].astype(wide)
    behind = np.array([value * (top // 255) for value in background], wide) * (top - weight)
    mixed: Pixels = ((rgb * weight + behind + top // 2) // top).astype(rgb.dtype)
    return mixed


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


def rgb_profile(profile: bytes | None) -> bytes | None:
    """The ICC profile if it describes RGB, which is what readers return; else None."""
    # ICC.1:2010, 7.2.6: the data colour space is at byte 16 of the header, 'acsp' at byte 36.
    if profile and profile[16:20] == b"RGB " and profile[36:40] == b"acsp":
        return profile
    return None
