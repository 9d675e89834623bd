"""Slides in 8 bits, whatever their own depth: for pictures and for figures in grey levels."""

from dataclasses import replace

import numpy as np

from uhrtranslate.io.channels import compose
from uhrtranslate.io.files.fingerprint import Fingerprint
from uhrtranslate.io.slide import Slide
from uhrtranslate.io.thumbnails import fitted_thumbnail
from uhrtranslate.io.view import open_view
from uhrtranslate.pixels import Pixels, to_bits

# Longer side in px of the picture in which the range of floats is found.
SIDE = 512


class NarrowSlide(Slide):
    """Another slide in 8 bits; it closes that.

    Floats are stretched: the least value of all channels in a small picture of the slide becomes 0,
    the largest 255, wherever and at whichever level they are read.

    Args:
        slide: of any depth; stays open while this one is used.
    """

    def __init__(self, slide: Slide) -> None:
        self._slide = slide
        self.info = replace(slide.info, bits=8)
        self._low, self._high = 0.0, 1.0
        if slide.info.bits == 32:
            pixels = fitted_thumbnail(open_view(slide), SIDE, deep=True)
            self._low, self._high = float(pixels.min()), float(pixels.max())

    def tile_size(self, level: int) -> tuple[int, int]:
        """See `Slide`."""
        return self._slide.tile_size(level)

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide`."""
        pixels = self._slide.read(x, y, w, h, level)
        if pixels.dtype.kind == "f":
            width = self._high - self._low
            pixels = (pixels - np.float32(self._low)) * np.float32(1 / width if width else 0)
        return to_bits(pixels, 8 * pixels.itemsize)

    def associated_image(self, name: str) -> Pixels:
        """See `Slide`."""
        return self._slide.associated_image(name)

    def fingerprint(self) -> Fingerprint | None:
        """See `Slide`."""
        return self._slide.fingerprint()

    def close(self) -> None:
        """See `Slide`."""
        self._slide.close()


def narrowed(slide: Slide) -> Slide:
    """The slide itself if it has 8 bits, else a `NarrowSlide`."""
    return slide if slide.info.bits == 8 else NarrowSlide(slide)


class ColourSlide(NarrowSlide):
    """Another slide's channels in 8 bits, laid over each other in their colours; it closes that."""

    def __init__(self, slide: Slide) -> None:
        super().__init__(slide)
        self._channels = slide.info.channels
        self.info = replace(self.info, channels=(), background=(0, 0, 0))

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide`."""
        return compose(super().read(x, y, w, h, level), self._channels)


def in_colours(slide: Slide) -> Slide:
    """The slide in 8 bits, and in colours if it has channels."""
    return ColourSlide(slide) if slide.info.channels else narrowed(slide)
