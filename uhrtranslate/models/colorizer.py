"""The teacher of "Digital Staining with Knowledge Distillation": grey gets colours, by CIE Lab.

A U-Net says a and b of each pixel from its lightness and that of its surroundings; the lightness
stays. It halves three times, so it is covariant with a stride of 8 px.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from uhrtranslate.models.family import (
    Arguments,
    Family,
    is_conv,
    make_norm,
    norm_arguments,
    shape_of,
)
from uhrtranslate.models.lab import lab_to_rgb, lightness

HALVINGS = 3


class Colorizer(nn.Module):
    """A U-Net from lightness to chroma.

    Args:
        in_channels, out_channels: 1 and 3, grey and its colours.
        ngf: channels at full size; twice as many after each halving.
        norm: "instance" or "batch".
        affine: whether instance norms have weight and bias.
        bias: whether convolutions before a norm have a bias.

    Raises:
        ValueError: another number of channels.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 3,
        ngf: int = 64,
        norm: str = "batch",
        affine: bool = False,
        bias: bool = False,
    ) -> None:
        super().__init__()
        if (in_channels, out_channels) != (1, 3):
            raise ValueError("a colorizer takes 1 channel and gives 3")

        def block(first: int, wide: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for c in (first, wide):
                around = {"padding": 1, "padding_mode": "reflect", "bias": bias}
                layers.append(nn.Conv2d(c, wide, 3, **around))  # type: ignore[arg-type]
                layers += [make_norm(norm, wide, affine), nn.ReLU()]
            return nn.Sequential(*layers)

        wide = [ngf * 2**i for i in range(HALVINGS + 1)]
        self.down = nn.ModuleList(block(c, d) for c, d in zip([1, *wide], wide, strict=False))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 4, 2, 1) for c in wide[-2::-1])
        self.join = nn.ModuleList(block(2 * c, c) for c in wide[-2::-1])
        self.chroma = nn.Conv2d(ngf, 2, 1)

    def colours(self, light: Tensor) -> Tensor:
        """L, [n, 1, h, w] in 0..1, to a and b, [n, 2, h, w] in units of `lab.CHROMA`, -1..1."""
        x, skipped = 2 * light - 1, []
        for number, block in enumerate(self.down):
            x = block(F.avg_pool2d(x, 2) if number else x)
            skipped.append(x)
        skipped.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat([up(x), skipped.pop()], 1))
        return torch.tanh(self.chroma(x))

    def forward(self, x: Tensor) -> Tensor:
        """Grey, [n, 1, h, w] in -1..1, to RGB, [n, 3, h, w] in -1..1; sides multiples of 8."""
        light = lightness(x)
        return lab_to_rgb(light, self.colours(light))


def recognise(state: Mapping[str, Tensor]) -> Arguments | None:
    """Read the arguments of `Colorizer` off a state dict; None if it is of another family."""
    first = "down.0.0.weight"
    if not (is_conv(state, first, 3) and is_conv(state, "chroma.weight", 1)):
        return None
    ngf, entry = shape_of(state, first)[:2]
    if entry != 1 or shape_of(state, "chroma.weight")[:2] != (2, ngf):
        return None
    return {
        "in_channels": entry,
        "out_channels": 3,
        "ngf": ngf,
        **norm_arguments(state, "down.0.1", "down.0.0"),
    }


COLORIZER = Family("colorizer", Colorizer, recognise, lambda arguments: 2**HALVINGS)
