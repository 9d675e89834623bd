"""Seams of known strength in real images."""

import io

import numpy as np
from PIL import Image


def reader(pixels):
    """Read an array as a view is read."""

    def read(x, y, w, h):
        assert min(x, y) >= 0
        block = pixels[y : y + h, x : x + w]
        assert block.shape[:2] == (h, w)
        return block

    return read


def with_tiles(pixels, period, strength, seed=0, x=0, y=0):
    """Every tile moved by a colour of its own: normal, `strength` grey levels."""
    random = np.random.default_rng(seed)
    out = pixels.astype(np.float64)
    for top in range(y - period if y else 0, out.shape[0], period):
        for left in range(x - period if x else 0, out.shape[1], period):
            tile = out[max(top, 0) : top + period, max(left, 0) : left + period]
            tile += random.normal(0, strength, 3)
    return np.clip(np.rint(out), 0, 255).astype(np.uint8)


def as_jpeg(pixels, quality=85):
    """Compressed and decompressed."""
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))
