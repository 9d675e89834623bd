"""The kernels as functions of tensors; features are on a GPU, with their channels last."""

from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

from uhrtranslate.engine.native import operations as native
from uhrtranslate.engine.native.operations import Finish
from uhrtranslate.engine.native.operations import channels_last as channels_last
from uhrtranslate.normalizers import Field

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
MODES = {"zeros": 0, "reflect": 1, "replicate": 2}
# Pixels of a channel that one program sums up, how many at once, and parts that are joined at once.
ROWS, STEP, MANY = 1024, 64, 64
# Values that a program normalizes at once.
VALUES = 4096
# Pixels of which one program adds up the rows.
WIDE = 256
MOST_CHANNELS = 64
# All norm layers of a size have the same weights.
_ENDS: MutableMapping[Tensor, tuple[Tensor, Tensor]] = WeakTensorKeyDictionary()


def suits(x: Tensor) -> bool:
    """Whether the kernels can work on features."""
    return x.ndim == 4 and x.dtype in DTYPES and x.numel() > 0


def empty(x: Tensor, h: int, w: int) -> Tensor:
    """New features like x, h x w px."""
    n, c = x.shape[:2]
    return native.empty(n, c, h, w, x.dtype, x.device)


def mean_and_variance(x: Tensor, unbiased: bool) -> tuple[Tensor, Tensor]:
    """See `Kernels`."""
    from uhrtranslate.engine.gpu import kernels

    n, c, h, w = x.shape
    pixels, tiles, block = h * w, -(-h * w // ROWS), _block(c)
    parts = x.new_empty(2, n, tiles, c, dtype=torch.float32)
    found = x.new_empty(2, n, c, dtype=torch.float32)
    blocks = -(-c // block)
    with _on(x):
        kernels.moments[(tiles, blocks, n)](
            x, *parts, pixels, c, tiles, ROWS=ROWS, STEP=STEP, C=block
        )
        kernels.joined[(blocks, n)](
            *parts, *found, pixels, c, tiles, max(1, pixels - (1 if unbiased else 0)),
            ROWS=ROWS, MANY=MANY, C=block,
        )  # fmt: skip
    return found[0], found[1]


def normalize(x: Tensor, mean: Tensor, std: Tensor, finish: Finish, out: Tensor) -> Tensor:
    """See `Kernels`."""
    _apply(x, out, (mean.contiguous(), std.contiguous()), None, finish)
    return out


def apply_fields(x: Tensor, fields: Callable[[int], Field], finish: Finish, out: Tensor) -> Tensor:
    """See `Kernels`."""
    for i in range(len(x)):
        field, part = fields(i), slice(i, i + 1)
        tables = field.mean.permute(1, 2, 0).contiguous(), field.scale.permute(1, 2, 0).contiguous()
        added = None if finish.added is None else finish.added[part]
        _apply(x[part], out[part], tables, field, finish.with_added(added))
    return out


def sum_rows(x: Tensor, bias: Tensor | None, k: int, high: int) -> Tensor:
    """[n, high * k or more, h + high - 1, w] to [n, k, h, w] float32; part r is taken r rows below.

    Args:
        x: as `channels_last` gives it.
        bias: [k] float32, or None: is added.
        k: channels of a part.
        high: number of parts.
    """
    from uhrtranslate.engine.gpu import kernels

    n, c, height, w = x.shape
    h = height - high + 1
    out = x.new_empty(n, k, h, w, dtype=torch.float32)
    with _on(x):
        kernels.sum_rows[(-(-w // WIDE), h, n)](
            x, out, x if bias is None else bias, c, height, h, w,
            BIAS=bias is not None, K=k, HIGH=high, W=WIDE,
        )  # fmt: skip
    return out


def _apply(
    x: Tensor, out: Tensor, tables: tuple[Tensor, Tensor], field: Field | None, finish: Finish
) -> None:
    from uhrtranslate.engine.gpu import kernels

    n, c, h, w = x.shape
    high, wide = out.shape[-2:]
    left, _, top, _ = finish.pads
    block = _block(c)
    width = VALUES // block
    gaps = None if field is None else field.gaps
    parts: list[Any] = [x] * 4  # what a kernel does not read
    if gaps is not None:
        given = gaps.deficit, gaps.gain, gaps.fallback_mean, gaps.fallback_scale
        parts = [part.contiguous() for part in given]
    cols, ends = (x, (x, x)) if field is None else (field.cols, _ends(field.cols))
    added = finish.added
    strides = (0, 0, 0) if added is None else (added.stride(0), added.stride(2), added.stride(3))
    with _on(x):
        kernels.apply[(-(-wide // width), high, n * -(-c // block))](
            x, out, *tables, cols, *ends, *parts,
            *(x if one is None else one for one in (finish.shift, finish.weight, finish.bias)),
            x if added is None else added,
            c, h, w, high, wide, top, left, *cols.stride()[:2], cols.shape[1],
            *strides, float(finish.slope),
            MODE=MODES[finish.mode], FIELD=field is not None,
            DIVIDE=field is None or not field.inverse, GAPS=gaps is not None,
            SHIFT=finish.shift is not None, WEIGHT=finish.weight is not None,
            BIAS=finish.bias is not None, ADDED=added is not None, W=width, C=block,
        )  # fmt: skip


def _ends(cols: Tensor) -> tuple[Tensor, Tensor]:
    """The columns of cells that have a weight for pixels of a range, of weights [w, q].

    Returns:
        [w] int32 each: the first column of any pixel from this one on, and the one behind the last
        of any pixel up to this one.
    """
    found = _ENDS.get(cols)
    if found is None:
        used = (cols != 0).to(torch.int8)
        first, after = used.argmax(1), cols.shape[1] - used.flip(1).argmax(1)
        first = first.flip(0).cummin(0).values.flip(0)
        found = _ENDS[cols] = first.to(torch.int32), after.cummax(0).values.to(torch.int32)
    return found


def _block(c: int) -> int:
    """How many of c channels one program takes."""
    return int(min(MOST_CHANNELS, 1 << (c - 1).bit_length()))


def _on(x: Tensor) -> AbstractContextManager[object]:
    """Kernels start on the current device."""
    return torch.cuda.device(x.device) if x.is_cuda else nullcontext()
