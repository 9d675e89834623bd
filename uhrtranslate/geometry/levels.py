"""Pyramid levels: their sizes, their downsamples, and which level to read from."""

import math
from collections.abc import Sequence

Size = tuple[int, int]

# A level this close to the requested mpp is used as it is: scanners state mpp to about two digits,
# and resampling by less than a percent loses sharpness for nothing.
MPP_TOLERANCE = 0.01


def pyramid_sizes(width: int, height: int, smallest: int) -> list[Size]:
    """(width, height) of each level in px, level 0 first.

    Sides are halved until the larger one is at most `smallest` px. Halving rounds up, so that every
    pixel of a level lies in the next one.
    """
    sizes = [(width, height)]
    while max(sizes[-1]) > smallest:
        width, height = -(-width // 2), -(-height // 2)
        sizes.append((width, height))
    return sizes


def level_downsample(base: Size, size: Size) -> float:
    """Factor, at least 1, by which a level of (width, height) `size` is smaller than level 0.

    Sizes are rounded to whole pixels, so their ratio is slightly off: 2967 px halved twice is 742
    px, a ratio of 3.9987. If a power of two, or otherwise a whole number, explains the sizes to
    within a pixel, it is the result; otherwise the mean ratio of both axes is.
    """
    ratio = (base[0] / size[0] + base[1] / size[1]) / 2
    if ratio <= 1:
        return 1.0
    for factor in (2 ** round(math.log2(ratio)), round(ratio)):
        if all(abs(whole / factor - part) < 1 for whole, part in zip(base, size, strict=True)):
            return float(factor)
    return ratio


def level_for_mpp(
    mpp: tuple[float, float], downsamples: Sequence[float], wanted: float
) -> int | None:
    """Index of the coarsest level that is at least as fine as the wanted mpp.

    Args:
        mpp: micrometres per pixel of level 0, x and y.
        downsamples: of each level, level 0 first.
        wanted: micrometres per pixel of both axes, within `MPP_TOLERANCE`.

    Returns:
        The index; None if even level 0 is coarser.
    """
    limit = wanted * (1 + MPP_TOLERANCE)
    fine = [i for i, factor in enumerate(downsamples) if max(mpp) * factor <= limit]
    return max(fine, key=lambda i: downsamples[i], default=None)


def same_mpp(mpp: tuple[float, float], wanted: float) -> bool:
    """Whether an mpp is the wanted one on both axes, within `MPP_TOLERANCE`."""
    return all(abs(value / wanted - 1) <= MPP_TOLERANCE for value in mpp)


def level_for_size(base: Size, downsamples: Sequence[float], region: Size, wanted: Size) -> int:
    """Index of the coarsest level at which a region still has the wanted size on both axes.

    Args:
        base: (width, height) of level 0; a region is never larger.
        downsamples: of each level, level 0 first.
        region: (width, height) in level-0 px.
        wanted: (width, height) in px.

    Returns:
        The index; 0 if even level 0 is too small.
    """
    shrink = min(min(r, b) / w for r, b, w in zip(region, base, wanted, strict=True))
    enough = [i for i, factor in enumerate(downsamples) if factor <= shrink]
    return max(enough, key=lambda i: downsamples[i], default=0)


def to_level(start: float, size: float, downsample: float, limit: int) -> tuple[int, int]:
    """A span of level-0 px inside the image, in whole pixels of a level with `limit` px.

    Returns:
        First pixel and number of pixels (at least 1), inside the level.
    """
    first = min(round(start / downsample), limit - 1)
    end = min(max(round((start + size) / downsample), first + 1), limit)
    return first, end - first
