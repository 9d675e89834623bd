"""A slide in the frame of another one, computed where it is read."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

from uhrtranslate.errors import InputError
from uhrtranslate.geometry.levels import level_downsample
from uhrtranslate.io import Level, Pixels, Slide, SlideView, open_view, resized
from uhrtranslate.io.readers.block_cache import BlockCache
from uhrtranslate.io.slide import SlideInfo, read_padded
from uhrtranslate.registration import Transform

# Blocks are computed as wholes, so that a pixel does not depend on the rectangle it is read in.
BLOCK = 512
CACHE_BYTES = 48 << 20
# The smallest level has at most this side, in px.
SMALLEST = 512
# Px of the source that are read at once at most; a block that needs more is cut in four.
MOST_READ = 16 * BLOCK * BLOCK
# Px of the source per px of the result above which the source is antialiased first.
COARSER = 1.2
# A level within this share of the resolution that is needed is used as it is.
SAME_LEVEL = 0.05
# Px that bicubic sampling reaches beyond a point, and one for rounding.
REACH = 3


class WarpedSlide(Slide):
    """The moving slide as seen in the fixed slide's pixels; a `Slide`.

    Its levels are halves of the fixed slide's level 0. Each is sampled bicubically from the moving
    slide at the resolution that it needs; of that only the part around a block is read.

    Args:
        moving: must stay open; is not closed by this.
        transform: from the fixed slide to the moving one.

    Raises:
        InputError: the transform was made for a slide of another size.
    """

    def __init__(self, moving: Slide, transform: Transform) -> None:
        info, fixed, expected = moving.info, transform.fixed, transform.moving
        if (info.width, info.height) != (expected.width, expected.height):
            raise InputError(
                f"{info.path}: has {info.width} x {info.height} px, and the transform was made for "
                f"a slide of {expected.width} x {expected.height} px ({expected.name}); name that."
            )
        self._moving, self._transform = moving, transform
        sizes = [(fixed.width, fixed.height)]
        while max(sizes[-1]) > SMALLEST:
            sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
        power = info.objective_power
        if power is not None:
            same = info.mpp is not None and fixed.mpp is not None
            power = power * info.mpp[0] / fixed.mpp[0] if same else None  # type: ignore[index]
        self.info = SlideInfo(
            path=info.path,
            reader="virtual",
            format="warped",
            levels=tuple(Level(*s, level_downsample(sizes[0], s)) for s in sizes),
            mpp=fixed.mpp,
            objective_power=power,
            icc_profile=info.icc_profile,
            background=info.background,
            bits=info.bits,
            channels=info.channels,
        )
        scale = transform.scale()
        self._sources = [_source(moving, scale * level.downsample) for level in self.info.levels]
        self._cache = BlockCache(CACHE_BYTES)

    def tile_size(self, level: int) -> tuple[int, int]:
        """The blocks that are computed."""
        return BLOCK, BLOCK

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide.read`."""
        return read_padded(self.info, (x, y, w, h), level, partial(self._inside, level))

    def _inside(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        pixels = np.empty((h, w, self.info.samples), self.info.dtype)
        for top in range(y // BLOCK * BLOCK, y + h, BLOCK):
            for left in range(x // BLOCK * BLOCK, x + w, BLOCK):
                make = partial(self._block, level, left, top)
                block = self._cache.get((level, top, left), make)
                y0, x0 = max(y, top), max(x, left)
                y1, x1 = min(y + h, top + block.shape[0]), min(x + w, left + block.shape[1])
                part = block[y0 - top : y1 - top, x0 - left : x1 - left]
                pixels[y0 - y : y1 - y, x0 - x : x1 - x] = part
        return pixels

    def _block(self, level: int, left: int, top: int) -> Pixels:
        size, base, moving = self.info.levels[level], self.info, self._moving.info
        xs = np.arange(left, min(left + BLOCK, size.width), dtype=np.float64) + 0.5
        ys = np.arange(top, min(top + BLOCK, size.height), dtype=np.float64) + 0.5
        points = self._transform.lattice(
            xs * (base.width / size.width), ys * (base.height / size.height)
        )
        source = self._sources[level]
        sides = ((source.width, moving.width), (source.height, moving.height))
        for axis, (side, whole) in enumerate(sides):
            place = points[..., axis]
            place *= side / whole
            place -= 0.5
            # Far outside, nothing needs to be read; behind a projective horizon (NaN) is nothing.
            np.fmax(place, -REACH, out=place)
            np.fmin(place, side + REACH - 1, out=place)
        return self._sampled(source, points)

    def _sampled(self, source: SlideView, points: NDArray[np.float64]) -> Pixels:
        """The source at points [h, w, 2], in px of the source from the first pixel's centre."""
        h, w = points.shape[:2]
        axes = points[..., 0], points[..., 1]  # numpy is slow along axes of two
        x0, y0 = (int(np.floor(axis.min())) - REACH + 1 for axis in axes)
        x1, y1 = (int(np.floor(axis.max())) + REACH for axis in axes)
        if (x1 - x0) * (y1 - y0) > MOST_READ and max(h, w) > 1:
            rows, columns = -(-h // 2), -(-w // 2)
            made = np.empty((h, w, self.info.samples), self.info.dtype)
            for ys in (slice(0, rows), slice(rows, h)):
                for xs in (slice(0, columns), slice(columns, w)):
                    if points[ys, xs].size:
                        made[ys, xs] = self._sampled(source, points[ys, xs])
            return made
        pixels = _with_background(source, x0, y0, x1 - x0, y1 - y0)
        image = torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]  # [1, c, h, w]
        grid = np.empty((h, w, 2), np.float32)
        for axis, (first, end) in enumerate(((x0, x1), (y0, y1))):
            grid[..., axis] = (points[..., axis] - first) * (2 / (end - first - 1)) - 1
        where = torch.from_numpy(grid)[None]  # [1, h, w, 2]
        # What was read reaches beyond all points, so nothing is read outside of it.
        values = grid_sample(image, where, "bicubic", "zeros", align_corners=True)[0]
        if self.info.dtype.kind == "u":
            values = values.round_().clamp_(0, np.iinfo(self.info.dtype).max)
        made = values.permute(1, 2, 0).numpy()
        return np.ascontiguousarray(made.astype(self.info.dtype))


def _source(moving: Slide, ratio: float) -> SlideView:
    """The moving slide at the resolution that is sampled.

    Args:
        moving: the slide.
        ratio: px of its level 0 per px of the result.
    """
    if ratio <= COARSER:
        return open_view(moving)
    for number, level in enumerate(moving.info.levels):
        if abs(level.downsample / ratio - 1) < SAME_LEVEL:
            return open_view(moving, number)
    width, height = (
        max(round(side / ratio), 1) for side in (moving.info.width, moving.info.height)
    )
    return resized(open_view(moving), width, height)


def _with_background(source: SlideView, x: int, y: int, w: int, h: int) -> Pixels:
    """A rectangle that may reach outside of the source."""
    info = source.info
    level = SlideInfo(
        info.path, "virtual", "", (Level(source.width, source.height, 1.0),),
        background=info.background, bits=info.bits, channels=info.channels,
    )  # fmt: skip
    read: Callable[[int, int, int, int], Pixels] = source.read
    return read_padded(level, (x, y, w, h), 0, read)
