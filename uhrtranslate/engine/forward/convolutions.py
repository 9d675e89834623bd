"""Faster convolutions in float32 on a CPU, for compiled forwards.

A generator spends most of its time on 3x3 convolutions of many channels, for which minimal
filtering needs a quarter of the multiplications (see `winograd`), and on a last one from many
channels to three, which oneDNN computes as if it had sixteen outputs.
"""

import copy
from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.engine.forward.winograd import available, winograd_conv2d

# With fewer channels, the matrix products of minimal filtering are too small to be faster.
MANY_CHANNELS = 32
# Output channels that oneDNN computes at once, however few are needed.
LANES = 16


def rewritten(module: nn.Module, shared: Sequence[object] = ()) -> nn.Module:
    """The same function of the same weights, with convolutions that are faster when compiled.

    Args:
        module: not changed.
        shared: objects in the module that the result shares with it, as it does the weights.

    Returns:
        A copy of the module's structure, or the module itself if there is nothing to gain.
    """
    if not any(isinstance(part, nn.Conv2d) and _faster(part) for part in module.modules()):
        return module
    common = chain(module.parameters(), module.buffers(), shared)
    twin = copy.deepcopy(module, {id(part): part for part in common})
    for parent in list(twin.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d) and (kind := _faster(child)):
                setattr(parent, name, kind(child))
    return twin


class FastConv2d(nn.Module):
    """`nn.Conv2d` without stride, computed differently in float32 but not under autocast."""

    def __init__(self, original: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = original.weight, original.bias
        self.padding: Any = original.padding

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, k, h', w']."""
        if torch.is_autocast_enabled("cpu"):
            return F.conv2d(x, self.weight, self.bias, padding=self.padding)
        above, beside = self.padding
        padded = F.pad(x, (beside, beside, above, above)) if above or beside else x
        # Because it is stated here, the pass that computes x already writes this layout.
        return self.convolve(padded.contiguous(memory_format=torch.channels_last))

    def convolve(self, x: Tensor) -> Tensor:
        """Convolve input that is padded already."""
        raise NotImplementedError


class WinogradConv2d(FastConv2d):
    """3x3, from many channels to many."""

    def convolve(self, x: Tensor) -> Tensor:
        """See `FastConv2d`."""
        y: Tensor = winograd_conv2d(x, self.weight, self.bias)
        return y


class ThinConv2d(FastConv2d):
    """From many channels to few: each row of the filter is convolved alone, and all are added."""

    def convolve(self, x: Tensor) -> Tensor:
        """See `FastConv2d`."""
        k, c, high, wide = self.weight.shape
        rows = F.conv2d(x, self.weight.permute(2, 0, 1, 3).reshape(high * k, c, 1, wide))
        h = x.shape[-2] - high + 1
        y = rows[:, :k, :h]
        for row in range(1, high):
            y = y + rows[:, row * k : (row + 1) * k, row : row + h]
        return y if self.bias is None else y + self.bias[:, None, None]


def _faster(module: nn.Conv2d) -> type[FastConv2d] | None:
    if not (
        type(module) is nn.Conv2d  # not a subclass
        and module.stride == module.dilation == (1, 1)
        and module.groups == 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.in_channels >= MANY_CHANNELS
        and module.weight.dtype == torch.float32
        and module.weight.device.type == "cpu"
    ):
        return None
    if module.out_channels >= MANY_CHANNELS and module.kernel_size == (3, 3) and available():
        return WinogradConv2d
    few = module.out_channels < LANES < module.out_channels * module.kernel_size[0]
    return ThinConv2d if few else None
