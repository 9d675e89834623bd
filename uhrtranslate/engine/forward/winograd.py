"""3x3 convolutions in float32 on a CPU by minimal filtering: a quarter of the multiplications.

F(4 x 4, 3 x 3) of Lavin and Gray ("Fast algorithms for convolutional neural networks", 2016): a
patch of 6 x 6 pixels and a filter are each transformed to 36 values, multiplied value by value
(summed up over channels, so 36 small matrix products), and transformed back to 4 x 4 pixels: 36
products where the definition takes 144. This is only used in compiled forwards: the transforms are
passes over memory, which pay off if the compiler merges each into one loop. Results differ from the
definition's by rounding, about 1e-5 of the largest value.
"""

import functools
from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

SIDE = 4  # of a patch's output
PATCH = SIDE + 2
# Matrices of the transforms for the points 0, 1, -1, 2, -2 and infinity.
INPUT = (
    (4, 0, -5, 0, 1, 0),
    (0, -4, -4, 1, 1, 0),
    (0, 4, -4, -1, 1, 0),
    (0, -2, -1, 2, 1, 0),
    (0, 2, -1, -2, 1, 0),
    (0, 4, 0, -5, 0, 1),
)
OUTPUT = (
    (1, 1, 1, 1, 1, 0),
    (0, 1, -1, 2, -2, 0),
    (0, 1, 1, 4, 4, 0),
    (0, 1, -1, 8, -8, 1),
)
FILTER = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
# Size of the transformed patches that exist at once; they should stay in the processor's cache.
PART_BYTES = 16 << 20

# (version, filters in oneDNN's order) of every weight in use.
_packed: MutableMapping[Tensor, tuple[int, Tensor]] = WeakTensorKeyDictionary()


def available() -> bool:
    """Whether this build of torch has oneDNN's matrix products, which make this fast."""
    return (
        bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    )


@torch.library.custom_op("uhrtranslate::winograd_conv2d", mutates_args=(), device_types="cpu")
def winograd_conv2d(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The same as `torch.nn.functional.conv2d(x, weight, bias)`, except for rounding.

    Args:
        x: [n, c, h + 2, w + 2] float32; channels last is fastest.
        weight: [k, c, 3, 3] float32.
        bias: [k] float32.

    Returns:
        [n, k, h, w] float32, channels last.
    """
    n, c, height, width = x.shape
    k, h, w = len(weight), height - 2, width - 2
    rows, cols = -(-h // SIDE), -(-w // SIDE)  # of patches
    if h % SIDE or w % SIDE:
        x = F.pad(x, (0, cols * SIDE - w, 0, rows * SIDE - h))
    pixels = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1)
    _, down, right, _ = pixels.stride()
    shift = weight.new_zeros(k) if bias is None else bias
    y = x.new_empty(n, rows, SIDE, cols, SIDE, k)
    part = max(1, PART_BYTES // (PATCH**2 * 4 * (c + k) * cols))
    for image, result in zip(pixels, y, strict=True):
        patches = image.as_strided(
            (rows, cols, PATCH, PATCH, c), (SIDE * down, SIDE * right, down, right, 1)
        )
        for first in range(0, rows, part):
            some = slice(first, first + part)
            result[some] = _compiled()(_any_number(patches[some]), weight, shift)
    whole = y.view(n, rows * SIDE, cols * SIDE, k)[:, :h, :w].permute(0, 3, 1, 2)
    return whole.contiguous(memory_format=torch.channels_last)


@winograd_conv2d.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    n, _, height, width = x.shape
    y = x.new_empty(n, height - 2, width - 2, len(weight))
    return y.permute(0, 3, 1, 2)


def convolve_patches(patches: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[rows, cols, 6, 6, c] pixels to [rows, 4, cols, 4, k]."""
    values = transform_patches(patches)
    return transform_back(multiply(values, weight), bias)


def transform_patches(patches: Tensor) -> Tensor:
    """[rows, cols, 6, 6, c] pixels to [rows, cols, 36 * c] values."""
    down = torch.stack([_sum(row, patches.unbind(2)) for row in INPUT], 2)
    return torch.stack([_sum(row, down.unbind(3)) for row in INPUT], 3).flatten(2)


def transform_back(values: Tensor, bias: Tensor) -> Tensor:
    """[rows, cols, 6, 6, k] values to [rows, 4, cols, 4, k] pixels."""
    down = torch.stack([_sum(row, values.unbind(2)) for row in OUTPUT], 1)
    return torch.stack([_sum(row, down.unbind(3)) + bias for row in OUTPUT], 3)


def transform_filters(weight: Tensor) -> Tensor:
    """[k, c, 3, 3] to [36 * k, c, 1, 1]."""
    k, c = weight.shape[:2]
    matrix = torch.tensor(FILTER, dtype=torch.float64)
    values = torch.einsum("iy,kcyx,jx->ijkc", matrix, weight.double(), matrix)
    return values.reshape(PATCH**2 * k, c, 1, 1).to(weight.dtype)


def _sum(factors: Sequence[float], parts: Sequence[Tensor]) -> Tensor:
    terms = [part * factor for factor, part in zip(factors, parts, strict=True) if factor]
    return functools.reduce(torch.add, terms)


@torch.library.custom_op("uhrtranslate::winograd_multiply", mutates_args=(), device_types="cpu")
def multiply(values: Tensor, weight: Tensor) -> Tensor:
    """36 matrix products, [rows, cols, 36 * c] to [rows, cols, 6, 6, k]."""
    rows, cols, _ = values.shape
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(  # of 36 groups
        values.permute(2, 0, 1)[None],
        *(_filters(weight), None, [0, 0], [1, 1], [1, 1], PATCH**2, "none", [], ""),
    )
    return y[0].permute(1, 2, 0).reshape(rows, cols, PATCH, PATCH, len(weight))


@multiply.register_fake
def _(values: Tensor, weight: Tensor) -> Tensor:
    rows, cols, _ = values.shape
    return values.new_empty(rows, cols, PATCH, PATCH, len(weight))


def _filters(weight: Tensor) -> Tensor:
    """A weight [k, c, 3, 3], transformed and in oneDNN's order; redone if it has changed."""
    version = 0 if weight.is_inference() else weight._version
    if weight not in _packed or _packed[weight][0] != version:
        c = weight.shape[1]
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
        filters = reorder(
            transform_filters(weight).to_mkldnn(),
            *([0, 0], [1, 1], [1, 1], PATCH**2, [1, PATCH**2 * c, 1, 128]),
        )
        _packed[weight] = version, filters
    return _packed[weight][1]


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    found: Callable[..., Tensor] = torch.compile(convolve_patches)
    return found


def _any_number(patches: Tensor) -> Tensor:
    """Mark patches so that one compiled loop serves any number of them."""
    for axis in (0, 1):
        torch._dynamo.maybe_mark_dynamic(patches, axis)
    return patches
