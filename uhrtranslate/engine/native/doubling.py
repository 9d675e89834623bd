"""A layer that doubles the size and the 3x3 convolution behind it, as one layer.

Neither is more than linear, so both together are a filter, too: each of the four px that a place of
the small map becomes is a 3x3 convolution of that map. Of each channel this takes 9 products per
px, as the second layer alone does, and 2.25 by minimal filtering; doubling took 4 more. The map in
between never exists.

Only at the edges is it not the same: there the small map is replicated, but the second layer sees
zeros around the large one. So what the large map would be outside is taken off again.
"""

from itertools import product
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.engine.native import operations
from uhrtranslate.engine.native.layers import (
    MANY_CHANNELS,
    NativeConv2d,
    computes_in_float,
    padded,
    places,
)
from uhrtranslate.models.resnet import BlurUp

# What of an axis: all of it, or what lies beyond its first or its last px.
_ALL, _FIRST, _LAST = -1, 0, 1
_PLACES = {_ALL: slice(None), _FIRST: slice(0, 1), _LAST: slice(-1, None)}


class _Filter(NamedTuple):
    """What some px outside of the large map, or all of it, add to the px of a result.

    Attributes:
        weight: [phases down * phases across * k, c, 3 or 1, 3 or 1].
        bias: [k].
        sign: -1 takes it off.
    """

    weight: Tensor
    bias: Tensor
    sign: int


class DoubledConv2d(nn.Module):
    """Replicate by 1 px, double by a filter of 4 px, then convolve by one of 3 px and zeros around.

    Args:
        up: what doubles, as `doubles` knows it.
        conv: the convolution behind it, as `follows` knows it.
    """

    def __init__(self, up: nn.ConvTranspose2d | BlurUp, conv: nn.Conv2d | NativeConv2d) -> None:
        super().__init__()
        self.up, self.conv = up, conv
        self._made: tuple[tuple[int, ...], dict[tuple[int, int], _Filter]] = (), {}

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, k, 2h, 2w]."""
        filters = self._filters()
        whole, k = filters[_ALL, _ALL], len(self.conv.weight)
        if computes_in_float(x) and min(x.shape[1], 4 * k) >= MANY_CHANNELS:
            at = places(x.shape[-2:], (1, 1, 1, 1), "replicate")
            y = operations.convolve(x, whole.weight, whole.bias, *at, scale=2)
        else:
            y = _convolved(x, _ALL, _ALL, whole)
        for (down, across), edge in filters.items():
            if (down, across) != (_ALL, _ALL):
                part = y[..., _PLACES[down], _PLACES[across]]
                part.add_(_convolved(x, down, across, edge), alpha=edge.sign)
        return y

    def _filters(self) -> dict[tuple[int, int], _Filter]:
        """By what of the rows and columns they are of; made anew if a weight has changed."""
        weights = [*self.up.parameters(), *self.up.buffers(), *self.conv.parameters()]
        versions = tuple(0 if one.is_inference() else one._version for one in weights)
        if versions != self._made[0] or not self._made[1]:
            ends = _ALL, _FIRST, _LAST
            made = {where: self._filter(*where) for where in product(ends, ends)}
            self._made = versions, made
        return self._made[1]

    def _filter(self, down: int, across: int) -> _Filter:
        up, conv = _weight(self.up), self.conv.weight.detach()
        pads = [2, 2]
        for axis, end in enumerate((down, across)):
            if end != _ALL:
                # Beyond an end, both px that the large map is made of are the small one's last.
                ours = torch.arange(end, 4, 2)
                up = up.index_select(2 + axis, ours).sum(2 + axis, keepdim=True)
                conv = conv.narrow(2 + axis, 2 * end, 1)
                pads[axis] = 0
        made = F.conv2d(up, conv, padding=pads)  # [c, k, 6 or 1, 6 or 1]: what a px becomes
        c, k, high, wide = made.shape
        p, q = min(high, 2), min(wide, 2)
        phases = made.view(c, k, high // p, p, wide // q, q).flip(2, 4).permute(3, 5, 1, 0, 2, 4)
        bias = made.new_zeros(k)
        if isinstance(self.up, nn.ConvTranspose2d) and self.up.bias is not None:
            bias += conv.sum((2, 3)) @ self.up.bias.detach()
        if self.conv.bias is not None and down == across == _ALL:
            bias += self.conv.bias.detach()
        ends = (down != _ALL) + (across != _ALL)  # a corner was taken off by both of its sides
        return _Filter(phases.reshape(p * q * k, c, high // p, wide // q), bias, (-1) ** ends)


def doubles(layer: nn.Module | None) -> bool:
    """Whether a layer doubles what was replicated by 1 px: a transposed convolution."""
    return type(layer) is nn.ConvTranspose2d and (
        layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.dilation,
        layer.groups, layer.weight.dtype,
    ) == ((4, 4), (2, 2), (3, 3), (0, 0), (1, 1), 1, torch.float32)  # fmt: skip


def follows(layer: nn.Module | None) -> bool:
    """Whether a layer is a 3x3 convolution with zeros around."""
    if isinstance(layer, NativeConv2d):
        pads, mode = layer.pads, layer.mode
        return layer.weight.shape[2:] == (3, 3) and (pads, mode) == ((1, 1, 1, 1), "zeros")
    return type(layer) is nn.Conv2d and (
        layer.kernel_size, layer.stride, layer.padding, layer.dilation, layer.groups,
        layer.padding_mode, layer.weight.dtype,
    ) == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros", torch.float32)  # fmt: skip


def _weight(up: nn.ConvTranspose2d | BlurUp) -> Tensor:
    """[c, c', 4, 4]: what a px of a channel becomes."""
    if isinstance(up, nn.ConvTranspose2d):
        return up.weight.detach()
    return up.filt * torch.eye(len(up.filt))[..., None, None]


def _convolved(x: Tensor, down: int, across: int, by: _Filter) -> Tensor:
    """What the px of x at these ends, or all of them, become."""
    p, q = 1 + (down == _ALL), 1 + (across == _ALL)
    near = padded(x[..., _PLACES[down], _PLACES[across]], [q - 1] * 2 + [p - 1] * 2, "replicate")
    y = operations.channels_last(F.conv2d(near, by.weight, by.bias.repeat(p * q)))
    n, _, h, w = y.shape
    result = operations.empty(n, len(by.bias), p * h, q * w, y.dtype)
    phases = y.permute(0, 2, 3, 1).view(n, h, w, p, q, -1)
    result.permute(0, 2, 3, 1).view(n, h, p, w, q, -1).copy_(phases.transpose(2, 3))
    return result
