"""Changes of patches that a generator should not care about. Arrays in, arrays out."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.pixels import Pixels
from uhrtranslate.training.options import DrawOptions

Floats = NDArray[np.float32]


def draw_turn(options: DrawOptions, random: np.random.Generator) -> Callable[[Pixels], Pixels]:
    """A way to mirror and turn patches that the options allow; partners of a pair share it.

    Returns: takes [h, w, 3], and gives the same or [w, h, 3]: mirrored left to right, then turned.
    """
    flip = options.flip and random.random() < 0.5
    quarters = int(random.integers(4)) if options.rotate else 0
    return lambda pixels: np.rot90(pixels[:, ::-1] if flip else pixels, quarters)


def as_floats(pixels: Pixels) -> Floats:
    """[h, w, c] uint8 to [c, h, w] float32 in -1..1."""
    scaled = pixels.transpose(2, 0, 1).astype(np.float32) / 127.5 - 1
    return np.ascontiguousarray(scaled, np.float32)


def jitter(x: Floats, amount: float, random: np.random.Generator) -> Floats:
    """Change the gain and offset of each channel, as another scanner or exposure would.

    Args:
        x: [3, h, w] in -1..1.
        amount: greatest change of the gain; of the offset, half of it.
        random: draws them.

    Returns: the same shape and range.
    """
    if amount == 0:
        return x
    gain = 1 + amount * random.uniform(-1, 1, (3, 1, 1))
    offset = amount / 2 * random.uniform(-1, 1, (3, 1, 1))
    return np.asarray(np.clip(x * gain + offset, -1, 1), np.float32)
