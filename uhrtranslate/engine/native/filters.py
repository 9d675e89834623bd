"""3x3 convolutions in float32 by minimal filtering: a quarter of the multiplications.

F(4 x 4, 3 x 3) of Lavin and Gray ("Fast algorithms for convolutional neural networks", 2016): a
patch of 6 x 6 pixels and a filter are each transformed to 36 values, multiplied value by value
(summed up over channels, so 36 small matrix products), and transformed back to 4 x 4 pixels: 36
products where the definition takes 144. The kernels transform patches; here are the filters, and
the products, which oneDNN does. Results differ from the definition's by rounding, about 1e-5 of the
largest value.
"""

from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

PATCH = 6
# Matrix of the transform for the points 0, 1, -1, 2, -2 and infinity.
FILTER = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)

# (version, filters in oneDNN's order) of every weight in use.
_packed: MutableMapping[Tensor, tuple[int, Tensor]] = WeakTensorKeyDictionary()


def available() -> bool:
    """Whether this build of torch has oneDNN's matrix products, which make this fast."""
    return (
        bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    )


def multiply(values: Tensor, weight: Tensor) -> Tensor:
    """36 matrix products, [1, 36 * c, rows, cols] by a filter [k, c, 3, 3] to [1, 36 * k, ...]."""
    y: Tensor = torch.ops.mkldnn._convolution_pointwise(  # of 36 groups
        values, *(_filters(weight), None, [0, 0], [1, 1], [1, 1], PATCH**2, "none", [], "")
    )
    return y


def transform_filters(weight: Tensor) -> Tensor:
    """[k, c, 3, 3] to [36 * k, c, 1, 1]."""
    k, c = weight.shape[:2]
    matrix = torch.tensor(FILTER, dtype=torch.float64)
    values = torch.einsum("iy,kcyx,jx->ijkc", matrix, weight.double(), matrix)
    return values.reshape(PATCH**2 * k, c, 1, 1).to(weight.dtype)


def version_of(weight: Tensor) -> int:
    """A number that another one follows whenever a weight is changed in place."""
    return 0 if weight.is_inference() else weight._version


def _filters(weight: Tensor) -> Tensor:
    """A weight [k, c, 3, 3], transformed and in oneDNN's order; redone if it has changed."""
    version = version_of(weight)
    if weight not in _packed or _packed[weight][0] != version:
        c = weight.shape[1]
        reorder: Any = torch._C._nn.mkldnn_reorder_conv2d_weight
        filters = reorder(
            transform_filters(weight).to_mkldnn(),
            *([0, 0], [1, 1], [1, 1], PATCH**2, [1, PATCH**2 * c, 1, 128]),
        )
        _packed[weight] = version, filters
    return _packed[weight][1]
