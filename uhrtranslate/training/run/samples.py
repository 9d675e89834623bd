"""Pictures of how far a training is: the same patches each time."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from uhrtranslate.io import Pixels
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.replace import replacing
from uhrtranslate.training.data.patches import Patches

# Samples of a training have smaller numbers than these.
FIRST = 1 << 40
COUNT = 4
GAP = 4


def draw_samples(patches: Patches) -> tuple[Tensor, Tensor]:
    """Patches that no step sees as such, [4, 3, p, p] in -1..1 of A and of B."""
    pairs = [patches.sample(FIRST + i) for i in range(COUNT)]
    a, b = (torch.from_numpy(np.stack(side)) for side in zip(*pairs, strict=True))
    return a, b


@torch.no_grad()
def sample_grid(
    generators: dict[str, nn.Module], a: Tensor, b: Tensor, device: torch.device, paired: bool
) -> Pixels:
    """Rows of patches: A, its translation, B, and its translation or nothing.

    Args:
        generators: by direction; left in the mode that they are in.
        a, b: [n, 3, p, p] in -1..1.
        device: of the generators.
        paired: whether b is what the translations of a should be.

    Returns: [h, w, 3] uint8.
    """
    rows = []
    for direction, x in (("A2B", a), ("B2A", b)):
        if direction == "A2B" or direction in generators or paired:
            rows.append(_row(x))
        if direction in generators:
            generator = generators[direction]
            training = generator.training
            y = generator.eval()(x.to(device)).float().cpu()
            generator.train(training)
            rows.append(_row(y))
    return np.concatenate([part for row in rows for part in (row, row[:GAP] * 0 + 255)][:-1])


def write_picture(path: Path, pixels: Pixels) -> None:
    """Write a PNG whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            Image.fromarray(pixels).save(file, format="PNG")


def _row(x: Tensor) -> Pixels:
    pixels = ((x + 1) * 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    gap = np.full((x.shape[2], GAP, 3), 255, np.uint8)
    return np.concatenate([part for one in pixels for part in (one, gap)][:-1], axis=1)
