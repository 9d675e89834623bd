"""The grey or colour values that are compared, and the halo of neighbouring pixels.

Values are whole thousandths of a grey level, so that Rec. 601 grey has no rounding and sums over
blocks are exact in whole numbers, however the image was cut.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Whole = NDArray[np.int32]
Doubles = NDArray[np.float64]
Planes = Callable[[Pixels], Whole]

# Pixels of neighbouring blocks around a block: left, top, right, bottom. Measures read them but do
# not count them. Only at the image's ends may there be fewer than a measure needs (down to 0).
Halo = tuple[int, int, int, int]
NO_HALO: Halo = (0, 0, 0, 0)

UNIT = 1000  # values per grey level
# Rec. 601, as the grey of Pillow and of most papers.
_LUMA = (299, 587, 114)


def grey(pixels: Pixels) -> Whole:
    """Rec. 601 grey: [h, w, 3] uint8 to [h, w, 1] int32, 0..255,000."""
    red, green, blue = (pixels[..., c].astype(np.int32) * _LUMA[c] for c in range(3))
    return (red + green + blue)[..., None]


def colour(pixels: Pixels) -> Whole:
    """R, G and B: [h, w, 3] uint8 to [h, w, 3] int32, 0..255,000."""
    return pixels.astype(np.int32) * UNIT


def levels(whole: Whole) -> Doubles:
    """The same in grey levels, 0..255 float64."""
    return whole.astype(np.float64) / UNIT


def halved(x: Doubles) -> Doubles:
    """Means of 2 x 2 px of [h, w, ...]; an odd last row or column is left out."""
    x = x[: len(x) // 2 * 2, : x.shape[1] // 2 * 2]
    return (x[::2, ::2] + x[1::2, ::2] + x[::2, 1::2] + x[1::2, 1::2]) / 4


def same_size(a: Pixels, b: Pixels) -> None:
    """Refuse pairs that cannot be compared.

    Raises:
        ValueError: not both are [h, w, 3] uint8 of one size, or they have no pixel.
    """
    if a.shape != b.shape or a.ndim != 3 or a.shape[2] != 3 or not a.size:
        raise ValueError(f"a pair of [h, w, 3] of one size is needed, not {a.shape} and {b.shape}")
    if a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"pixels of 8 bits are needed, not {a.dtype} and {b.dtype}")


def inside(block: NDArray[np.generic], halo: Halo, rim: int = 0) -> tuple[slice, slice]:
    """Rows and columns of a block that count.

    Args:
        block: [h, w, ...].
        halo: see `Halo`.
        rim: px at the image's own ends that do not count, as a window does not fit there.

    Raises:
        ValueError: a halo is below 0.
    """
    if min(halo) < 0:
        raise ValueError(f"a halo of {halo} px; 0 or more is needed")
    left, top, right, bottom = (max(side, rim) for side in halo)
    height, width = block.shape[:2]
    rows = slice(top, max(top, height - bottom))
    return rows, slice(left, max(left, width - right))
