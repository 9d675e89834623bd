"""A network that says how one picture must be bent to lie on another, after RegGAN (Kong 2021)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2


class _Residual(nn.Module):
    """x + two 3x3 convolutions of x."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.body(x)
        return y


def _convolution(first: int, wide: int, side: int = 3) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(first, wide, side, padding=side // 2), nn.LeakyReLU(SLOPE))


class Registration(nn.Module):
    """A U-Net of residual blocks from two pictures to a displacement of each pixel.

    At the start, all displacements are 0. Inside, weights start by He's rule for leaky ReLU: with
    torch's own ones, what differs between pictures nearly vanishes on its way through so many
    layers, and at a rate of 0.002 displacements then grow beyond all bounds.

    Args:
        width: channels at full size; twice as many further inside, four times in the middle.
        levels: halvings; inputs have at least 2**levels px a side.
    """

    def __init__(self, width: int = 32, levels: int = 7) -> None:
        super().__init__()
        wide = [width, *[2 * width] * (levels - 1)]
        self.down = nn.ModuleList(
            nn.Sequential(_convolution(c, d), _Residual(d))
            for c, d in zip([6, *wide], wide, strict=False)
        )
        last = wide[-1]
        self.middle = nn.Sequential(
            _convolution(last, 4 * width, 1),
            *(_Residual(4 * width) for _ in range(3)),
            _convolution(4 * width, last, 1),
        )
        up = wide[::-1]
        self.up = nn.ModuleList(
            _convolution(below + skip, skip) for below, skip in zip([last, *up], up, strict=False)
        )
        self.refine = _Residual(width)
        self.out = nn.Conv2d(width, 2, 3, padding=1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, SLOPE)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        nn.init.zeros_(self.out.weight)

    def forward(self, result: Tensor, goal: Tensor) -> Tensor:
        """Displacements that bring a picture onto another, for `warp`.

        Args:
            result, goal: [n, 3, h, w] in -1..1 each.

        Returns: [n, 2, h, w], in px along x and y.
        """
        x, skipped = torch.cat([result, goal], 1), []
        for block in self.down:
            skipped.append(block(x))
            x = F.max_pool2d(skipped[-1], 2)
        x = self.middle(x)
        for block in self.up:
            skip = skipped.pop()
            x = F.interpolate(x, skip.shape[2:], mode="bilinear", align_corners=False)
            x = block(torch.cat([x, skip], 1))
        field: Tensor = self.out(self.refine(x))
        return field


def warp(x: Tensor, field: Tensor) -> Tensor:
    """A picture whose pixels are taken from displaced places; beyond its edges they go on.

    Args:
        x: [n, c, h, w].
        field: from each pixel to the place in x that it is taken from, [n, 2, h, w] in px.

    Returns: the shape of x.
    """
    h, w = x.shape[2:]
    ys = torch.arange(h, device=x.device, dtype=field.dtype)[:, None]
    xs = torch.arange(w, device=x.device, dtype=field.dtype)
    across = (field[:, 0] + xs) * (2 / max(w - 1, 1)) - 1
    down = (field[:, 1] + ys) * (2 / max(h - 1, 1)) - 1
    grid = torch.stack([across, down], -1)
    return F.grid_sample(x, grid, "bilinear", "border", align_corners=True)


def roughness(field: Tensor, squared: bool = True) -> Tensor:
    """How much displacements differ from pixel to pixel.

    Args:
        field: [n, 2, h, w] in px.
        squared: mean squares of the differences along x and y (RegGAN's code), or mean lengths (eq.
            8 of "Digital Staining with Knowledge Distillation").
    """
    steps = field.diff(dim=3), field.diff(dim=2)
    if squared:
        return torch.stack([(step**2).mean() for step in steps]).sum()
    # The root has no slope at 0, where all displacements start.
    return torch.stack([((step**2).sum(1) + 1e-12).sqrt().mean() for step in steps]).sum()
