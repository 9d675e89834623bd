"""How large a tile may be. It depends on the generator and image, not on memory that is free now.

So the same job gives the same bytes on every machine with the same kind of device.
"""

import logging
import math
from collections.abc import Callable, Sequence
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import plain_instance_norm
from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.engine.forward.stages import STRIP_PIXELS
from uhrtranslate.enhance import channels_of
from uhrtranslate.errors import UhrError
from uhrtranslate.models.stages import stages_of

_log = logging.getLogger(__name__)
Item = TypeVar("Item")
Result = TypeVar("Result")

# Memory that decoded rows may take, and that they may take on a CPU with the features of a batch.
ROW_BYTES = 640 << 20
HOST_BYTES = 3 << 30
# Measured on ResNet generators: the largest feature map exists at most this many times at once (a
# padded copy, the convolution's input, output and workspace, the normalized copy); three times in
# eager forwards on a CPU.
ALIVE = 5
LARGEST_TILE = 2048
# Assumed of a program whose feature maps nobody sees: 64 channels at full size, as most networks.
OPAQUE_BYTES = 64 * 4
# Share of a GPU's memory that a batch may take.
SHARE = 0.5
LARGEST_BATCH = 16  # more tiles are not faster
# Torch's reflection padding on a GPU numbers the values of a feature map in 32 bits, and refuses
# larger ones; the margin is for what padding adds.
MOST_VALUES = int(0.98 * 2**31)
# glibc requests larger blocks from the system each time, and touching new pages costs a small
# generator as much time as its convolutions (measured: half of all CPU time, ngf 16).
REUSED_BLOCK_BYTES = 32 << 20


def bytes_per_pixel(runner: GeneratorRunner, parts: Sequence[nn.Module] = ()) -> int:
    """Size of the generator's largest feature map in bytes per input px, in float32.

    Args:
        runner: the generator.
        parts: only maps of these parts of it count; none: all.
    """
    if runner.info.opaque:
        return OPAQUE_BYTES
    largest = 0

    def note(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel() * 4)

    within = chain.from_iterable(part.modules() for part in parts or [runner.module])
    leaves = [module for module in within if not list(module.children())]
    hooks = [leaf.register_forward_hook(note) for leaf in leaves]
    side = max(64, 2 * runner.info.stride)
    try:
        runner.forward(
            torch.zeros(1, runner.info.in_channels, side, side, device=runner.device),
            plain_instance_norm,
        )
    finally:
        for hook in hooks:
            hook.remove()
    return max(1, largest // side**2)


def memory_needed(runner: GeneratorRunner, pixels: int) -> int:
    """Approximate bytes that a forward of this many px takes for its features."""
    return ALIVE * bytes_per_pixel(runner) * pixels


def tile_memory(runner: GeneratorRunner, largest: int) -> Callable[[int], int]:
    """How many bytes a tile of a number of px takes for its features, approximately.

    If the generator is computed stage by stage, only the small maps are those of the whole tile.

    Args:
        runner: the generator.
        largest: its `bytes_per_pixel`.
    """
    if not runner.stages:
        return lambda pixels: ALIVE * largest * pixels
    small = [stage.module for stage in stages_of(runner.module) if not stage.large]
    inner = bytes_per_pixel(runner, small)
    return lambda pixels: ALIVE * (largest * min(pixels, STRIP_PIXELS) + inner * pixels)


def choose_tile(
    runner: GeneratorRunner, halo: int, cell: int, width: int, batch: int, depth: int = 1
) -> int:
    """Side of a tile's core in px: as large as memory allows, to make the halo's share small.

    Args:
        runner: the generator.
        halo: px around each tile.
        cell: side of the statistics cells in px.
        width: px of the image; the wider it is, the fewer rows can be kept.
        batch: tiles that are computed together.
        depth: bytes of the image's samples.

    Returns:
        A multiple of the stride, at most 2048.
    """
    stride = runner.info.stride
    step = -(-128 // stride) * stride
    # Rows are kept as the image has them: planes that are made of colours are made later.
    samples = depth * (3 if channels_of(runner.info.inputs) else runner.info.in_channels)
    per_pixel = bytes_per_pixel(runner)
    needed = tile_memory(runner, per_pixel)
    on_gpu = runner.device.type == "cuda"
    largest = LARGEST_TILE
    if not on_gpu:
        reused = math.isqrt(REUSED_BLOCK_BYTES // (batch * per_pixel)) - 2 * halo
        # Not if the halo's share would cost more than this saves.
        if reused >= 8 * halo:
            largest = min(largest, reused)

    def fits(side: int) -> bool:
        features = batch * needed((side + 2 * halo) ** 2)
        # A tile's fields reach into cells that begin up to two rows of cells below it. Rows are
        # kept for these anyway, so tiles lower than a cell would save little.
        rows = samples * width * (side + 2 * halo + 2 * cell) if side > cell else 0
        room = _gpu_bytes(runner.device) if on_gpu else HOST_BYTES - rows
        return rows <= ROW_BYTES and features <= room

    return max(filter(fits, range(step, largest + 1, step)), default=step)


def choose_batch(runner: GeneratorRunner, side: int) -> int:
    """Number of tiles, with this side in px (halo included), that are computed together.

    It is 1 on a CPU, where more are not faster, and as many as fit on a GPU.
    """
    if runner.device.type != "cuda":
        return 1
    fitting = _gpu_bytes(runner.device) // memory_needed(runner, side**2)
    return max(1, min(fitting, LARGEST_BATCH))


def _gpu_bytes(device: torch.device) -> int:
    """Memory for the features of one batch: a share of the GPU's total, whatever is free."""
    total = torch.cuda.get_device_properties(device).total_memory
    return min(int(total * SHARE), 4 * ALIVE * MOST_VALUES)


def in_parts(items: Sequence[Item], work: Callable[[Sequence[Item]], list[Result]]) -> list[Result]:
    """Do work on a batch, or on its halves if it is too large for memory or for torch.

    Raises:
        UhrError: there is not even enough for one item.
    """
    try:
        return work(items)
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and "32-bit index" not in str(error):
            raise
        if len(items) == 1:
            raise UhrError(
                "a tile does not fit in the device's memory; choose a smaller --tile, or "
                "--precision bf16."
            ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    half = len(items) // 2
    _log.warning("a batch of %d did not fit in memory; going on with %d", len(items), half)
    return [*in_parts(items[:half], work), *in_parts(items[half:], work)]
