"""The U-Net generator of pix2pix (Isola 2017): unet_128 has 7 halvings, unet_256 has 8.

It halves its input down to one pixel, so it is not translation-covariant and its stride is 128 or
256. Usually it has batch norm, which in eval mode is the same in every tile: nothing to replace.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from uhrtranslate.models.family import (
    Arguments,
    Family,
    is_conv,
    make_norm,
    norm_arguments,
    shape_of,
)

_MOST_DOWNS = 12  # a stride of 4096 px
_FEWEST_DOWNS = 5  # the channels double three times, and the innermost level is its own kind


class SkipBlock(nn.Module):
    """One level: halve, go deeper, double; the result stacked on the input, except outermost.

    Args:
        outer: channels of the result of this level (without the input stacked below it).
        inner: channels inside, at half the size.
        deeper: the next level; None for the innermost.
        entry: channels of the input of the outermost level; None for all others.
        dropout: whether the result goes through dropout (at 0.5; nothing in eval mode).
        affine: whether instance norms have weight and bias.
        bias: whether convolutions before a norm have a bias.
        norm: "instance" or "batch".
    """

    def __init__(
        self,
        outer: int,
        inner: int,
        deeper: "SkipBlock | None",
        entry: int | None,
        dropout: bool,
        affine: bool,
        bias: bool,
        norm: str,
    ) -> None:
        super().__init__()
        self.outermost = entry is not None
        wide = inner if deeper is None else 2 * inner
        down: list[nn.Module] = [nn.Conv2d(entry or outer, inner, 4, 2, 1, bias=bias)]
        up: list[nn.Module] = [nn.ReLU()]
        if self.outermost:
            up += [nn.ConvTranspose2d(wide, outer, 4, 2, 1), nn.Tanh()]
        else:
            down.insert(0, nn.LeakyReLU(0.2))
            up.append(nn.ConvTranspose2d(wide, outer, 4, 2, 1, bias=bias))
            up.append(make_norm(norm, outer, affine))
            if deeper is not None:
                down.append(make_norm(norm, inner, affine))
        if dropout:
            up.append(nn.Dropout(0.5))
        middle = [] if deeper is None else [deeper]
        self.model = nn.Sequential(*down, *middle, *up)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, 2c, h, w], or to [n, out_channels, h, w] at the outermost level."""
        y: Tensor = self.model(x)
        return y if self.outermost else torch.cat([x, y], 1)


class UnetGenerator(nn.Module):
    """U-Net with skip connections and `n_downs` halvings.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        ngf: channels after the first convolution; up to eight times that further inside.
        n_downs: number of halvings, at least 5; the input's sides are multiples of 2**n_downs.
        dropout: whether the inner levels have dropout, which no key tells and eval mode ignores.
        affine: whether instance norms have weight and bias.
        bias: whether convolutions before a norm have a bias; the last one always has.
        norm: "instance" or "batch".

    Raises:
        ValueError: fewer than 5 halvings.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        ngf: int = 64,
        n_downs: int = 8,
        dropout: bool = False,
        affine: bool = False,
        bias: bool = False,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        if n_downs < _FEWEST_DOWNS:
            raise ValueError(f"n_downs is {n_downs}; it must be at least {_FEWEST_DOWNS}")
        kind = (affine, bias, norm)
        block = SkipBlock(8 * ngf, 8 * ngf, None, None, False, *kind)
        for _ in range(n_downs - _FEWEST_DOWNS):
            block = SkipBlock(8 * ngf, 8 * ngf, block, None, dropout, *kind)
        for factor in (4, 2, 1):
            block = SkipBlock(factor * ngf, 2 * factor * ngf, block, None, False, *kind)
        self.model = SkipBlock(out_channels, ngf, block, in_channels, False, *kind)

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] to [n, out_channels, h, w], in -1..1."""
        y: Tensor = self.model(x)
        return y


def recognise(state: Mapping[str, Tensor]) -> Arguments | None:
    """Read the arguments of `UnetGenerator` off a state dict; None if it is of another family."""
    first, last = "model.model.0.weight", "model.model.3.weight"
    if not (is_conv(state, first, 4) and is_conv(state, last, 4)):
        return None
    level, n_downs = "model.model.1.model", 2
    while f"{level}.3.model.1.weight" in state and n_downs < _MOST_DOWNS:
        level, n_downs = f"{level}.3.model", n_downs + 1
    if n_downs < _FEWEST_DOWNS:
        return None
    ngf, in_channels = shape_of(state, first)[:2]
    second = "model.model.1.model"
    return {
        "in_channels": in_channels,
        "out_channels": shape_of(state, last)[1],  # transposed: [in, out, h, w]
        "ngf": ngf,
        "n_downs": n_downs,
        **norm_arguments(state, f"{second}.6", f"{second}.5"),
    }


UNET = Family(
    "unet", UnetGenerator, recognise, lambda a: int(2 ** a.get("n_downs", 8)), covariant=False
)
