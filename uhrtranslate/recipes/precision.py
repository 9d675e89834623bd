"""Choice of a reduced precision whose effect on a translation is invisible."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from uhrtranslate.engine import DTYPES, GeneratorRunner, fast_precisions
from uhrtranslate.errors import UhrError
from uhrtranslate.geometry import reflect
from uhrtranslate.io import Pixels, SlideView

# Largest mean difference from float32 results, in grey levels.
TOLERANCE = 1.0
# Places along each axis to search for a part with contrast.
_PLACES = 4


def choose_precision(
    runner: GeneratorRunner, view: SlideView, side: int, inputs: Callable[[Pixels], Pixels]
) -> tuple[str, float]:
    """The fastest precision of a device whose results stay close to those of float32.

    A probe of `side` px is translated in each; `inputs` makes the generator's input of it. Which
    precisions are fast follows from the device and is not timed, so a resumed run makes the same
    choice again.

    Returns:
        "bf16", "fp16" or "fp32", and the mean absolute difference from float32 in grey levels.
    """
    x = runner.to_input([inputs(probe(view, side))])
    reference = _pixels(runner, torch.float32, x)
    for name in fast_precisions(runner.device):
        try:
            found = _pixels(runner, DTYPES[name], x)
        except UhrError:  # values that are not finite
            continue
        difference = float(np.abs(found - reference).mean())
        if difference < TOLERANCE:
            return name, difference
    return "fp32", 0.0


def probe(view: SlideView, side: int) -> Pixels:
    """The part with the most contrast among several on a grid, [side, side, 3].

    A smaller image is continued by reflection.
    """
    w, h = min(side, view.width), min(side, view.height)
    corners = [
        (round((view.width - w) * i / (_PLACES - 1)), round((view.height - h) * j / (_PLACES - 1)))
        for i in range(_PLACES)
        for j in range(_PLACES)
    ]
    parts = (view.read(x, y, w, h) for x, y in sorted(set(corners)))
    best = max(parts, key=lambda part: float(part.std(axis=(0, 1), dtype=np.float32).sum()))
    return best[reflect(0, side, h)[:, None], reflect(0, side, w)]


def _pixels(runner: GeneratorRunner, dtype: torch.dtype, x: torch.Tensor) -> NDArray[np.int64]:
    with runner.at(dtype):
        (pixels,) = runner.to_pixels(runner.plain(x))
    return pixels.astype(np.int64)
