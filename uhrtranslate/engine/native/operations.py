"""The kernels as functions of tensors; all are for a CPU, and features have their channels last."""

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from uhrtranslate.engine.native.build import library
from uhrtranslate.normalizers import Field

DTYPES = (torch.float32, torch.bfloat16)

_pointer = ctypes.c_void_p
_int = ctypes.c_int64
_small = ctypes.c_int32


@dataclass(frozen=True)
class Finish:
    """What is done to a value once it is normalized, in this order.

    Attributes:
        weight, bias: [c] float32 each, of an affine layer, or None.
        slope: factor of negative values: 1 leaves them, 0 is ReLU.
        added: as the features, or None: what a residual block adds.
        shift: [c] float32, or None: what is added before all else, a bias that the convolution
            before left out. For GPUs, as are the next ones.
        pads: px on the left, right, above and below that the result has besides.
        mode: of this padding: "zeros", "reflect" or "replicate".
    """

    weight: Tensor | None = None
    bias: Tensor | None = None
    slope: float = 1.0
    added: Tensor | None = None
    shift: Tensor | None = None
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    mode: str = "zeros"

    def with_added(self, added: Tensor | None) -> "Finish":
        """The same with other features to add."""
        return replace(self, added=added)


class Kernels(Protocol):
    """What norm layers need of a device's kernels: these functions of a module such as this.

    Features are [n, c, h, w], as `channels_last` gives them. Results go into `out`, which is like x
    and may be x; on a GPU it is padded if `finish` says so, and then is not x.
    """

    def mean_and_variance(self, x: Tensor, unbiased: bool) -> tuple[Tensor, Tensor]:
        """Of each channel; [n, c] float32 each."""
        ...

    def normalize(
        self, x: Tensor, mean: Tensor, std: Tensor, finish: Finish, out: Tensor
    ) -> Tensor:
        """(x - mean) / std, finished; mean and std are [n, c] float32."""
        ...

    def apply_fields(
        self, x: Tensor, fields: Callable[[int], Field], finish: Finish, out: Tensor
    ) -> Tensor:
        """(x - mean) * rstd of every pixel, finished; `fields` gives the field of a sample."""
        ...


class _Finish(ctypes.Structure):
    _fields_ = (
        ("weight", _pointer), ("bias", _pointer), ("added", _pointer), ("slope", ctypes.c_float),
    )  # fmt: skip


class _Field(ctypes.Structure):
    _fields_ = (
        ("centre", _pointer), ("scale", _pointer), ("share", _pointer), ("column", _pointer),
        ("columns", _int), ("most", _int), ("row_step", _int), ("divide", _small),
        ("gap_centre", _pointer), ("gap_scale", _pointer), ("deficit", _pointer),
        ("gain", _pointer),
    )  # fmt: skip


def suits(x: Tensor) -> bool:
    """Whether the kernels can work on features."""
    return x.ndim == 4 and x.dtype in DTYPES and x.device.type == "cpu"


def channels_last(x: Tensor) -> Tensor:
    """The same [n, c, h, w], with its channels innermost and no gaps."""
    # Strides of axes with one entry say nothing, and torch takes them for either layout.
    n, c, h, w = x.shape
    if x.stride() == (h * w * c, 1, w * c, c):
        return x
    return empty(n, c, h, w, x.dtype, x.device).copy_(x)


def empty(
    n: int, c: int, h: int, w: int, dtype: torch.dtype, device: torch.device | None = None
) -> Tensor:
    """New features, [n, c, h, w] with channels innermost; by default on the CPU."""
    strides = h * w * c, 1, w * c, c
    return torch.empty_strided((n, c, h, w), strides, dtype=dtype, device=device)


def mean_and_variance(x: Tensor, unbiased: bool) -> tuple[Tensor, Tensor]:
    """See `Kernels`."""
    n, c, h, w = x.shape
    mean, squares = (torch.empty(n, c) for _ in range(2))
    for i in range(n):
        _call("moments", x[i], _half(x), h * w, c, mean[i], squares[i])
    return mean, squares / max(1, h * w - (1 if unbiased else 0))


def normalize(x: Tensor, mean: Tensor, std: Tensor, finish: Finish, out: Tensor) -> Tensor:
    """See `Kernels`."""
    for i in range(len(x)):
        centre, scale = mean[i].contiguous(), std[i].contiguous()
        field = _Field(centre=centre.data_ptr(), scale=scale.data_ptr(), most=0, divide=1)
        _apply(x, i, field, finish, out)
    return out


def apply_fields(x: Tensor, fields: Callable[[int], Field], finish: Finish, out: Tensor) -> Tensor:
    """See `Kernels`."""
    for i in range(len(x)):
        field = fields(i)
        # [h, q, c] each; [w, most] the columns of cells that have a weight, and the weights
        tables = [part.permute(1, 2, 0).contiguous() for part in (field.mean, field.scale)]
        share, column = _used(field.cols)
        gaps: list[Tensor] = []
        if given := field.gaps:
            parts = (given.fallback_mean, given.fallback_scale, given.deficit, given.gain)
            gaps = [part.contiguous() for part in parts]
        places: list[Any] = [gap.data_ptr() for gap in gaps] or [None] * 4
        _, q, c = tables[0].shape
        packed = _Field(
            *(part.data_ptr() for part in (*tables, share, column)),
            q, share.shape[1], q * c, not field.inverse, *places,
        )  # fmt: skip
        _apply(x, i, packed, finish, out)
    return out


def _used(cols: Tensor) -> tuple[Tensor, Tensor]:
    """The weights of each pixel's columns of cells that are not 0, and which columns these are."""
    most = max(1, int((cols != 0).sum(1).max()))
    # Sorted by column, so that sums are taken in one order.
    place = (cols != 0).to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :most]
    return cols.gather(1, place).contiguous(), place.to(torch.int32).contiguous()


def _apply(x: Tensor, sample: int, field: _Field, finish: Finish, out: Tensor) -> None:
    _, c, h, w = x.shape
    added = None if finish.added is None else finish.added[sample].data_ptr()
    weight, bias = (
        None if part is None else part.data_ptr() for part in (finish.weight, finish.bias)
    )
    _call(
        "apply", x[sample], out[sample], _half(x), h, w, c,
        ctypes.byref(field), ctypes.byref(_Finish(weight, bias, added, finish.slope)),
    )  # fmt: skip


def gather(x: Tensor, rows: Sequence[int], cols: Sequence[int]) -> Tensor:
    """[n, c, h, w] at some rows and columns of pixels; -1 stands for zeros."""
    x = channels_last(x)
    n, c, _, w = x.shape
    y = empty(n, c, len(rows), len(cols), x.dtype)
    ys, xs = _indices(rows), _indices(cols)
    for i in range(n):
        _call(
            "gather", x[i], y[i], w, c * x.element_size(),
            ys, len(rows), xs, len(cols),
        )  # fmt: skip
    return y


def halve(x: Tensor, weight: Tensor, rows: Sequence[int], cols: Sequence[int]) -> Tensor:
    """A 3x3 convolution of each channel alone, at every second of some rows and columns of pixels.

    Args:
        x: [n, c, h, w].
        weight: [c, 1, 3, 3] float32.
        rows, cols: 2h' + 1 and 2w' + 1 indices, or one more.

    Returns:
        [n, c, h', w'] of x's type; sums are float32.
    """
    x = channels_last(x)
    n, c, _, width = x.shape
    h, w = (len(rows) - 1) // 2, (len(cols) - 1) // 2
    y = empty(n, c, h, w, x.dtype)
    taps = weight.detach().reshape(c, 9).t().contiguous()
    ys, xs = _indices(rows), _indices(cols)
    for i in range(n):
        _call("halve", x[i], y[i], _half(x), width, c, ys, xs, h, w, taps)
    return y


def convolve(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    rows: Sequence[int],
    cols: Sequence[int],
    scale: int = 1,
) -> Tensor:
    """A 3x3 convolution of x at some rows and columns of pixels; -1 stands for zeros.

    By minimal filtering: 64 products where the definition takes 324. Results differ from the
    definition's by rounding, about 1e-5 of the largest value.

    Args:
        x: [n, c, h, w] float32.
        weight: [scale * scale * k, c, 3, 3] float32.
        bias: [k], or None.
        rows, cols: h' + 2 and w' + 2 indices.
        scale: px of the result, down and across, that the filters give for each of the input.

    Returns:
        [n, k, scale * h', scale * w'].
    """
    x = channels_last(x)
    n, c, height, width = x.shape
    h, w, k = len(rows) - 2, len(cols) - 2, len(weight) // scale**2
    y = empty(n, k, scale * h, scale * w, torch.float32)
    room = torch.empty(_call("convolve_room", c, len(weight)))
    shift = None if bias is None else bias.data_ptr()
    _call(
        "convolve", x, n, height * width * c, width, c, _indices(rows), _indices(cols),
        weight.detach().contiguous(), shift, k, scale, y, h, w, room,
    )  # fmt: skip
    return y


def sum_rows(x: Tensor, bias: Tensor | None, high: int) -> Tensor:
    """[n, high * k, h + high - 1, w] float32 to [n, k, h, w]: part r is taken r rows below."""
    x = channels_last(x)
    n, parts, height, w = x.shape
    y = empty(n, parts // high, height - high + 1, w, torch.float32)
    shift = None if bias is None else bias.data_ptr()
    for i in range(n):
        _call("sum_rows", x[i], shift, y[i], height - high + 1, w, parts // high, high)
    return y


def _indices(values: Sequence[int]) -> "np.ndarray[Any, np.dtype[np.int32]]":
    return np.asarray(values, np.int32)


def _half(x: Tensor) -> int:
    return int(x.dtype == torch.bfloat16)


_TYPES: dict[str, tuple[Any, ...]] = {
    "moments": (_pointer, _small, _int, _int, _pointer, _pointer),
    "apply": (_pointer, _pointer, _small, _int, _int, _int, _pointer, _pointer),
    "gather": (_pointer, _pointer, _int, _int, _pointer, _int, _pointer, _int),
    "halve": (
        _pointer, _pointer, _small, _int, _int, _pointer, _pointer, _int, _int, _pointer,
    ),
    "convolve_room": (_int, _int),
    "convolve": (
        _pointer, _int, _int, _int, _int, _pointer, _pointer, _pointer, _pointer, _int, _int,
        _pointer, _int, _int, _pointer,
    ),
    "sum_rows": (_pointer, _pointer, _pointer, _int, _int, _int, _int),
}  # fmt: skip


def _call(name: str, *arguments: Any) -> Any:
    """Call a kernel; tensors and arrays stand for their memory."""
    kernel = getattr(library(), f"uhrt_{name}")
    if kernel.argtypes is None:
        kernel.argtypes = *_TYPES[name], _small
        kernel.restype = _int if name.endswith("_room") else None
    given = [
        one.data_ptr() if isinstance(one, Tensor)
        else one.ctypes.data if isinstance(one, np.ndarray) else one
        for one in arguments
    ]  # fmt: skip
    return kernel(*given, torch.get_num_threads())
