"""Bare glass that becomes white, whatever a generator paints there.

Instance norm takes a patch's brightness away, so many generators cannot tell bare glass from pale
tissue; the pixels of the source can.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from uhrtranslate.geometry import Box, CellGrid, CellMask, cut_band
from uhrtranslate.pixels import Pixels

# Grey levels of the source's darkest channel: above the first it is partly bare glass, above the
# second altogether. Glass of bright-field scans lies at 224 to 250.
_LEVELS = (212, 224)
# How far a pixel's result depends on the source, in px: the opening reaches 6 px, the mean 2 more.
GLASS_REACH = 8
# Side in px of the blocks by which what is all glass is cut off.
_BLOCK = 64


def whiten_glass(x: Tensor, y: Tensor, value_range: tuple[float, float]) -> Tensor:
    """A result, white where the source is bare glass; where it is nearly that, in part.

    Args:
        x: the source; see `glass_share`.
        y: what a generator made of it, [n, c, h, w] in the value range.
        value_range: black and white.

    Returns: [n, c, h, w].
    """
    return whitened(y, glass_share(x, value_range), value_range[1])


def whitened(y: Tensor, share: Tensor, white: float) -> Tensor:
    """A result [n, c, h, w], white by a share [n, 1, h, w] of 0 to 1."""
    return y + (white - y) * share


def glass_share(x: Tensor, value_range: tuple[float, float]) -> Tensor:
    """How far each pixel of a source is bare glass, from 0 to 1.

    Glass is bright all over an octagon of 7 px (a grey opening of the darkest channel), so the
    bright specks of pale tissue are none. Its edge is soft, and no dark pixel becomes paler.
    A bright pixel more than 4 px from any that is not is white for certain.

    Args:
        x: the source, [n, 1 or 3, h, w] float32, grey or RGB in the value range.
        value_range: black and white.

    Returns: [n, 1, h, w].
    """
    black, white = value_range
    low, high = (black + level / 255 * (white - black) for level in _LEVELS)
    own = ((x.amin(dim=1, keepdim=True) - low) / (high - low)).clamp(0, 1)
    own = own * own * (3 - 2 * own)
    opened = _widened(-_widened(-own))
    soft = F.avg_pool2d(opened, 5, 1, 2, count_include_pad=False)
    return own.minimum(soft)


def is_all_glass(pixels: Pixels) -> bool:
    """Whether pixels are so bright all over that `glass_share` of them is 1 all over.

    Args:
        pixels: [h, w, 1 or 3], uint8 or float32 in 0..1.
    """
    least = _LEVELS[1] + 1  # so that no rounding decides
    return bool(pixels.min() >= (least if pixels.dtype == np.uint8 else least / 255))


def box_of_stain(share: Tensor) -> Box | None:
    """The smallest part of some pictures outside of which all are glass; None: all of them is.

    Args:
        share: [n, 1, h, w], as `glass_share` gives it.
    """
    stained = (share < 1).amax(dim=(0, 1))
    rows, cols = (stained.amax(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    if not len(rows):
        return None
    (top, bottom), (left, right) = ((int(ends[0]), int(ends[-1]) + 1) for ends in (rows, cols))
    return Box(left, top, right - left, bottom - top)


def boxes_of_stain(share: Tensor, halo: int) -> list[Box]:
    """Parts of some pictures outside of which all are glass: as few px as straight cuts achieve.

    Args:
        share: [n, 1, h, w], as `glass_share` gives it.
        halo: px that are computed in addition around each part.
    """
    height, width = share.shape[-2:]
    stained = (share < 1).amax(dim=0, keepdim=True).float()
    kept = F.max_pool2d(stained, _BLOCK, ceil_mode=True)[0, 0] > 0
    blocks = CellMask(CellGrid(width, height, _BLOCK), kept.numpy())
    boxes = []
    for box, computed in cut_band(blocks, Box(0, 0, width, height), 0, halo):
        within = box_of_stain(share[..., *box.slices]) if computed else None
        if within is not None:
            boxes.append(Box(box.x + within.x, box.y + within.y, within.w, within.h))
    return boxes


def _widened(x: Tensor) -> Tensor:
    """The largest value within an octagon around each pixel, [n, 1, h, w]: 5 x 5 px and 1 more."""
    x = _largest(_largest(x, 2, -1), 2, -2)
    return _largest(x, 1, -1).maximum(_largest(x, 1, -2))


def _largest(x: Tensor, reach: int, axis: int) -> Tensor:
    """The largest of each value and as many as reach on both sides along an axis, [n, 1, h, w].

    By maxima of 2, 4, ... values; torch's max_pool2d takes several times as long on a CPU.
    """
    x = F.pad(x, (reach, reach) if axis == -1 else (0, 0, reach, reach), value=-torch.inf)
    size, wanted = 1, 2 * reach + 1
    rest = () if axis == -1 else (slice(None),)
    while size < wanted:
        step = min(size, wanted - size)
        x = x[..., :-step, *rest].maximum(x[..., step:, *rest])
        size += step
    return x
