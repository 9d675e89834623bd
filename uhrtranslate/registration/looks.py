"""One look for two stains: grey pictures in which tissue of either is bright on black."""

import numpy as np
from numpy.typing import NDArray
from skimage.color import rgb2hed

Pixels = NDArray[np.uint8]
Picture = NDArray[np.float32]

# Percentiles of a picture that become 0 and 1.
DARKEST, BRIGHTEST = 1.0, 99.0


def density(pixels: Pixels) -> Picture:
    """Optical density summed over the channels, [h, w] float32 in 0..1, of pixels [h, w, 3]."""
    od = -np.log((pixels.astype(np.float32) + 1) / 256).sum(axis=2)
    return stretched(od)


def grey(pixels: Pixels) -> Picture:
    """How dark each pixel is, [h, w] float32 in 0..1, of pixels [h, w, 3]."""
    return stretched(255 - pixels.astype(np.float32).mean(axis=2))


def haematoxylin(pixels: Pixels) -> Picture:
    """The nuclear stain that most pairs of stains share (Ruifrok and Johnston 2001)."""
    return stretched(np.asarray(rgb2hed(pixels)[..., 0], np.float32))


LOOKS = {"grey": grey, "od": density, "haematoxylin": haematoxylin}


def stretched(values: NDArray[np.float32]) -> Picture:
    """Values brought to 0..1 by percentiles."""
    low, high = np.percentile(values, [DARKEST, BRIGHTEST])
    spread = (values - low) / max(high - low, 1e-6)
    return np.asarray(spread.clip(0, 1), np.float32)
