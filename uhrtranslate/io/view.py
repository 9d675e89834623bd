"""Views: what an engine works on, a slide or a region of it at one resolution."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from uhrtranslate.errors import OptionError
from uhrtranslate.geometry.levels import level_for_mpp, level_for_size, same_mpp, to_level
from uhrtranslate.io.resample import BLOCK, Resampled
from uhrtranslate.io.slide import Slide, SlideInfo
from uhrtranslate.pixels import Pixels

Region = tuple[int, int, int, int]

# Rows that are read together: enough to be efficient, few enough to fit in memory at any width.
MIN_STRIP = 256
MAX_STRIP = 2048


@dataclass(frozen=True, eq=False)
class SlideView:
    """A region of a slide at one resolution.

    Attributes:
        slide: where pixels come from.
        level: the level that is read.
        region: x, y, w, h in level-0 px.
        width, height: size of the view in px.
        mpp: micrometres per pixel of the view, x and y.
        strip_height: rows to read together for speed.
        pixels: reads x, y, w, h inside the view; used by `read`.
    """

    slide: Slide
    level: int
    region: Region
    width: int
    height: int
    mpp: tuple[float, float] | None
    strip_height: int
    pixels: Callable[[int, int, int, int], Pixels] = field(repr=False)

    @property
    def info(self) -> SlideInfo:
        """The facts of the slide."""
        return self.slide.info

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the pixels, which is the slide's."""
        return self.info.dtype

    @property
    def samples(self) -> int:
        """Samples of a pixel, as the slide's."""
        return self.info.samples

    def read(self, x: int, y: int, w: int, h: int) -> Pixels:
        """Read a rectangle inside the view, in px of the view; safe from several threads.

        A pixel's value does not depend on the rectangle it is read in.

        Returns:
            [h, w, samples] of `dtype`; a copy.

        Raises:
            ValueError: the rectangle is empty or not inside the view.
            InputError: the file is damaged.
        """
        if min(x, y) < 0 or min(w, h) < 1 or x + w > self.width or y + h > self.height:
            raise ValueError(f"{(x, y, w, h)} is not inside {self.width} x {self.height} px")
        return self.pixels(x, y, w, h)


def open_view(
    slide: Slide,
    level: int | None = None,
    mpp: float | None = None,
    region: Region | None = None,
) -> SlideView:
    """Choose a region and a resolution of a slide.

    Args:
        slide: must stay open while the view is used.
        level: the level to read; None for 0.
        mpp: micrometres per pixel of both axes. A level within one percent of it is used as it is;
            otherwise the next finer level is resampled.
        region: x, y, w, h in level-0 px, inside the image; None for the whole image.

    Raises:
        OptionError: there is no such level; the region is not inside the image; both level and mpp
            are given; the slide has no mpp, or is coarser than the requested mpp.
    """
    box = _checked(slide.info, region)
    if mpp is None:
        return _level_view(slide, _checked_level(slide.info, level or 0), box)
    if level is not None:
        raise OptionError("level and mpp exclude each other; give only one of them.")
    return _mpp_view(slide, mpp, box)


def resized(view: SlideView, width: int, height: int) -> SlideView:
    """A view's region at another size in px (at least 1), whatever the view's own resolution.

    It is antialiased, and made from the coarsest level that suffices.
    """
    info = view.info
    downsamples = [level.downsample for level in info.levels]
    base = (info.width, info.height)
    level = level_for_size(base, downsamples, view.region[2:], (width, height))
    return _resampled(view.slide, level, view.region, width, height)


def same_size(view: SlideView, width: int, height: int) -> SlideView:
    """The view itself if it has this size in px; else see `resized`."""
    same = (view.width, view.height) == (width, height)
    return view if same else resized(view, width, height)


def _checked(info: SlideInfo, region: Region | None) -> Region:
    if region is None:
        return 0, 0, info.width, info.height
    x, y, w, h = region
    if min(x, y) < 0 or min(w, h) < 1 or x + w > info.width or y + h > info.height:
        raise OptionError(
            f"region {x},{y},{w},{h} is not inside {info.path}, which has "
            f"{info.width} x {info.height} px; give X,Y,W,H in level-0 pixels."
        )
    return region


def _checked_level(info: SlideInfo, level: int) -> int:
    last = len(info.levels) - 1
    if 0 <= level <= last:
        return level
    has = "only level 0" if last == 0 else f"levels 0 to {last}"
    raise OptionError(f"level {level} is not in {info.path}, which has {has}; give one of these.")


def _level_view(slide: Slide, level: int, region: Region) -> SlideView:
    size = slide.info.levels[level]
    x0, width = to_level(region[0], region[2], size.downsample, size.width)
    y0, height = to_level(region[1], region[3], size.downsample, size.height)
    mpp = slide.info.mpp
    return SlideView(
        slide,
        level,
        region,
        width,
        height,
        mpp and (mpp[0] * size.downsample, mpp[1] * size.downsample),
        _strip_height(slide.tile_size(level)[1]),
        lambda x, y, w, h: slide.read(x0 + x, y0 + y, w, h, level),
    )


def _strip_height(tile_height: int) -> int:
    """A multiple of the tile height, unless tiles are very high."""
    strip = -(-MIN_STRIP // tile_height) * tile_height
    return strip if strip <= MAX_STRIP else MIN_STRIP


def _mpp_view(slide: Slide, mpp: float, region: Region) -> SlideView:
    info = slide.info
    if info.mpp is None:
        raise OptionError(
            f"{info.path}: does not say its mpp; state it with --source-mpp F or --source-power "
            "20|40 (of a training: data.source_mpp), or choose a level instead."
        )
    level = level_for_mpp(info.mpp, [level.downsample for level in info.levels], mpp)
    if level is None:
        raise OptionError(
            f"mpp {mpp:g} is finer than {info.path}, whose level 0 has {max(info.mpp):.4g}; "
            "choose that or more."
        )
    view = _level_view(slide, level, region)
    if view.mpp is not None and same_mpp(view.mpp, mpp):
        return view
    size = [max(round(region[2 + i] * info.mpp[i] / mpp), 1) for i in (0, 1)]
    return _resampled(slide, level, region, *size)


def _resampled(slide: Slide, level: int, region: Region, width: int, height: int) -> SlideView:
    info = slide.info
    size = info.levels[level]
    x, w = _exact_span(region[0], region[2], size.downsample, size.width, info.width)
    y, h = _exact_span(region[1], region[3], size.downsample, size.height, info.height)
    mpp = None
    if info.mpp is not None:
        mpp = info.mpp[0] * region[2] / width, info.mpp[1] * region[3] / height
    pixels = Resampled(slide, level, (x, y, w, h), width, height)
    return SlideView(slide, level, region, width, height, mpp, BLOCK, pixels)


def _exact_span(
    start: float, size: float, downsample: float, limit: int, whole: int
) -> tuple[float, float]:
    """A span of level-0 px in px of a level; the whole image is exactly the whole level."""
    first = min(start / downsample, limit - 1)
    end = limit if start + size == whole else min((start + size) / downsample, limit)
    return first, max(end - first, 1e-3)
