"""Images and generators that the bench_*.py scripts run on, in place of your own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import skimage.data

from uhrtranslate.io import OutputSpec, open_writer


def stained(width: int, height: int, section: np.ndarray | None = None) -> np.ndarray:
    """A real stained section, or another picture, repeated; [height, width, 3] uint8."""
    section = skimage.data.immunohistochemistry() if section is None else section
    rows, columns = section.shape[:2]
    tiled = np.tile(section, (-(-height // rows), -(-width // columns), 1))
    return np.ascontiguousarray(tiled[:height, :width])


def write(
    path: Path, side: int, read: Callable[[int, int, int, int], np.ndarray], **spec: object
) -> None:
    """Write a square image, 512 rows at a time.

    Args:
        path: where to; its ending gives the format.
        side: px.
        read: pixels at x, y of w x h px, as [h, w, 3] uint8.
        spec: further fields of `OutputSpec`.
    """
    with open_writer(path, OutputSpec(side, side, **spec)) as writer:
        for y in range(0, side, 512):
            rows = min(512, side - y)
            writer.write(0, y, read(0, y, side, rows))
            writer.reached(y + rows)


def resnet(name: str, cell: int, ngf: int = 64, blocks: int = 9, halo: int | None = None):
    """A ResNet generator, as of CycleGAN and CUT, with random weights: always the same."""
    # Here, as scripts that measure memory without torch must not load it.
    import torch

    from uhrtranslate.models import Generator, GeneratorInfo, ResnetGenerator

    torch.manual_seed(0)
    info = GeneratorInfo("resnet", stride=4, cell=cell, halo=halo)
    return Generator(ResnetGenerator(ngf=ngf, n_blocks=blocks), info, name, "0" * 64)
