"""Slides of any size whose colours say where they are: red is x, green is y, of one plane."""

import numpy as np

from uhrtranslate.io import VirtualSlide


class PlaceSlide(VirtualSlide):
    """A pixel's red and green are its place in the plane in 255ths of a span, its blue a constant.

    Every level is computed from the places of its own pixels, so the smallest costs no more than
    the largest.
    """

    def __init__(self, name, side, mpp, blue, span, levels=9, to_plane=None):
        super().__init__(side, side, self._colours, (mpp, mpp), levels)
        self.info = type(self.info)(
            **{**{f: getattr(self.info, f) for f in ("reader", "format", "levels", "mpp")}},
            path=name,
        )
        self._to_plane = to_plane or (lambda x, y: (x * mpp, y * mpp))
        self._blue, self._span = blue, span

    def _colours(self, x, y, w, h, factor=1):
        ys, xs = np.mgrid[y : y + h, x : x + w]
        across, down = self._to_plane((xs + 0.5) * factor, (ys + 0.5) * factor)
        pixels = np.empty((h, w, 3), np.uint8)
        pixels[..., 0] = (across / self._span * 255).clip(0, 255)
        pixels[..., 1] = (down / self._span * 255).clip(0, 255)
        pixels[..., 2] = self._blue
        return pixels

    def read(self, x, y, w, h, level=0):
        return self._colours(x, y, w, h, 2**level)
