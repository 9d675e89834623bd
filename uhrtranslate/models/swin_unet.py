"""A U-shaped generator of attention within windows, as DSTGAN (Du et al.) has it.

An embedding of 2 x 2 px and merging halve the picture down to 1/32; expanding doubles it again,
with a skip connection at each level and one from the input to the last convolution. Besides the
result, coarser features give pictures, too, for deep supervision in training.

Windows move with the tile, so the output depends on where a tile begins: the generator is not
translation-covariant, and its period is a window of the coarsest level. Its norm layers normalize
each place by itself, so there is nothing for a normalizer to replace.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from uhrtranslate.models.family import Arguments, Family, is_conv, shape_of
from uhrtranslate.models.windows import swin_blocks

FEWEST_LEVELS, MOST_LEVELS = 4, 8
# Memory grows with its fourth power, whatever the size of the file that asks for it.
MOST_WINDOW = 32
_MOST_BLOCKS = 50
# Halvings behind the coarsest picture of deep supervision, and behind the middle one.
_COARSE, _MIDDLE = 4, 2


class Merge(nn.Module):
    """Halve: 2 x 2 features become one of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.linear = nn.Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[n, h, w, c] to [n, h / 2, w / 2, 2c]."""
        n, h, w, c = x.shape
        squares = x.view(n, h // 2, 2, w // 2, 2, c).transpose(2, 3)
        y: Tensor = self.linear(self.norm(squares.reshape(n, h // 2, w // 2, 4 * c)))
        return y


class Expand(nn.Module):
    """Enlarge: each feature becomes `factor` x `factor` of other channels."""

    def __init__(self, channels: int, factor: int, out: int) -> None:
        super().__init__()
        self.factor = factor
        self.linear = nn.Linear(channels, factor * factor * out, bias=False)
        self.norm = nn.LayerNorm(out)

    def forward(self, x: Tensor) -> Tensor:
        """[n, h, w, c] to [n, factor * h, factor * w, out]."""
        n, h, w, _ = x.shape
        f = self.factor
        squares = self.linear(x).view(n, h, w, f, f, -1).transpose(2, 3)
        y: Tensor = self.norm(squares.reshape(n, f * h, f * w, -1))
        return y


class Head(nn.Module):
    """A picture made of features and the input picture."""

    def __init__(self, channels: int, factor: int, inner: int, extra: int, out: int) -> None:
        super().__init__()
        self.expand = Expand(channels, factor, inner)
        self.conv = nn.Conv2d(inner + extra, out, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor, picture: Tensor | None) -> Tensor:
        """[n, h, w, c], and the input [n, extra, fh, fw] or None, to [n, out, fh, fw] in -1..1."""
        features = self.expand(x).permute(0, 3, 1, 2)
        if picture is not None:
            features = torch.cat([features, picture.to(features.dtype)], 1)
        return torch.tanh(self.conv(features))


class SwinEncoder(nn.Module):
    """Features at 1/2, 1/4, ... of the picture's size; see `SwinUnet` for the arguments."""

    def __init__(
        self, in_channels: int, width: int, depths: Sequence[int], heads: Sequence[int],
        window: int, ratio: int, drops: Sequence[Sequence[float]],
    ) -> None:  # fmt: skip
        super().__init__()
        self.embed = nn.Conv2d(in_channels, width, 2, 2)
        self.norm = nn.LayerNorm(width)
        levels = range(len(depths))
        self.merges = nn.ModuleList(Merge(width * 2**i) for i in levels[:-1])
        self.levels = nn.ModuleList(
            swin_blocks(depths[i], width * 2**i, heads[i], window, ratio, drops[i]) for i in levels
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """[n, c, h, w] to [n, h / 2, w / 2, width], [n, h / 4, w / 4, 2 * width], ..."""
        features = [self.levels[0](self.norm(self.embed(x).permute(0, 2, 3, 1)))]
        for merge, blocks in zip(self.merges, self.levels[1:], strict=True):
            features.append(blocks(merge(features[-1])))
        return features


class SwinDecoder(nn.Module):
    """Pictures from an encoder's features; see `SwinUnet` for the arguments."""

    def __init__(
        self, in_channels: int, out_channels: int, width: int, depths: Sequence[int],
        heads: Sequence[int], window: int, ratio: int, drops: Sequence[Sequence[float]], deep: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        levels = range(len(depths))
        wide = [width * 2**i for i in range(len(depths) + 1)]
        # By level, the finest first, as in the encoder.
        self.expands = nn.ModuleList(Expand(wide[i + 1], 2, wide[i]) for i in levels)
        self.joins = nn.ModuleList(nn.Linear(2 * wide[i], wide[i]) for i in levels)
        self.levels = nn.ModuleList(
            swin_blocks(depths[i], wide[i], heads[i], window, ratio, drops[i]) for i in levels
        )
        inner = max(width // 2, 1)
        self.head = Head(width, 2, inner, in_channels, out_channels)
        # Where the pictures of deep supervision are made, coarse first.
        self.places = (min(len(depths), _COARSE) - 1, _MIDDLE - 1)
        self.deep = nn.ModuleList(
            Head(wide[i], 2 ** (i + 1), inner, 0, out_channels) for i in self.places if deep
        )

    def forward(self, features: Sequence[Tensor], picture: Tensor, every: bool) -> list[Tensor]:
        """Features of the encoder and its input to pictures [n, out, h, w], the result last.

        Args:
            features: see `SwinEncoder`.
            picture: its input.
            every: also give those of deep supervision, coarse first.
        """
        x = features[-1]
        pictures = []
        for i in reversed(range(len(self.levels))):
            x = self.joins[i](torch.cat([self.expands[i](x), features[i]], -1))
            x = self.levels[i](x)
            if every and i in self.places and len(self.deep):
                pictures.append(self.deep[self.places.index(i)](x, None))
        return [*pictures, self.head(x, picture)]


class SwinUnet(nn.Module):
    """The generator of DSTGAN; Swin-Unet without the embedding of 4 x 4 px.

    Args:
        in_channels: channels of the input, 1 for grey.
        out_channels: channels of the output.
        width: channels at half of the size; they double with each level.
        depths: blocks of each level of the encoder, at 1/2, 1/4, ... of the size; 4 to 8 levels.
        up_depths: blocks of each level of the decoder, in the same order; one level less.
        heads: of attention at each level; each divides its level's channels.
        window: side of the windows in features.
        mlp: hidden channels of the perceptrons, as a multiple.
        drop_path: greatest share of samples that skip a block in training, at the coarsest level;
            no key tells it and eval mode ignores it.
        deep: whether it has the heads of deep supervision.

    Raises:
        ValueError: the numbers do not fit together.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 3,
        width: int = 48,
        depths: Sequence[int] = (2, 2, 2, 2, 2),
        up_depths: Sequence[int] = (2, 2, 2, 2),
        heads: Sequence[int] = (1, 3, 6, 12, 24),
        window: int = 8,
        mlp: int = 4,
        drop_path: float = 0.2,
        deep: bool = True,
    ) -> None:
        super().__init__()
        check_levels(width, depths, up_depths, heads, window)
        down, up = _drops(depths, drop_path), _drops(up_depths, drop_path)
        rest = (window, mlp)
        self.encoder = SwinEncoder(in_channels, width, depths, heads, *rest, down)
        self.decoder = SwinDecoder(
            in_channels, out_channels, width, up_depths, heads, *rest, up, deep
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, in_channels, h, w] to [n, out_channels, h, w], in -1..1; sides fit the stride."""
        y: Tensor = self.decoder(self.encoder(x), x, False)[-1]
        return y

    @torch.no_grad()
    def start_from_grey(self) -> None:
        """Make the last convolution hand the input's last channel on: training begins with it.

        Coarser pictures have no such way; they begin with nothing.
        """
        weight = self.decoder.head.conv.weight
        weight[:, -1].zero_()
        weight[:, -1, 1, 1] = 1

    def pictures(self, x: Tensor) -> list[Tensor]:
        """All outputs, each [n, out_channels, h, w]: those of deep supervision, and the result."""
        made: list[Tensor] = self.decoder(self.encoder(x), x, True)
        return made


def check_levels(
    width: int, depths: Sequence[int], up_depths: Sequence[int], heads: Sequence[int], window: int
) -> None:
    """Check that the levels of a `SwinUnet` fit together.

    Raises:
        ValueError: they do not; a sentence says which.
    """
    levels = len(depths)
    if not FEWEST_LEVELS <= levels <= MOST_LEVELS:
        raise ValueError(
            f"depths has {levels} levels; it must have {FEWEST_LEVELS} to {MOST_LEVELS}"
        )
    if len(up_depths) != levels - 1:
        raise ValueError(f"up_depths has {len(up_depths)} levels; it must have {levels - 1}")
    if len(heads) != levels:
        raise ValueError(f"heads has {len(heads)} levels; it must have {levels}, as depths")
    if min(depths) < 1 or max(*depths, *up_depths) > _MOST_BLOCKS:
        raise ValueError(f"a level of depths must have 1 to {_MOST_BLOCKS} blocks")
    if not 2 <= window <= MOST_WINDOW:
        raise ValueError(f"window is {window}; it must be 2 to {MOST_WINDOW}")
    for level, count in enumerate(heads):
        if count < 1 or (width * 2**level) % count:
            raise ValueError(f"heads {count} do not divide the {width * 2**level} channels")


def _drops(depths: Sequence[int], most: float) -> list[list[float]]:
    """The share of each block: rising evenly with the depth, as Swin has it."""
    ends = list(accumulate(depths))
    total = max(ends[-1] - 1, 1)
    return [
        [most * i / total for i in range(end - depth, end)]
        for end, depth in zip(ends, depths, strict=True)
    ]


def recognise(state: Mapping[str, Tensor]) -> Arguments | None:
    """Read the arguments of `SwinUnet` off a state dict; None if it is of another family."""
    if not (is_conv(state, "encoder.embed.weight", 2) and "decoder.head.conv.weight" in state):
        return None
    width, in_channels = shape_of(state, "encoder.embed.weight")[:2]
    levels = 1 + sum(f"encoder.merges.{i}.linear.weight" in state for i in range(MOST_LEVELS))
    first = [f"encoder.levels.{i}.0" for i in range(levels)]
    biases = [shape_of(state, f"{block}.attention.relative") for block in first]
    hidden = shape_of(state, f"{first[0]}.mlp.0.weight")
    if levels < FEWEST_LEVELS or not all(len(bias) == 2 for bias in biases) or 0 in hidden[:2]:
        return None
    return {
        "in_channels": in_channels,
        "out_channels": shape_of(state, "decoder.head.conv.weight")[0],
        "width": width,
        "depths": tuple(_depth(state, f"encoder.levels.{i}") for i in range(levels)),
        "up_depths": tuple(_depth(state, f"decoder.levels.{i}") for i in range(levels - 1)),
        "heads": tuple(bias[0] for bias in biases),
        "window": (round(biases[0][1] ** 0.5) + 1) // 2,
        "mlp": hidden[0] // width,
        "deep": "decoder.deep.0.conv.weight" in state,
    }


def _depth(state: Mapping[str, Tensor], name: str) -> int:
    return sum(f"{name}.{j}.norm1.weight" in state for j in range(_MOST_BLOCKS))


def _stride(arguments: Arguments) -> int:
    return int(2 ** len(arguments.get("depths", range(5))))


def _period(arguments: Arguments) -> int:
    """Windows of the coarsest level; those of finer levels fit into them."""
    return _stride(arguments) * int(arguments.get("window", 8))


SWIN_UNET = Family("swin-unet", SwinUnet, recognise, _stride, covariant=False, period=_period)
