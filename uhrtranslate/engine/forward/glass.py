"""Bare glass that becomes white, whatever a generator paints there.

Instance norm takes a patch's brightness away, so many generators cannot tell bare glass from pale
tissue; the pixels of the source can.
"""

import torch.nn.functional as F
from torch import Tensor

# Grey levels of the source's darkest channel: above the first it is partly bare glass, above the
# second altogether. Glass of bright-field scans lies at 224 to 250.
_LEVELS = (212, 224)
# How far a pixel's result depends on the source, in px: twice the radius of what must be bright.
GLASS_REACH = 6


def whiten_glass(x: Tensor, y: Tensor, value_range: tuple[float, float]) -> Tensor:
    """A result, white where the source is bare glass; where it is nearly that, in part.

    Glass is bright all over an octagon of 7 px (a grey opening of the darkest channel), so the
    bright specks of pale tissue are none.

    Args:
        x: the source, [n, 1 or 3, h, w] float32, grey or RGB in the value range.
        y: what a generator made of it, [n, c, h, w] in the value range.
        value_range: black and white.

    Returns: [n, c, h, w].
    """
    black, white = value_range
    low, high = (black + level / 255 * (white - black) for level in _LEVELS)
    darkest = x.amin(dim=1, keepdim=True)
    share = ((_widened(-_widened(-darkest)) - low) / (high - low)).clamp(0, 1)
    share = share * share * (3 - 2 * share)  # no edge where glass begins
    return y + (white - y) * share


def _widened(x: Tensor) -> Tensor:
    """The largest value within an octagon around each pixel, [n, 1, h, w]: 5 x 5 px and 1 more."""
    x = F.max_pool2d(x, 5, 1, 2)
    return F.max_pool2d(x, (3, 1), 1, (1, 0)).maximum(F.max_pool2d(x, (1, 3), 1, (0, 1)))
