"""The generator of HistoPlexer (Andani 2025): from H&E to planes of proteins.

A U-Net of convolutions with batch norm, reflection padding and nearest-neighbour doubling, so with
constant statistics it is translation-covariant. With `high_res` its result has a quarter of its
input's resolution; here each of its pixels is repeated 4 x 4 times, so that the planes lie on the
image that they were made from. With `multiscale` the scaled input is stacked on every second level
(as torchvision 0.14 scales, the version of its environment: bilinear, without a filter), and inner
levels have outputs of their own, which only training needs. Values are 0..1 and clipped there.

Keys are those of the public code. Its padding of 1 px, the default of both halves, leaves no trace
in them.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.models.family import Arguments, Family, is_conv, shape_of

_MOST_DEPTH = 10  # a stride of 4096 px
_FEWEST_DEPTH = 4
# Halvings that `high_res` puts in front, which nothing doubles again.
_EXTRA = 2


class Block(nn.Module):
    """A 3x3 convolution with reflection, after doubling or with halving, and norm or ReLU.

    Args:
        inputs, outputs: channels.
        up: double with nearest neighbours, instead of halving by stride 2.
        norm: batch norm and leaky ReLU; else ReLU alone.
    """

    def __init__(self, inputs: int, outputs: int, up: bool, norm: bool = True) -> None:
        super().__init__()
        self.up = up
        self.conv1 = nn.Conv2d(
            inputs, outputs, 3, stride=1 if up else 2, padding=1, padding_mode="reflect"
        )
        self.bn1 = nn.ModuleDict({"bn": nn.BatchNorm2d(outputs)}) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, outputs, 2h, 2w] or [n, outputs, h/2, w/2]."""
        if self.up:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.conv1(x)
        return x.relu() if self.bn1 is None else F.leaky_relu(self.bn1["bn"](x), 0.2)


class HistoPlexer(nn.Module):
    """The U-Net, followed by repeating pixels if its result is smaller than its input.

    Args:
        in_channels: channels of the input.
        out_channels: planes of the output.
        ngf: channels of the first level that is doubled back; up to eight times that further
            inside; a quarter of it after the first convolution with `high_res`.
        depth: doublings, the last one included.
        high_res: the result has a quarter of the input's resolution.
        multiscale: the scaled input is stacked on every second level.

    Raises:
        ValueError: a depth below 4.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 11,
        ngf: int = 32,
        depth: int = 6,
        high_res: bool = True,
        multiscale: bool = True,
    ) -> None:
        super().__init__()
        if depth < _FEWEST_DEPTH:
            raise ValueError(f"depth is {depth}; it must be at least {_FEWEST_DEPTH}")
        self.high_res, self.multiscale = high_res, multiscale
        levels = [ngf * min(2**level, 8) for level in range(depth - 1)]
        down = [in_channels, *([ngf // 4, ngf // 2] if high_res else []), *levels]
        self.encoder = nn.ModuleList(
            Block(down[i] + (in_channels if self._stacked(i) else 0), down[i + 1], up=False)
            for i in range(len(down) - 1)
        )
        deepest = levels[-1]
        self.center_block = nn.ModuleList(
            [Block(deepest, deepest, up=False), Block(deepest, deepest, up=True)]
        )
        up = [*levels[::-1], out_channels]
        self.decoder = nn.ModuleList(
            Block(2 * up[i], up[i + 1], up=True, norm=i < depth - 2) for i in range(depth - 1)
        )
        if multiscale:
            sizes = up[depth % 2 :: 2][:-1]
            self.to_imc = nn.ModuleList(
                Block(2 * size, out_channels, up=True, norm=False) for size in sizes
            )

    def _stacked(self, level: int) -> bool:
        """Whether the scaled input is stacked on a level's input."""
        return self.multiscale and level > 0 and level % 2 == 0

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] to [n, out_channels, h, w]."""
        image, encoded = x, []
        for level, block in enumerate(self.encoder):
            if self._stacked(level):
                small = F.interpolate(image, size=x.shape[2:], mode="bilinear", align_corners=False)
                x = torch.cat([x, small], 1)
            x = block(x)
            encoded.append(x)
        for block in self.center_block:
            x = block(x)
        for block in self.decoder:
            x = block(torch.cat([encoded.pop(), x], 1))
        return F.interpolate(x, scale_factor=2.0**_EXTRA) if self.high_res else x


def recognise(state: Mapping[str, Tensor]) -> Arguments | None:
    """Read the arguments of `HistoPlexer` off a state dict; None if it is of another family."""
    keys = ("encoder.0", "center_block.0", "center_block.1", "decoder.0")
    if not all(is_conv(state, f"{key}.conv1.weight", 3) for key in keys):
        return None
    if "feature_integration.weight" in state:  # takes another network's features, too
        return None
    downs, ups = (_count(state, half) for half in ("encoder", "decoder"))
    depth = ups + 1
    if not (_FEWEST_DEPTH <= depth <= _MOST_DEPTH and downs - ups in (0, _EXTRA)):
        return None
    last = shape_of(state, f"decoder.{ups - 1}.conv1.weight")
    return {
        "in_channels": shape_of(state, "encoder.0.conv1.weight")[1],
        "out_channels": last[0],
        "ngf": last[1] // 2,
        "depth": depth,
        "high_res": downs - ups == _EXTRA,
        "multiscale": "to_imc.0.conv1.weight" in state,
    }


def _count(state: Mapping[str, Tensor], half: str) -> int:
    """How many blocks a half has."""
    count = 0
    while f"{half}.{count}.conv1.weight" in state and count < _MOST_DEPTH + _EXTRA:
        count += 1
    return count


def _stride(arguments: Arguments) -> int:
    extra = _EXTRA if arguments.get("high_res", True) else 0
    return int(2 ** (arguments.get("depth", 6) + extra))


HISTOPLEXER = Family(
    "histoplexer", HistoPlexer, recognise, _stride, cell=1024, value_range=(0.0, 1.0)
)
