"""The ResNet generator of CycleGAN, CUT and LSeSim (Zhu 2017, Park 2020, Zheng 2021).

With `antialias` and `antialias_up` (CUT and LSeSim unless told otherwise) the network resamples
with a fixed blur; without (CycleGAN, pix2pix) with strided convolutions. Keys are those of the
public checkpoints, so a state dict loads as it is.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.models.family import (
    MAX_BLOCKS,
    Arguments,
    Family,
    is_conv,
    make_norm,
    norm_arguments,
    shape_of,
)
from uhrtranslate.models.stages import Stage, chain


def _binomial(weights: list[float], channels: int) -> Tensor:
    """Separable low-pass filter with unit sum, one copy per channel: [channels, 1, k, k]."""
    line = torch.tensor(weights)
    plane = torch.outer(line, line)
    return (plane / plane.sum()).expand(channels, 1, -1, -1).clone()


class BlurDown(nn.Module):
    """Low-pass filter [1, 2, 1], then every second pixel (Zhang 2019)."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", _binomial([1, 2, 1], channels))

    def forward(self, x: Tensor) -> Tensor:
        """Halve [n, c, h, w] to [n, c, h/2, w/2]."""
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, self.filt, stride=2, groups=self.filt.shape[0])


class BlurUp(nn.Module):
    """Insert zeros between pixels, then low-pass filter [1, 3, 3, 1]."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        # 4: three of four pixels are inserted zeros, so this keeps the mean.
        self.register_buffer("filt", _binomial([1, 3, 3, 1], channels) * 4)

    @property
    def is_bilinear(self) -> bool:
        """Whether this is what bilinear interpolation does: with the filter that is not learned."""
        return bool(torch.equal(self.filt, BlurUp(len(self.filt)).filt.to(self.filt)))

    def forward(self, x: Tensor) -> Tensor:
        """Double [n, c, h, w] to [n, c, 2h, 2w]."""
        x = F.pad(x, (1, 1, 1, 1), mode="replicate")
        # The replicated ring and the filter's ends make 3 px on each side, which are cut off.
        return F.conv_transpose2d(x, self.filt, stride=2, padding=3, groups=self.filt.shape[0])


def two_convolutions(
    channels: int, dropout: bool, affine: bool, bias: bool, norm: str, padding: str = "reflect"
) -> nn.Sequential:
    """The inside of a residual block: two 3x3 convolutions, each with a norm, at the same size."""

    def convolution() -> list[nn.Module]:
        own = 1 if padding == "zero" else 0
        return [
            *([] if own else [nn.ReflectionPad2d(1)]),
            nn.Conv2d(channels, channels, 3, padding=own, bias=bias),
            make_norm(norm, channels, affine),
        ]

    # Dropout has no weights, but it shifts the keys of all layers after it.
    middle = [nn.ReLU(inplace=True), *([nn.Dropout(0.5)] if dropout else [])]
    return nn.Sequential(*convolution(), *middle, *convolution())


class ResnetBlock(nn.Module):
    """x + two 3x3 convolutions of x, at the same size."""

    def __init__(
        self,
        channels: int,
        dropout: bool,
        affine: bool,
        bias: bool,
        norm: str,
        padding: str = "reflect",
    ) -> None:
        super().__init__()
        self.conv_block = two_convolutions(channels, dropout, affine, bias, norm, padding)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c, h, w]."""
        y: Tensor = x + self.conv_block(x)
        return y


class ResnetGenerator(nn.Module):
    """Two halvings, `n_blocks` residual blocks, two doublings, tanh.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        ngf: channels after the first convolution; twice and four times that further inside.
        n_blocks: number of residual blocks.
        antialias: halve with a fixed blur instead of a strided convolution.
        antialias_up: double with a fixed blur instead of a transposed convolution.
        dropout: whether the residual blocks have dropout (at 0.5; it does nothing in eval mode).
        affine: whether instance norms have weight and bias.
        bias: whether convolutions before a norm have a bias; the last one always has.
        norm: "instance" or "batch".
        padding: "reflect", or "zero" as DeepLIIF can be trained with.

    Raises:
        ValueError: another norm or padding.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        ngf: int = 64,
        n_blocks: int = 9,
        antialias: bool = False,
        antialias_up: bool = False,
        dropout: bool = False,
        affine: bool = False,
        bias: bool = True,
        norm: str = "instance",
        padding: str = "reflect",
    ) -> None:
        super().__init__()
        if padding not in ("reflect", "zero"):
            raise ValueError(f"padding is {padding!r}; it must be 'reflect' or 'zero'")
        pad = nn.ZeroPad2d if padding == "zero" else nn.ReflectionPad2d

        def act(channels: int) -> list[nn.Module]:
            return [make_norm(norm, channels, affine), nn.ReLU(inplace=True)]

        layers: list[nn.Module] = [
            pad(3),
            nn.Conv2d(in_channels, ngf, 7, bias=bias),
            *act(ngf),
        ]
        for c in (ngf, 2 * ngf):
            stride = 1 if antialias else 2
            layers += [nn.Conv2d(c, 2 * c, 3, stride=stride, padding=1, bias=bias), *act(2 * c)]
            if antialias:
                layers.append(BlurDown(2 * c))
        layers += [
            ResnetBlock(4 * ngf, dropout, affine, bias, norm, padding) for _ in range(n_blocks)
        ]
        for c in (4 * ngf, 2 * ngf):
            if antialias_up:
                layers += [BlurUp(c), nn.Conv2d(c, c // 2, 3, padding=1, bias=bias)]
            else:
                layers.append(
                    nn.ConvTranspose2d(
                        c, c // 2, 3, stride=2, padding=1, output_padding=1, bias=bias
                    )
                )
            layers += act(c // 2)
        layers += [pad(3), nn.Conv2d(ngf, out_channels, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    @property
    def encoder(self) -> list[nn.Module]:
        """The layers up to the last residual block: methods compare their outputs (CUT)."""
        return list(self.model)[: self._blocks[-1] + 1]

    def stages(self) -> tuple[Stage, ...]:
        """See `Stage`."""
        if not (blocks := self._blocks):
            return ()
        first, end = blocks[0], blocks[-1] + 1
        return chain(self.model[:first], list(self.model)[first:end], self.model[end:])

    @property
    def _blocks(self) -> list[int]:
        """Where the residual blocks are."""
        return [i for i, layer in enumerate(self.model) if isinstance(layer, ResnetBlock)]

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] to [n, out_channels, h, w], -1..1; sides multiples of 4."""
        y: Tensor = self.model(x)
        return y


def recognise(state: Mapping[str, Tensor]) -> Arguments | None:
    """Read the arguments of `ResnetGenerator` off a state dict; None if it is of another family."""
    if not (is_conv(state, "model.1.weight", 7) and is_conv(state, "model.4.weight", 3)):
        return None
    antialias = "model.7.filt" in state
    first = 12 if antialias else 10
    # Reflection is a layer of its own, and shifts the keys inside the blocks.
    zero = is_conv(state, f"model.{first}.conv_block.0.weight", 3)
    conv = 0 if zero else 1
    n_blocks = 0
    while f"model.{first + n_blocks}.conv_block.{conv}.weight" in state and n_blocks < MAX_BLOCKS:
        n_blocks += 1
    up = first + n_blocks
    antialias_up = f"model.{up}.filt" in state
    last = f"model.{up + (9 if antialias_up else 7)}.weight"
    if not is_conv(state, last, 7):
        return None
    block = f"model.{first}.conv_block"
    ngf, in_channels = shape_of(state, "model.1.weight")[:2]
    return {
        "in_channels": in_channels,
        "out_channels": shape_of(state, last)[0],
        "ngf": ngf,
        "n_blocks": n_blocks,
        "antialias": antialias,
        "antialias_up": antialias_up,
        "dropout": is_conv(state, f"{block}.{4 if zero else 6}.weight", 3),
        "padding": "zero" if zero else "reflect",
        **norm_arguments(state, "model.2", "model.1"),
    }


RESNET = Family("resnet", ResnetGenerator, recognise, lambda arguments: 4)
