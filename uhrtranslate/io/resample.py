"""Slides at sizes between their levels: antialiased, in bounded memory.

The result is computed in fixed blocks, so a pixel does not depend on the rectangle it is read in.
Strong reductions first average whole boxes of pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from uhrtranslate.geometry.tiles import spans
from uhrtranslate.io.readers.block_cache import BlockCache
from uhrtranslate.io.slide import Slide
from uhrtranslate.pixels import Pixels

BLOCK = 512
CACHE_BYTES = 64 << 20
# Side in px of the pieces that are read to average boxes; the second one where pixels have more
# bytes than the third number, as of many channels.
PIECE, SMALL_PIECE, WIDE_PIXEL = 2048, 512, 16
# How much the filter still reduces after averaging. According to Pillow's documentation, 3
# (`reducing_gap`) already looks the same as filtering alone.
GAP = 4
# As sharp as bicubic when reducing, but without ringing. Its support is one pixel of the result.
FILTER = Image.Resampling.HAMMING
SUPPORT = 1.0
# When enlarging, that filter is all but the nearest pixel; this one reaches two source pixels.
ENLARGING = Image.Resampling.BICUBIC
ENLARGING_SUPPORT = 2.0


@dataclass(frozen=True)
class Resampled:
    """Part of a level at another size. Call it with x, y, w, h inside the result.

    Attributes:
        slide: where pixels come from.
        level: the level that is read.
        box: x, y, w, h in pixels of the level; need not be whole numbers.
        width, height: size of the result in px.
        enlarging: whether it is bicubic, for results that are larger.
        cache: of its blocks.
    """

    slide: Slide
    level: int
    box: tuple[float, float, float, float]
    width: int
    height: int
    enlarging: bool = False
    cache: BlockCache = field(default_factory=lambda: BlockCache(CACHE_BYTES), repr=False)

    def __call__(self, x: int, y: int, w: int, h: int) -> Pixels:
        """Pixels of the result, [h, w, c] of the slide's type; safe from several threads."""
        pixels = np.empty((h, w, self.slide.info.samples), self.slide.info.dtype)
        for row in range(y // BLOCK, -(-(y + h) // BLOCK)):
            for col in range(x // BLOCK, -(-(x + w) // BLOCK)):
                block = self.cache.get((row, col), partial(self._block, row, col))
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
        support = ENLARGING_SUPPORT if self.enlarging else SUPPORT
        across = _span(self.box[0], self.box[2], self.width, size.width, col, support)
        down = _span(self.box[1], self.box[3], self.height, size.height, row, support)
        source = self._averaged(across, down)
        box = (across.start, down.start, across.stop, down.stop)
        filter = ENLARGING if self.enlarging else FILTER
        return _with_pillow(
            source, lambda image: image.resize((across.size, down.size), filter, box)
        )

    def _averaged(self, across: "_Span", down: "_Span") -> Pixels:
        """The source pixels of a block and its surroundings, with boxes averaged."""
        kx, ky = across.factor, down.factor
        size = self.slide.info.levels[self.level]
        if kx == ky == 1:
            w, h = across.last - across.first, down.last - down.first
            return self.slide.read(across.first, down.first, w, h, self.level)
        shape = down.last - down.first, across.last - across.first, self.slide.info.samples
        pixels = np.empty(shape, self.slide.info.dtype)
        piece = PIECE if shape[2] * pixels.itemsize <= WIDE_PIXEL else SMALL_PIECE
        for top, bottom in spans(pixels.shape[0], max(piece // ky, 1)):
            for left, right in spans(pixels.shape[1], max(piece // kx, 1)):
                x, y = (across.first + left) * kx, (down.first + top) * ky
                w = min((across.first + right) * kx, size.width) - x
                h = min((down.first + bottom) * ky, size.height) - y
                pixels[top:bottom, left:right] = _with_pillow(
                    self.slide.read(x, y, w, h, self.level), lambda image: image.reduce((kx, ky))
                )
        return pixels


def _with_pillow(pixels: Pixels, change: Callable[[Image.Image], Image.Image]) -> Pixels:
    """Change an image; what Pillow does not hold, deep RGB and other channels, one by one."""
    narrow = pixels.dtype == np.uint8
    if narrow and pixels.shape[2] == 3:
        return np.asarray(change(Image.fromarray(pixels)))
    planes = [
        change(Image.fromarray(np.ascontiguousarray(plane) if narrow else plane.astype(np.float32)))
        for plane in np.moveaxis(pixels, 2, 0)
    ]
    changed = np.stack([np.asarray(plane) for plane in planes], axis=2)
    if narrow or pixels.dtype.kind == "f":
        return changed
    rounded: Pixels = np.rint(changed).clip(0, np.iinfo(pixels.dtype).max).astype(pixels.dtype)
    return rounded


@dataclass(frozen=True)
class _Span:
    """What is read for one axis of a block, in boxes of `factor` pixels of the level.

    Attributes:
        first, last: boxes that are read, `first <= b < last`.
        start, stop: where the block lies among them, in boxes.
        size: pixels of the block.
        factor: pixels of the level per box.
    """

    first: int
    last: int
    start: float
    stop: float
    size: int
    factor: int


def _span(
    origin: float, length: float, result: int, limit: int, index: int, support: float
) -> _Span:
    """A block of an axis where `length` px of a level from `origin` on become `result` px."""
    first, last = index * BLOCK, min((index + 1) * BLOCK, result)
    scale = length / result
    factor = max(int(scale / GAP), 1)
    start = (origin + first * scale) / factor
    stop = (origin + last * scale) / factor
    reach = support * max(scale / factor, 1) + 1
    low = max(math.floor(start - reach), 0)
    high = min(math.ceil(stop + reach), -(-limit // factor))
    # Through rounding, the box could end outside the image, which Pillow refuses.
    start, stop = max(start - low, 0.0), min(stop - low, float(high - low))
    return _Span(low, high, start, stop, last - first, factor)
