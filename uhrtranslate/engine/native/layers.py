"""Layers whose forwards are kernels, in place of those of a generator; they share its weights."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.engine.forward.layers import SwitchedNorm2d
from uhrtranslate.engine.native import operations
from uhrtranslate.engine.native.operations import Finish
from uhrtranslate.geometry.cells import reflect
from uhrtranslate.models.resnet import BlurDown

# With fewer channels, the matrix products of minimal filtering are too small to be faster.
MANY_CHANNELS = 32
# Output channels that oneDNN computes at once, however few are needed.
LANES = 16
# Modes of padding, as torch calls them.
PADS: dict[type[nn.Module], str] = {
    nn.ReflectionPad2d: "reflect", nn.ReplicationPad2d: "replicate", nn.ZeroPad2d: "zeros",
}  # fmt: skip


class NativeAction(Protocol):
    """What norm layers do with their input, as `forward.actions.Action`, by kernels."""

    def __call__(
        self, call: int, x: Tensor, eps: float, share: int, finish: Finish, out: Tensor
    ) -> Tensor:
        """Normalize the input of norm call `call`, and finish it, into `out`, which may be x.

        `share` neighbouring channels have statistics in common.
        """
        ...


class NativeSwitch:
    """Determines what all norm layers of a module do, and counts their calls.

    Attributes:
        action: what they do; None outside a forward.
        calls: of this forward.
    """

    def __init__(self) -> None:
        self.action: NativeAction | None = None
        self.calls = 0

    def begin(self, action: NativeAction, call: int = 0) -> None:
        """Perform `action` from now on, as at the beginning of a forward or before a later call."""
        self.action, self.calls = action, call


class NativeNorm2d(nn.Module):
    """A norm layer, and what follows it, in one pass over memory."""

    def __init__(self, original: SwitchedNorm2d, switch: NativeSwitch) -> None:
        super().__init__()
        self.eps, self.share = original.eps, original.share
        self.weight, self.bias = original.weight, original.bias
        self.switch = switch  # not a module: it is shared and holds no weights

    def forward(
        self, x: Tensor, slope: float = 1.0, added: Tensor | None = None, own: bool = False
    ) -> Tensor:
        """[n, c, h, w] to the same, normalized, then affine, then what follows.

        Args:
            x: input; sequences [n, c, length] are normalized as in training.
            slope: of the activation that follows; 1 for none.
            added: what is added in the end.
            own: whether the result may be written where x is.
        """
        if not operations.suits(x):
            return self._other(x, slope, added)
        fits = added is None or (added.shape == x.shape and added.dtype == x.dtype)
        same = operations.channels_last(x)
        finish = Finish(
            as_read(self.weight), as_read(self.bias), slope,
            operations.channels_last(added) if added is not None and fits else None,
        )  # fmt: skip
        out = same if own or same is not x else torch.empty_like(same)
        switch = self.switch
        assert switch.action is not None
        call, switch.calls = switch.calls, switch.calls + 1
        with torch.autocast("cpu", enabled=False):
            y = switch.action(call, same, self.eps, self.share, finish, out)
        return y if added is None or fits else y + added

    def _other(self, x: Tensor, slope: float, added: Tensor | None) -> Tensor:
        if x.ndim == 4:  # of another type
            return self.forward(x.float(), slope, added).to(x.dtype)
        y = F.group_norm(x, x.shape[1] // self.share, self.weight, self.bias, self.eps)
        if slope != 1:
            y = F.leaky_relu(y, slope)
        return y if added is None else y + added


class NativePad2d(nn.Module):
    """Padding of a feature map; a convolution behind it may take it over."""

    def __init__(self, original: Any) -> None:
        super().__init__()
        self.mode = PADS[type(original)]
        self.pads: tuple[int, int, int, int] = tuple(original.padding)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c, h', w']."""
        return padded(x, self.pads, self.mode)


class NativeConv2d(nn.Module):
    """`nn.Conv2d` without stride, computed differently in float32 but not under autocast.

    Attributes:
        pads: left, right, above, below.
        mode: of the padding.
    """

    def __init__(self, original: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = original.weight, original.bias
        above, beside = (int(side) for side in original.padding)
        self.pads = beside, beside, above, above
        self.mode: str = original.padding_mode

    def take(self, pad: NativePad2d) -> None:
        """Pad as another layer did before."""
        self.pads, self.mode = pad.pads, pad.mode

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, k, h', w']."""
        if not computes_in_float(x):
            left, right, above, below = self.pads
            if self.mode == "zeros" and (left, above) == (right, below):
                return F.conv2d(x, self.weight, self.bias, padding=(above, left))
            return F.conv2d(padded(x, self.pads, self.mode), self.weight, self.bias)
        return self.convolve(x)

    def convolve(self, x: Tensor) -> Tensor:
        """Pad and convolve in float32."""
        raise NotImplementedError


class WinogradConv2d(NativeConv2d):
    """3x3, from many channels to many."""

    def convolve(self, x: Tensor) -> Tensor:
        """See `NativeConv2d`."""
        rows, cols = places(x.shape[-2:], self.pads, self.mode)
        return operations.convolve(x, self.weight, as_read(self.bias), rows, cols)


class ThinConv2d(NativeConv2d):
    """From many channels to few: each row of the filter is convolved alone, and all are added."""

    def convolve(self, x: Tensor) -> Tensor:
        """See `NativeConv2d`."""
        k, c, high, wide = self.weight.shape
        filters = self.weight.permute(2, 0, 1, 3).reshape(high * k, c, 1, wide)
        rows = F.conv2d(padded(x, self.pads, self.mode), filters)
        return operations.sum_rows(rows, as_read(self.bias), high)


class NativeBlurDown(nn.Module):
    """`BlurDown` in one pass over memory."""

    def __init__(self, original: BlurDown) -> None:
        super().__init__()
        self.original = original

    def forward(self, x: Tensor) -> Tensor:
        """Halve [n, c, h, w] to [n, c, h/2, w/2]."""
        if torch.is_autocast_enabled("cpu"):
            x = x.to(torch.get_autocast_dtype("cpu"))  # as a convolution does
        if not operations.suits(x):
            return self.original(x)  # type: ignore[no-any-return]
        rows, cols = places(x.shape[-2:], (1, 1, 1, 1), "reflect")
        return operations.halve(x, self.original.filt, rows, cols)


def native(layer: nn.Module, switch: NativeSwitch) -> nn.Module | None:
    """The layer that does the same by kernels; None if there is none, or it is not faster."""
    if isinstance(layer, SwitchedNorm2d):
        return NativeNorm2d(layer, switch)
    if type(layer) is BlurDown:
        return NativeBlurDown(layer)
    if type(layer) in PADS and min(_pads(layer)) >= 0:
        return NativePad2d(layer)
    kind = _faster(layer) if type(layer) is nn.Conv2d else None  # not a subclass
    return kind(layer) if kind and isinstance(layer, nn.Conv2d) else None


def computes_in_float(x: Tensor) -> bool:
    """Whether a convolution of x is to be exact."""
    return x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def padded(x: Tensor, pads: Sequence[int], mode: str) -> Tensor:
    """[n, c, h, w] with so many px on its left, right, above and below."""
    return operations.gather(x, *places(x.shape[-2:], pads, mode)) if any(pads) else x


def places(size: Sequence[int], pads: Sequence[int], mode: str) -> tuple[list[int], list[int]]:
    """Which rows and columns of a map of h x w the padded one has; -1 for zeros."""
    left, right, above, below = pads
    h, w = size
    return _line(h, above, below, mode), _line(w, left, right, mode)


def _line(size: int, before: int, after: int, mode: str) -> list[int]:
    inside = list(range(size))
    if mode == "zeros":
        return [-1] * before + inside + [-1] * after
    if mode == "replicate":
        return [0] * before + inside + [size - 1] * after
    return [int(i) for i in reflect(-before, size + after, size)]


def _pads(layer: Any) -> tuple[int, ...]:
    return tuple(layer.padding)


def as_read(weight: Tensor | None) -> Tensor | None:
    """A weight as kernels read it."""
    return None if weight is None else weight.detach().float().contiguous()


def _faster(layer: nn.Conv2d) -> type[NativeConv2d] | None:
    if not (
        layer.stride == layer.dilation == (1, 1)
        and layer.groups == 1
        and layer.padding_mode in ("zeros", "reflect", "replicate")
        and not isinstance(layer.padding, str)
        and layer.in_channels >= MANY_CHANNELS
        and layer.weight.dtype == torch.float32
        and layer.weight.device.type == "cpu"
    ):
        return None
    if layer.out_channels >= MANY_CHANNELS and layer.kernel_size == (3, 3):
        return WinogradConv2d
    few = layer.out_channels < LANES < layer.out_channels * layer.kernel_size[0]
    return ThinConv2d if few else None
