"""The attention U-Net that DeepLIIF's code has beside pix2pix's (Oktay 2018; `AttU_Net` there).

As the family `unet` it halves its input down to one pixel, so it is not translation-covariant.
Before an encoder's maps are stacked on a decoder's they are scaled by a gate, a number of 0..1 for
every pixel that is computed from both. All norms are batch norms. Keys are those of the public
code.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from uhrtranslate.models.family import Arguments, Family, is_conv, shape_of

_MOST_DOWNS = 12  # a stride of 4096 px
_FEWEST_DOWNS = 5  # the channels double three times, and the innermost level has no gate


class Down(nn.Module):
    """Halve: a 4x4 convolution, a norm except at both ends, an activation."""

    def __init__(self, inputs: int, outputs: int, norm: bool, act: nn.Module) -> None:
        super().__init__()
        norms = [nn.BatchNorm2d(outputs)] if norm else []
        self.conv = nn.Sequential(nn.Conv2d(inputs, outputs, 4, 2, 1), *norms, act)

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, outputs, h/2, w/2]."""
        y: Tensor = self.conv(x)
        return y


class Up(nn.Module):
    """Double: a transposed 4x4 convolution, and a norm and ReLU, or tanh at the end."""

    def __init__(self, inputs: int, outputs: int, last: bool) -> None:
        super().__init__()
        rest = [nn.Tanh()] if last else [nn.BatchNorm2d(outputs), nn.ReLU()]
        self.up = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=last),
            *rest,
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, c, h, w] to [n, outputs, 2h, 2w]."""
        y: Tensor = self.up(x)
        return y


class Gate(nn.Module):
    """Scales the encoder's maps by what the decoder's make of them: an additive attention gate."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()

        def mixed(inputs: int, outputs: int) -> list[nn.Module]:
            return [nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs)]

        self.W_g = nn.Sequential(*mixed(channels, inner))
        self.W_x = nn.Sequential(*mixed(channels, inner))
        self.psi = nn.Sequential(*mixed(inner, 1), nn.Sigmoid())

    def forward(self, decoded: Tensor, encoded: Tensor) -> Tensor:
        """Two [n, c, h, w] to one: `encoded`, scaled."""
        scale: Tensor = self.psi((self.W_g(decoded) + self.W_x(encoded)).relu())
        return encoded * scale


class AttentionUnet(nn.Module):
    """U-Net with gated skip connections and `n_downs` halvings.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        ngf: channels after the first convolution; up to eight times that further inside.
        n_downs: number of halvings, at least 5; the input's sides are multiples of 2**n_downs.

    Raises:
        ValueError: fewer than 5 halvings.
    """

    def __init__(
        self, in_channels: int = 3, out_channels: int = 3, ngf: int = 64, n_downs: int = 8
    ) -> None:
        super().__init__()
        if n_downs < _FEWEST_DOWNS:
            raise ValueError(f"n_downs is {n_downs}; it must be at least {_FEWEST_DOWNS}")
        self.n_downs = n_downs
        wide = [ngf * min(2**level, 8) for level in range(n_downs)]
        # Levels are counted from 1, as in the keys.
        for level in range(1, n_downs + 1):
            first, last = level == 1, level == n_downs
            act = nn.ReLU() if last else nn.LeakyReLU(0.2)
            inputs = in_channels if first else wide[level - 2]
            self.add_module(f"Conv{level}", Down(inputs, wide[level - 1], not (first or last), act))
        for level in range(n_downs, 0, -1):
            outputs = out_channels if level == 1 else wide[level - 2]
            inputs = wide[level - 1] * (1 if level == n_downs else 2)
            self.add_module(f"Up{level}", Up(inputs, outputs, level == 1))
            if level > 1:
                # Inside, where channels no longer double, gates do not halve them either.
                inner = outputs if level > 4 else outputs // 2
                self.add_module(f"Att{level}", Gate(outputs, inner))

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] to [n, out_channels, h, w], in -1..1."""
        encoded = []
        for level in range(1, self.n_downs + 1):
            x = self.get_submodule(f"Conv{level}")(x)
            encoded.append(x)
        encoded.pop()
        for level in range(self.n_downs, 1, -1):
            x = self.get_submodule(f"Up{level}")(x)
            gated = self.get_submodule(f"Att{level}")(x, encoded.pop())
            x = torch.cat([gated, x], 1)
        y: Tensor = self.get_submodule("Up1")(x)
        return y


def recognise(state: Mapping[str, Tensor]) -> Arguments | None:
    """Read the arguments of `AttentionUnet` off a state dict; None if it is of another family."""
    first, last, gate = "Conv1.conv.0.weight", "Up1.up.0.weight", "Att2.psi.0.weight"
    if not (is_conv(state, first, 4) and is_conv(state, last, 4) and is_conv(state, gate, 1)):
        return None
    n_downs = 1
    while f"Conv{n_downs + 1}.conv.0.weight" in state and n_downs < _MOST_DOWNS:
        n_downs += 1
    if n_downs < _FEWEST_DOWNS:
        return None
    ngf, in_channels = shape_of(state, first)[:2]
    return {
        "in_channels": in_channels,
        "out_channels": shape_of(state, last)[1],  # transposed: [in, out, h, w]
        "ngf": ngf,
        "n_downs": n_downs,
    }


ATTENTION_UNET = Family(
    "attention-unet",
    AttentionUnet,
    recognise,
    lambda a: int(2 ** a.get("n_downs", 8)),
    covariant=False,
)
