"""Small learned heads that features are compared behind."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _Projector(nn.Module):
    """Two layers for each layer of features.

    Args:
        channels: of each layer's features.
        width: of both layers.
    """

    layer: Callable[[int, int], nn.Module]

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        layer = type(self).layer
        self.heads = nn.ModuleList(
            nn.Sequential(layer(c, width), nn.ReLU(), layer(width, width)) for c in channels
        )


class MlpProjector(_Projector):
    """CUT's projector: two linear layers, then unit length; see `_Projector`."""

    layer = nn.Linear

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Project features at places.

        Args:
            features: [n, c, h, w] each.
            places: flat indices into h * w, [q] int64 each.

        Returns: [n, q, width] each, unit length along the last axis, float32.
        """
        projected = []
        for head, feature, place in zip(self.heads, features, places, strict=True):
            taken = feature.flatten(2)[:, :, place].transpose(1, 2)  # [n, q, c]
            projected.append(F.normalize(head(taken).float(), dim=-1))
        return projected


class ConvProjector(_Projector):
    """LSeSim's projections: two 1 x 1 convolutions; see `_Projector`."""

    layer = partial(nn.Conv2d, kernel_size=1)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """[n, c, h, w] each to [n, width, h, w] each."""
        return [head(feature) for head, feature in zip(self.heads, features, strict=True)]


def draw_places(features: Sequence[Tensor], count: int) -> list[Tensor]:
    """Different places in each layer, at most `count`; drawn on the CPU, alike on all devices.

    Returns: flat indices into h * w, [q] int64 each, on the features' devices.
    """
    return [
        torch.randperm(feature[0, 0].numel())[:count].to(feature.device) for feature in features
    ]
