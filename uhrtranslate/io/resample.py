"""Slides at sizes between their levels: antialiased, in bounded memory.

The result is computed in fixed blocks, so no pixel depends on how the result is read. Strong
reductions first average whole boxes of pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from uhrtranslate.geometry.tiles import spans
from uhrtranslate.io.pixels import Pixels
from uhrtranslate.io.readers.block_cache import BlockCache
from uhrtranslate.io.slide import Slide

BLOCK = 512
CACHE_BYTES = 64 << 20
# Side in px of what is read at once to average boxes.
PIECE = 2048
# After averaging, the filter still reduces by this much. Pillow's documentation finds 3
# (`reducing_gap`) indistinguishable from filtering alone.
GAP = 4
# As sharp as bicubic when reducing, without ringing; its support is one pixel of the result.
FILTER = Image.Resampling.HAMMING
SUPPORT = 1.0


@dataclass(frozen=True)
class Resampled:
    """Part of a level at another size. Call it with x, y, w, h inside the result.

    Attributes:
        slide: where pixels come from.
        level: that is read.
        box: x, y, w, h in pixels of the level; need not be whole.
        width, height: of the result in px.
    """

    slide: Slide
    level: int
    box: tuple[float, float, float, float]
    width: int
    height: int
    _cache: BlockCache = field(default_factory=lambda: BlockCache(CACHE_BYTES), repr=False)

    def __call__(self, x: int, y: int, w: int, h: int) -> Pixels:
        """Pixels of the result, [h, w, 3] as the slide's; safe from several threads."""
        pixels = np.empty((h, w, 3), self.slide.info.dtype)
        for row in range(y // BLOCK, -(-(y + h) // BLOCK)):
            for col in range(x // BLOCK, -(-(x + w) // BLOCK)):
                block = self._cache.get((row, col), partial(self._block, row, col))
                top, left = max(y, row * BLOCK), max(x, col * BLOCK)
                bottom = min(y + h, (row + 1) * BLOCK)
                right = min(x + w, (col + 1) * BLOCK)
                pixels[top - y : bottom - y, left - x : right - x] = block[
                    top - row * BLOCK : bottom - row * BLOCK,
                    left - col * BLOCK : right - col * BLOCK,
                ]
        return pixels

    def _block(self, row: int, col: int) -> Pixels:
        size = self.slide.info.levels[self.level]
        across = _Axis(self.box[0], self.box[2], self.width, size.width).block(col)
        down = _Axis(self.box[1], self.box[3], self.height, size.height).block(row)
        source = self._averaged(across, down)
        box = (across.start, down.start, across.stop, down.stop)
        return _with_pillow(
            source, lambda image: image.resize((across.size, down.size), FILTER, box)
        )

    def _averaged(self, across: "_Span", down: "_Span") -> Pixels:
        """What is read for a block and its surroundings, with boxes averaged."""
        kx, ky = across.factor, down.factor
        size = self.slide.info.levels[self.level]
        if kx == ky == 1:
            w, h = across.last - across.first, down.last - down.first
            return self.slide.read(across.first, down.first, w, h, self.level)
        shape = down.last - down.first, across.last - across.first, 3
        pixels = np.empty(shape, self.slide.info.dtype)
        for top, bottom in spans(pixels.shape[0], max(PIECE // ky, 1)):
            for left, right in spans(pixels.shape[1], max(PIECE // kx, 1)):
                x, y = (across.first + left) * kx, (down.first + top) * ky
                w = min((across.first + right) * kx, size.width) - x
                h = min((down.first + bottom) * ky, size.height) - y
                pixels[top:bottom, left:right] = _with_pillow(
                    self.slide.read(x, y, w, h, self.level), lambda image: image.reduce((kx, ky))
                )
        return pixels


def _with_pillow(pixels: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Change an image. With 16 bits, as three float images: Pillow has no 16-bit RGB."""
    if pixels.dtype == np.uint8:
        return np.asarray(change(Image.fromarray(pixels)))
    planes = [
        change(Image.fromarray(plane.astype(np.float32))) for plane in np.moveaxis(pixels, 2, 0)
    ]
    changed = np.stack([np.asarray(plane) for plane in planes], axis=2)
    rounded: Pixels = np.rint(changed).clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
    return rounded


@dataclass(frozen=True)
class _Span:
    """One axis of a block: what is read for it, in boxes of `factor` pixels of the level.

    Attributes:
        first, last: boxes that are read, `first <= b < last`.
        start, stop: where the block lies in what is read, in boxes.
        size: pixels of the block.
        factor: pixels of the level per box.
    """

    first: int
    last: int
    start: float
    stop: float
    size: int
    factor: int


@dataclass(frozen=True)
class _Axis:
    """One axis: `length` pixels of a level from `origin` on become `result` pixels."""

    origin: float
    length: float
    result: int
    limit: int

    def block(self, index: int) -> _Span:
        first, last = index * BLOCK, min((index + 1) * BLOCK, self.result)
        scale = self.length / self.result
        factor = max(int(scale / GAP), 1)
        start = (self.origin + first * scale) / factor
        stop = (self.origin + last * scale) / factor
        reach = SUPPORT * max(scale / factor, 1) + 1
        low = max(math.floor(start - reach), 0)
        high = min(math.ceil(stop + reach), -(-self.limit // factor))
        # Pillow refuses a box that rounding lets end outside the image.
        return _Span(
            low,
            high,
            max(start - low, 0.0),
            min(stop - low, float(high - low)),
            last - first,
            factor,
        )
