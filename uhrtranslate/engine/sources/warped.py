"""A slide in the frame of another one, computed where it is read."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import grid_sample

from uhrtranslate.errors import InputError
from uhrtranslate.geometry import spans
from uhrtranslate.geometry.levels import level_downsample
from uhrtranslate.io import Level, Pixels, Slide, SlideView, open_view, resized
from uhrtranslate.io.readers.block_cache import BlockCache
from uhrtranslate.io.slide import SlideInfo, read_padded
from uhrtranslate.options import Sampling
from uhrtranslate.pixels import to_bits
from uhrtranslate.registration import Matrix, Transform

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
# Of a rectangle that may be of one colour, every so many px are looked at first.
SPARSE = 32
# Side in px of what is sampled together: what it takes stays in a processor's cache.
PART = 256
# Px that bicubic sampling reaches beyond a point, and one for rounding.
REACH = 3


class WarpedSlide(Slide):
    """The moving slide as seen in the fixed slide's pixels; a `Slide`.

    Its levels are halves of the fixed slide's level 0. Each is sampled from the moving
    slide at the resolution that it needs; of that only the part around a block is read.

    Args:
        moving: must stay open; is not closed by this.
        transform: from the fixed slide to the moving one.
        sampling: how pixels are interpolated.

    Raises:
        InputError: the transform was made for a slide of another size.
    """

    def __init__(self, moving: Slide, transform: Transform, sampling: Sampling = "cubic") -> None:
        info, fixed, expected = moving.info, transform.fixed, transform.moving
        if (info.width, info.height) != (expected.width, expected.height):
            raise InputError(
                f"{info.path}: has {info.width} x {info.height} px, and the transform was made for "
                f"a slide of {expected.width} x {expected.height} px ({expected.name}); name that."
            )
        self._moving, self._transform, self._sampling = moving, transform, sampling
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
        views = [_source(moving, scale * level.downsample) for level in self.info.levels]
        self._sources = [(view, _to_pixels(transform, view)) for view in views]
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
        size, base = self.info.levels[level], self.info
        xs = np.arange(left, min(left + BLOCK, size.width), dtype=np.float64) + 0.5
        ys = np.arange(top, min(top + BLOCK, size.height), dtype=np.float64) + 0.5
        source, places = self._sources[level]
        origin, points = places.planes(
            xs * (base.width / size.width), ys * (base.height / size.height)
        )
        for plane, first, side in zip(points, origin, (source.width, source.height), strict=True):
            low, high = -REACH - first, side + REACH - 1 - first
            if not (plane.min() >= low and plane.max() <= high):
                # Far outside, nothing needs to be read; behind a projective horizon (NaN) is
                # nothing.
                np.fmax(plane, low, out=plane)
                np.fmin(plane, high, out=plane)
        return self._sampled(source, origin.astype(np.intp), points)

    def _sampled(
        self, source: SlideView, origin: NDArray[np.intp], points: NDArray[np.float32]
    ) -> Pixels:
        """The source at points [2, h, w], in px of it from the middle of the origin's."""
        shape = points.shape[1:]
        (x0, x1), (y0, y1) = _reach(points) + origin[:, None]
        made = np.empty((*shape, self.info.samples), self.info.dtype)
        if (x1 - x0) * (y1 - y0) > MOST_READ and max(shape) > 1:
            for part in _parts(shape, -(-max(shape) // 2)):
                made[part] = self._sampled(source, origin, points[:, *part])
            return made
        if x1 <= 0 or y1 <= 0 or x0 >= source.width or y0 >= source.height:
            made[:] = to_bits(np.array(self.info.background, np.uint8), 8, self.info.bits)
            return made
        pixels = _with_background(source, x0, y0, x1 - x0, y1 - y0)
        colour = pixels[0, 0]
        if (pixels[::SPARSE, ::SPARSE] == colour).all() and (pixels == colour).all():
            made[:] = colour
            return made
        for part in _parts(shape, PART):
            _interpolate(pixels, points[:, *part], origin - (x0, y0), self._sampling, made[part])
        return made


def _parts(shape: tuple[int, ...], side: int) -> Iterator[tuple[slice, slice]]:
    """A rectangle's parts of at most `side` px a side."""
    for y0, y1 in spans(shape[0], side):
        for x0, x1 in spans(shape[1], side):
            yield slice(y0, y1), slice(x0, x1)


def _reach(points: NDArray[np.float32]) -> NDArray[np.intp]:
    """First and end of the px that are sampled at points [2, h, w], of x and of y."""
    ends = [(np.floor(plane.min()) - REACH + 1, np.floor(plane.max()) + REACH) for plane in points]
    return np.array(ends).astype(np.intp)


def _interpolate(
    pixels: Pixels,
    points: NDArray[np.float32],
    origin: NDArray[np.intp],
    sampling: Sampling,
    made: Pixels,
) -> None:
    """Write the pixels [h, w, c] at points [2, h, w] from an origin in them, as [h, w, c]."""
    (x0, x1), (y0, y1) = ends = _reach(points) + origin[:, None]
    grid = np.empty(points.shape, np.float32)
    for plane, out, (first, end), start in zip(points, grid, ends, origin, strict=True):
        half = (end - first - 1) / 2  # the middles of the first and the last pixel are -1 and 1
        np.subtract(plane, np.float32(first + half - start), out=out)
        out *= np.float32(1 / half)
    where = torch.from_numpy(grid).permute(1, 2, 0)[None]  # [1, h, w, 2]
    seen = torch.from_numpy(pixels[y0:y1, x0:x1])
    mode = "bicubic" if sampling == "cubic" else "bilinear"
    # All points lie inside, so nothing is read outside of the pixels.
    planes = seen.float().permute(2, 0, 1)[None]
    values = grid_sample(planes, where, mode, "zeros", align_corners=True)[0]
    if pixels.dtype.kind == "u":
        values = values.round_().clamp_(0, np.iinfo(pixels.dtype).max)
    for number, plane in enumerate(values.to(seen.dtype).numpy()):
        made[..., number] = plane


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


def _to_pixels(transform: Transform, source: SlideView) -> Transform:
    """A transform that leads on to px of a view, counted from the first one's centre."""
    x, y = source.width / transform.moving.width, source.height / transform.moving.height
    last = Matrix(np.array([[x, 0, -0.5], [0, y, -0.5], [0, 0, 1.0]]))
    return replace(transform, steps=(*transform.steps, last))


def _with_background(source: SlideView, x: int, y: int, w: int, h: int) -> Pixels:
    """A rectangle that may reach outside of the source."""
    info = source.info
    level = SlideInfo(
        info.path, "virtual", "", (Level(source.width, source.height, 1.0),),
        background=info.background, bits=info.bits, channels=info.channels,
    )  # fmt: skip
    read: Callable[[int, int, int, int], Pixels] = source.read
    return read_padded(level, (x, y, w, h), 0, read)
