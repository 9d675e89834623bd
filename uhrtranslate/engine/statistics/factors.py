"""The fields of a batch as a few small tensors, which are the inputs of compiled forwards."""

from collections.abc import Sequence

import torch
from torch import Tensor

from uhrtranslate.normalizers import Field

# mean, scale [n, c, h, q]; cols [n, q, w]; whether scale is rstd; and if cells are missing,
# fallback_mean, fallback_scale [n, c]; deficit, gain [n, h, w].
Factors = tuple[Tensor, Tensor, Tensor, bool, tuple[Tensor, Tensor, Tensor, Tensor] | None]


def stacked(fields: Sequence[Field], columns: int) -> Factors:
    """The factors of the fields of a batch of equally shaped tiles, widened to `columns`."""
    gaps = None
    if any(field.gaps is not None for field in fields):
        parts = []
        for field in fields:
            h, w, channels = field.mean.shape[1], len(field.cols), len(field.mean)
            if given := field.gaps:
                parts.append((given.fallback_mean, given.fallback_scale, given.deficit, given.gain))
            else:
                nothing = field.mean.new_zeros(channels)
                parts.append((nothing, nothing, nothing.new_zeros(h, w), nothing.new_ones(h, w)))
        stack = [torch.stack(part) for part in zip(*parts, strict=True)]
        gaps = stack[0], stack[1], stack[2], stack[3]
    cols = [_widened(field.cols, columns) for field in fields]
    return (
        _channels_last([field.mean for field in fields], columns),
        _channels_last([field.scale for field in fields], columns),
        torch.stack(cols).transpose(1, 2).contiguous(),
        fields[0].inverse,
        gaps,
    )


def _channels_last(tables: Sequence[Tensor], columns: int) -> Tensor:
    """[n, c, h, q] with channels innermost, like the outputs of the convolutions."""
    stack = torch.stack([_widened(table, columns) for table in tables])
    return stack.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)


def _widened(table: Tensor, columns: int) -> Tensor:
    """Add columns of cells with no weight, up to the number that any tile may have."""
    missing = columns - table.shape[-1]
    return torch.nn.functional.pad(table, (0, missing)) if missing else table
