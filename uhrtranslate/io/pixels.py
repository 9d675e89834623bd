"""What readers do to pixels: everything becomes opaque 8-bit RGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
WHITE = (255, 255, 255)
# Samples that are converted together.
CHUNK = 1 << 20


def composite(rgb: Pixels, alpha: Pixels, background: tuple[int, int, int]) -> Pixels:
    """Lay pixels over a background colour.

    Args:
        rgb: [h, w, 3], not multiplied with alpha.
        alpha: [h, w], 255 is opaque.
        background: RGB.

    Returns:
        [h, w, 3] uint8, contiguous.
    """
    if alpha.min() == 255:
        return np.ascontiguousarray(rgb)
    weight = alpha[..., None].astype(np.uint16)
    behind = np.array(background, np.uint16) * (255 - weight)
    mixed: Pixels = ((rgb * weight + behind + 127) // 255).astype(np.uint8)
    return mixed


def to_8_bit(pixels: NDArray[Any], bits: int = 16) -> Pixels:
    """Scale unsigned pixels to 8 bit: the range of the type, not of the image, becomes 0..255.

    Rounded to the nearest, so 8-bit values that were widened come back unchanged. Data of fewer
    bits in a wider type (12 in 16) stays as dark as it is stored.

    Args:
        pixels: of any shape.
        bits: of the stored values, 1 to 16.
    """
    if bits == 8:
        return pixels.astype(np.uint8, copy=False)
    largest = 2**bits - 1
    scaled: Pixels = np.empty(pixels.shape, np.uint8)
    rows = max(CHUNK * len(pixels) // max(pixels.size, 1), 1)
    for top in range(0, len(pixels), rows):  # four bytes per sample, but never of all
        part = pixels[top : top + rows].astype(np.uint32)
        scaled[top : top + rows] = (part * 255 + largest // 2) // largest
    return scaled


def rgb_profile(profile: bytes | None) -> bytes | None:
    """The ICC profile if it describes RGB: what is read is RGB, whatever the file holds."""
    # ICC.1:2010, 7.2.6: the data colour space is at byte 16 of the header, 'acsp' at byte 36.
    if profile and profile[16:20] == b"RGB " and profile[36:40] == b"acsp":
        return profile
    return None
