"""How bright a pixel is."""

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.pixels import Pixels

# The weights of Rec. 601 in 1/65536, so that 8 and 16 bits give whole numbers without floats.
_WHOLE = (19595, 38470, 7471)


def illuminance(pixels: Pixels) -> NDArray[np.uint16]:
    """Rec. 601 luma, half up.

    Args:
        pixels: [..., 3] RGB, or [...] grey, of 8 or 16 bits.

    Returns:
        [...] uint16, in the range of the input.
    """
    if pixels.ndim < 3 or pixels.shape[-1] != 3:
        return pixels.astype(np.uint16)
    total = np.full(pixels.shape[:-1], 1 << 15, np.uint32)
    for channel, weight in enumerate(_WHOLE):
        total += pixels[..., channel].astype(np.uint32) * np.uint32(weight)
    return (total >> 16).astype(np.uint16)
