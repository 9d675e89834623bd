"""Conversions shared by the readers: colours become opaque RGB with 8 or 16 bits."""

from typing import Any

import numpy as np

from uhrtranslate.pixels import Pixels

WHITE = (255, 255, 255)


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


def rgb_profile(profile: bytes | None) -> bytes | None:
    """The ICC profile if it describes RGB, which is what readers return; else None."""
    # ICC.1:2010, 7.2.6: the data colour space is at byte 16 of the header, 'acsp' at byte 36.
    if profile and profile[16:20] == b"RGB " and profile[36:40] == b"acsp":
        return profile
    return None
