"""Slides of any size without a file: their pixels are computed, for tests and benchmarks."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from uhrtranslate.geometry.levels import level_downsample
from uhrtranslate.io.slide import Level, Slide, SlideInfo, read_padded
from uhrtranslate.pixels import Pixels


class VirtualSlide(Slide):
    """A slide whose level 0 is computed by a function; the other levels are its exact averages.

    Args:
        width, height: size of level 0 in px.
        pixels: computes a rectangle x, y, w, h (level-0 px, inside the image) as [h, w, 3] uint8;
            must be thread-safe.
        mpp: micrometres per pixel of level 0.
        levels: number of levels; each is half as large as the one before.
    """

    def __init__(
        self,
        width: int,
        height: int,
        pixels: Callable[[int, int, int, int], Pixels],
        mpp: tuple[float, float] | None = None,
        levels: int = 1,
    ) -> None:
        sizes = [(-(-width // 2**i), -(-height // 2**i)) for i in range(levels)]
        self.info = SlideInfo(
            path=f"virtual-{width}x{height}",
            reader="virtual",
            format="virtual",
            levels=tuple(Level(*s, level_downsample((width, height), s)) for s in sizes),
            mpp=mpp,
        )
        self._pixels = pixels

    def tile_size(self, level: int) -> tuple[int, int]:
        """A common size; any other would do."""
        return 256, 256

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide.read`; higher levels are computed from all level-0 pixels below them."""

        def inside(x: int, y: int, w: int, h: int) -> Pixels:
            factor = 2**level
            right, bottom = (x + w) * factor, (y + h) * factor
            x0, y0 = x * factor, y * factor
            w0, h0 = min(right, self.info.width) - x0, min(bottom, self.info.height) - y0
            pixels = self._pixels(x0, y0, w0, h0)
            if level == 0:
                return np.array(pixels, np.uint8)
            return np.array(Image.fromarray(pixels).reduce(factor))

        return read_padded(self.info, (x, y, w, h), level, inside)
