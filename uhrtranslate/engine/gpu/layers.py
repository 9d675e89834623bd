"""Layers of a GPU's kernels, in place of those of a generator; they share its weights."""

import copy
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.engine.forward.layers import SwitchedNorm2d
from uhrtranslate.engine.gpu import operations
from uhrtranslate.engine.native.layers import NativeNorm2d, NativeSwitch, as_read
from uhrtranslate.engine.native.operations import Finish, Kernels

Pads = tuple[int, int, int, int]
"""Px on the left, right, above and below."""
# Channels that tensor cores compute at once, however few are needed.
EIGHT = 8
CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)


class GpuKernels(Kernels, Protocol):
    """What layers need of the kernels; see `gpu.operations`."""

    def sum_rows(self, x: Tensor, bias: Tensor | None, k: int, high: int) -> Tensor: ...  # noqa: D102


class GpuNorm2d(NativeNorm2d):
    """A norm layer, what follows it and the padding behind that, in one pass over memory.

    Attributes:
        shift: [c], or None: what is added to the input, a bias that a convolution left out.
    """

    def __init__(self, original: SwitchedNorm2d, switch: NativeSwitch) -> None:
        super().__init__(original, switch)
        self.shift: Tensor | None = None

    def forward(
        self,
        x: Tensor,
        slope: float = 1.0,
        added: Tensor | None = None,
        own: bool = False,
        pads: Pads = (0, 0, 0, 0),
        mode: str = "zeros",
    ) -> Tensor:
        """[n, c, h, w] to the same, normalized, then affine, then what follows, then padded.

        Args:
            x: input; sequences [n, c, length] are normalized as in training.
            slope: of the activation that follows; 1 for none.
            added: what is added in the end.
            own: whether the result may be written where x is.
            pads: what the result has on its left, right, above and below besides.
            mode: of the padding.
        """
        if x.ndim != 4:
            return F.group_norm(x, x.shape[1] // self.share, self.weight, self.bias, self.eps)
        if not operations.suits(x):  # of another type
            other = None if added is None else added.float()
            return self.forward(x.float(), slope, other, False, pads, mode).to(x.dtype)
        if added is not None and added.shape != x.shape:
            y = self.forward(x, slope, None, own) + added
            return F.pad(y, pads, "constant" if mode == "zeros" else mode) if any(pads) else y
        if added is not None and added.stride(1) != 1:
            added = operations.channels_last(added)
        same = operations.channels_last(x)
        left, right, above, below = pads
        if any(pads):
            out = operations.empty(same, x.shape[2] + above + below, x.shape[3] + left + right)
        else:
            out = same if own or same is not x else torch.empty_like(same)
        finish = Finish(
            as_read(self.weight), as_read(self.bias), slope, added, as_read(self.shift), pads, mode
        )
        switch = self.switch
        assert switch.action is not None
        call, switch.calls = switch.calls, switch.calls + 1
        with torch.autocast(x.device.type, enabled=False):
            return switch.action(call, same, self.eps, self.share, finish, out)


class BiasedConvolution(nn.Module):
    """A convolution whose bias is added by a kernel: torch's own adds numbers one by one."""

    def __init__(self, original: nn.Conv2d | nn.ConvTranspose2d, kernels: GpuKernels) -> None:
        super().__init__()
        self.convolution = without(original, bias=True)
        self.bias = original.bias
        self._kernels = kernels

    def forward(self, x: Tensor) -> Tensor:
        """See the convolution."""
        y = operations.channels_last(self.convolution(x))
        n, c = y.shape[:2]
        nothing, one = (y.new_full((n, c), value, dtype=torch.float32) for value in (0, 1))
        return self._kernels.normalize(y, nothing, one, Finish(shift=as_read(self.bias)), y)


class ThinConv2d(nn.Module):
    """A convolution without stride and padding, from many channels to few.

    Each row of the filter is convolved alone, and all are added up: the GPU computes at least
    eight outputs anyway, and a row takes a part of the multiplications. In half precision, what is
    added up would be rounded too much, so this is always done in float32.
    """

    def __init__(self, original: nn.Conv2d, kernels: GpuKernels) -> None:
        super().__init__()
        self.weight, self.bias = original.weight, original.bias
        self._kernels = kernels

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h + high - 1, w + wide - 1] to [n, k, h, w] float32."""
        k, c, high, wide = self.weight.shape
        with torch.autocast(x.device.type, enabled=False):
            filters = self.weight.float().permute(2, 0, 1, 3).reshape(high * k, c, 1, wide)
            more = -len(filters) % EIGHT
            filters = F.pad(filters, (0, 0) * 3 + (0, more))
            rows = F.conv2d(x.float(), filters.contiguous(memory_format=torch.channels_last))
            return self._kernels.sum_rows(
                operations.channels_last(rows), as_read(self.bias), k, high
            )


def is_thin(layer: nn.Module) -> bool:
    """Whether a layer is better off as a `ThinConv2d`."""
    return (
        type(layer) is nn.Conv2d
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding in ((0, 0), 0)
        and layer.groups == 1
        and layer.out_channels < EIGHT < layer.out_channels * layer.kernel_size[0]
        and layer.in_channels >= EIGHT
    )


def inside(x: Tensor, pads: Pads) -> Tensor:
    """Features without their padding, as a view."""
    left, right, above, below = pads
    return x[..., above : x.shape[-2] - below, left : x.shape[-1] - right]


def without(layer: nn.Module, *, bias: bool = False, padding: bool = False) -> nn.Module:
    """A convolution of the same weights without its bias, or without its padding."""
    common = {id(part): part for part in layer.parameters()}
    other: Any = copy.deepcopy(layer, common)
    if bias:
        other.bias = None
    if padding and isinstance(other, nn.Conv2d):
        other.padding, other.padding_mode = (0, 0), "zeros"
        other._reversed_padding_repeated_twice = [0, 0, 0, 0]
    assert isinstance(other, nn.Module)
    return other
