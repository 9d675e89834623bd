"""The ResNet generator of the KIN, DN and URUST authors (Ho 2022 and 2024).

A CycleGAN generator with learned resampling after (down) and before (up) an ordinary convolution,
so the norms of these blocks act at the larger size. VirtualMultiplexer (Pati 2024) took it over,
with strided convolutions instead unless told otherwise.
"""

from collections.abc import Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.models.family import (
    MAX_BLOCKS,
    Arguments,
    Family,
    is_conv,
    shape_of,
)
from uhrtranslate.models.resnet import two_convolutions
from uhrtranslate.models.stages import Stage, chain


class Down(nn.Module):
    """3x3 convolution, norm, ReLU, then a strided convolution to half the size."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.instancenorm = nn.InstanceNorm2d(2 * channels, affine=affine)
        self.downsample = nn.Sequential()
        self.downsample.add_module("pad", nn.ReflectionPad2d(1))
        self.downsample.add_module("conv", nn.Conv2d(2 * channels, 2 * channels, 3, stride=2))

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, 2c, h/2, w/2]."""
        y: Tensor = self.downsample(F.relu(self.instancenorm(self.conv(x))))
        return y


class Up(nn.Module):
    """Transposed convolution to double the size, then 3x3 convolution, norm, ReLU."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        double = nn.Sequential(
            nn.ReplicationPad2d(1),
            nn.ConvTranspose2d(channels, channels, 4, stride=2, padding=3),
        )
        self.upsample = nn.Sequential()
        self.upsample.add_module("model", double)
        self.conv = nn.Conv2d(channels, channels // 2, 3, padding=1)
        self.instancenorm = nn.InstanceNorm2d(channels // 2, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c/2, 2h, 2w]."""
        return F.relu(self.instancenorm(self.conv(self.upsample(x))))


class StridedDown(nn.Module):
    """3x3 convolution to half the size, norm, ReLU."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.instancenorm = nn.InstanceNorm2d(2 * channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, 2c, h/2, w/2]."""
        return F.relu(self.instancenorm(self.conv(x)))


class StridedUp(nn.Module):
    """3x3 transposed convolution to double the size, norm, ReLU."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.upsample = nn.ConvTranspose2d(
            channels, channels // 2, 3, stride=2, padding=1, output_padding=1
        )
        self.instancenorm = nn.InstanceNorm2d(channels // 2, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c/2, 2h, 2w]."""
        return F.relu(self.instancenorm(self.upsample(x)))


class Block(nn.Module):
    """x + two 3x3 convolutions of x, at the same size."""

    def __init__(self, channels: int, affine: bool) -> None:
        super().__init__()
        self.model = two_convolutions(channels, False, affine, True, "instance")

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, c, h, w]."""
        y: Tensor = x + self.model(x)
        return y


class KaminyouGenerator(nn.Module):
    """Two halvings, `n_blocks` residual blocks, two doublings, tanh.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        ngf: channels after the first convolution; twice and four times that further inside.
        n_blocks: number of residual blocks.
        affine: whether the instance norms have weight and bias.
        antialias: halve after a convolution, learned; otherwise with its stride.
        antialias_up: double before a convolution, learned; otherwise with its stride.
    """

    def __init__(
        self,
        in_channels: int = 3,
        out_channels: int = 3,
        ngf: int = 64,
        n_blocks: int = 9,
        affine: bool = False,
        antialias: bool = True,
        antialias_up: bool = True,
    ) -> None:
        super().__init__()
        self.block1 = nn.Sequential(
            nn.Conv2d(in_channels, ngf, 7, padding=3, padding_mode="reflect"),
            nn.InstanceNorm2d(ngf, affine=affine),
            nn.ReLU(inplace=True),
        )
        down, up = (Down if antialias else StridedDown), (Up if antialias_up else StridedUp)
        self.downsampleblock2 = down(ngf, affine)
        self.downsampleblock3 = down(2 * ngf, affine)
        self.resnetblocks4 = nn.Sequential(*(Block(4 * ngf, affine) for _ in range(n_blocks)))
        self.upsampleblock5 = up(4 * ngf, affine)
        self.upsampleblock6 = up(2 * ngf, affine)
        self.block7 = nn.Sequential(
            nn.ReflectionPad2d(3), nn.Conv2d(ngf, out_channels, 7), nn.Tanh()
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] to [n, out_channels, h, w], -1..1; sides multiples of 4."""
        x = self.downsampleblock3(self.downsampleblock2(self.block1(x)))
        x = self.upsampleblock6(self.upsampleblock5(self.resnetblocks4(x)))
        y: Tensor = self.block7(x)
        return y

    def stages(self) -> tuple[Stage, ...]:
        """See `Stage`."""
        head = nn.Sequential(self.block1, self.downsampleblock2, self.downsampleblock3)
        tail = nn.Sequential(self.upsampleblock5, self.upsampleblock6, self.block7)
        return chain(head, self.resnetblocks4, tail)


def recognise(state: Mapping[str, Tensor]) -> Arguments | None:
    """Read the arguments of `KaminyouGenerator` off a state dict; None if of another family."""
    first, last = "block1.0.weight", "block7.1.weight"
    if not (is_conv(state, first, 7) and is_conv(state, last, 7)):
        return None
    if "downsampleblock2.conv.weight" not in state:
        return None
    n_blocks = 0
    while f"resnetblocks4.{n_blocks}.model.1.weight" in state and n_blocks < MAX_BLOCKS:
        n_blocks += 1
    ngf, in_channels = shape_of(state, first)[:2]
    return {
        "in_channels": in_channels,
        "out_channels": shape_of(state, last)[0],
        "ngf": ngf,
        "n_blocks": n_blocks,
        "affine": "block1.1.weight" in state,
        "antialias": "downsampleblock2.downsample.conv.weight" in state,
        "antialias_up": "upsampleblock5.conv.weight" in state,
    }


KAMINYOU = Family("kaminyou", KaminyouGenerator, recognise, lambda arguments: 4)
