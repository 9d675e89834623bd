"""Pictures of a training's progress, always of the same patches."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from uhrtranslate.io import Pixels
from uhrtranslate.training.data.batches import stacked
from uhrtranslate.training.data.patches import Patches

GAP = 4


def draw_samples(patches: Patches) -> dict[str, Tensor]:
    """Patches that no step draws, [n, 3, p, p] in -1..1 by domain."""
    return stacked(patches.examples())


def sample_grid(rows: Sequence[Tensor]) -> Pixels:
    """Rows of images as one picture, [h, w, 3] uint8.

    Args:
        rows: [n, 3, p, p] in -1..1 each.
    """
    drawn = [_row(row.float().cpu()) for row in rows]
    return np.concatenate([part for row in drawn for part in (row, row[:GAP] * 0 + 255)][:-1])


def _row(x: Tensor) -> Pixels:
    pixels = ((x + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    gap = np.full((x.shape[2], GAP, 3), 255, np.uint8)
    return np.concatenate([part for one in pixels for part in (one, gap)][:-1], axis=1)
