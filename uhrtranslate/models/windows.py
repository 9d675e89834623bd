"""Attention within windows (Swin, Liu 2021): features are [n, h, w, c] throughout.

Every second block shifts its windows by half, so that neighbours talk to each other. Windows at the
ends of an odd-sized field are filled up, and what fills them is hidden, so any size will do.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Added to the logits of pairs that must not see each other; in half precision still finite.
HIDDEN = -30_000.0
SPREAD = 0.02


class WindowAttention(nn.Module):
    """Attention among the features of a window, with a bias for each relative place.

    Args:
        channels: of the features, a multiple of `heads`.
        heads: of attention.
        window: side in features.
    """

    def __init__(self, channels: int, heads: int, window: int) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv = nn.Linear(channels, 3 * channels)
        self.out = nn.Linear(channels, channels)
        # One number for each head and each (dy, dx) in -(window - 1)..window - 1.
        self.relative = nn.Parameter(SPREAD * torch.randn(heads, (2 * window - 1) ** 2))

    def forward(self, x: Tensor, hidden: Tensor | None) -> Tensor:
        """Attend within each window.

        Args:
            x: [n * windows, window**2, c].
            hidden: [windows, window**2, window**2], what to add to the logits; None: nothing.

        Returns: the shape of x.
        """
        b, places, c = x.shape
        qkv = self.qkv(x).view(b, places, 3, self.heads, c // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # [b, heads, places, d]
        pairs = relative_places(self.window, x.device)
        bias = self.relative[:, pairs].view(1, self.heads, places, places)
        if hidden is not None:
            bias = bias + hidden[:, None]  # [windows, heads, places, places]
            bias = bias.repeat(b // len(hidden), 1, 1, 1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype))
        made: Tensor = self.out(y.transpose(1, 2).reshape(b, places, c))
        return made


class SwinBlock(nn.Module):
    """Attention within windows and a perceptron, each added to what came in.

    Args:
        channels: of the features.
        heads: of attention.
        window: side of the windows in features.
        shifted: whether windows are shifted by half of their side.
        ratio: of the perceptron's hidden channels to `channels`.
        drop: share of samples that skip each of both parts in training (stochastic depth).
    """

    def __init__(
        self, channels: int, heads: int, window: int, shifted: bool, ratio: int, drop: float
    ) -> None:
        super().__init__()
        self.window, self.drop = window, drop
        self.shift = window // 2 if shifted else 0
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = nn.Sequential(
            nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[n, h, w, c] to the same shape."""
        x = x + self._dropped(self._attend(self.norm1(x)))
        y: Tensor = x + self._dropped(self.mlp(self.norm2(x)))
        return y

    def _attend(self, x: Tensor) -> Tensor:
        n, h, w, _ = x.shape
        side = self.window
        # One window sees all of its axis; there is nothing to shift.
        shift = (self.shift if h > side else 0, self.shift if w > side else 0)
        tall, wide = -(-h // side) * side, -(-w // side) * side
        if (tall, wide) != (h, w):
            x = F.pad(x, (0, 0, 0, wide - w, 0, tall - h))
        if any(shift):
            x = x.roll((-shift[0], -shift[1]), (1, 2))
        hidden = None
        if any(shift) or (tall, wide) != (h, w):
            hidden = _hidden((tall, wide), (h, w), side, shift, x.device)
        y = merged(self.attention(cut(x, side), hidden), n, tall, wide)
        if any(shift):
            y = y.roll(shift, (1, 2))
        return y[:, :h, :w]

    def _dropped(self, x: Tensor) -> Tensor:
        """Leave out some samples in training; the others count for them."""
        if not self.training or self.drop == 0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= self.drop
        return x * kept.to(x.dtype) / (1 - self.drop)


def swin_blocks(
    count: int, channels: int, heads: int, window: int, ratio: int, drops: Sequence[float]
) -> nn.Sequential:
    """Blocks whose windows are shifted in every second one; `drops` has a share for each."""
    kinds = enumerate(drops[:count])
    return nn.Sequential(
        *(SwinBlock(channels, heads, window, i % 2 == 1, ratio, drop) for i, drop in kinds)
    )


def cut(x: Tensor, side: int) -> Tensor:
    """[n, h, w, c] into windows, [n * windows, side**2, c]; sides are multiples of `side`."""
    n, h, w, c = x.shape
    parts = x.view(n, h // side, side, w // side, side, c)
    return parts.transpose(2, 3).reshape(-1, side * side, c)


def merged(windows: Tensor, n: int, h: int, w: int) -> Tensor:
    """The inverse of `cut`: [n, h, w, c]."""
    side = round(windows.shape[1] ** 0.5)
    parts = windows.view(n, h // side, w // side, side, side, -1)
    return parts.transpose(2, 3).reshape(n, h, w, -1)


@lru_cache(maxsize=16)
def relative_places(window: int, device: torch.device) -> Tensor:
    """For each pair of a window's places, which of its relative places they have, [window**4]."""
    with torch.inference_mode(False):  # it is kept, and training may ask for it next
        place = torch.arange(window * window, device=device)
        y, x = place // window, place % window
        dy = y[:, None] - y[None] + window - 1
        dx = x[:, None] - x[None] + window - 1
        return (dy * (2 * window - 1) + dx).flatten()


def _hidden(
    size: tuple[int, int],
    filled: tuple[int, int],
    side: int,
    shift: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """What keeps places apart that only rolling has brought together, and hides what fills up.

    Args:
        size: height and width of the rolled features, multiples of `side`.
        filled: of it, how much is no filling, before it was rolled.
        side: of the windows.
        shift: by which it was rolled up and left.
        device: of the result.

    Returns: [windows, side**2, side**2], 0 or `HIDDEN`.
    """
    kinds = []
    for length, true, by in zip(size, filled, shift, strict=True):
        place = torch.arange(length, device=device)
        before = (place + by) % length  # where the feature was before rolling
        kind = (before < place).long()  # 1: rolled in from the other end
        kinds.append(torch.where(before < true, kind, 2))
    kind = (3 * kinds[0][:, None] + kinds[1][None])[None, :, :, None]
    ids = cut(kind, side)[..., 0]  # [windows, side**2]
    return HIDDEN * (ids[:, :, None] != ids[:, None]).float()
