"""How large a tile may be: decided by generator and image, never by what happens to be free.

So the same job gives the same bytes on every machine with the same kind of device.
"""

import math

import torch
from torch import Tensor, nn

from uhrtranslate.engine.runner import GeneratorRunner

# Memory that the features of one batch of tiles may take, and that decoded rows may take.
FEATURE_BYTES = 3 << 30
ROW_BYTES = 160 << 20
# Measured on ResNet generators: the largest feature map is alive about this often at once (a
# padded copy, the convolution's input, output and workspace, the normalized copy).
ALIVE = 5
LARGEST_TILE = 2048
# glibc takes larger blocks from the system anew each time, and touching fresh pages costs a small
# generator as much time as its convolutions (measured: half of all CPU time, ngf 16).
REUSED_BLOCK_BYTES = 32 << 20


def bytes_per_pixel(runner: GeneratorRunner) -> int:
    """Size of the generator's largest feature map in bytes per input px, in float32."""
    largest = 0

    def note(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() * 4)

    leaves = [module for module in runner.module.modules() if not list(module.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    side = max(64, 2 * runner.info.stride)
    try:
        runner.forward(torch.zeros(1, runner.info.in_channels, side, side, device=runner.device))
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, largest // side**2)


def choose_tile(runner: GeneratorRunner, halo: int, cell: int, width: int, batch: int) -> int:
    """Side of a tile's core in px: as large as memory allows, for the halo's share falls with it.

    Args:
        runner: the generator.
        halo: px around each tile.
        cell: side of the statistics cells in px.
        width: of the image in px; the wider, the fewer rows can be kept.
        batch: tiles that are computed together.

    Returns:
        A multiple of the stride, at most 2048.
    """
    step = math.lcm(128, runner.info.stride)
    per_pixel = batch * bytes_per_pixel(runner)
    side = math.isqrt(FEATURE_BYTES // (ALIVE * per_pixel)) - 2 * halo
    if runner.device.type == "cpu":
        reused = math.isqrt(REUSED_BLOCK_BYTES // per_pixel) - 2 * halo
        # Unless the halo's share would cost more than is saved.
        side = reused if reused >= 8 * halo else side
    rows = ROW_BYTES // (3 * width) - 2 * halo - cell
    side = min(side, max(rows, cell), LARGEST_TILE)
    return max(side // step, 1) * step
