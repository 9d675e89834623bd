"""Small learned heads that features are compared behind."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MlpProjector(nn.Module):
    """CUT's projector: two linear layers for each layer of features, then unit length.

    Args:
        channels: of each layer's features.
        width: of both linear layers.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(c, width), nn.ReLU(), nn.Linear(width, width)) for c in channels
        )

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


class ConvProjector(nn.Module):
    """LSeSim's projections: two 1 x 1 convolutions for each layer of features.

    Args:
        channels: of each layer's features.
        width: of both convolutions.
    """

    def __init__(self, channels: Sequence[int], width: int = 256) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, width, 1), nn.ReLU(), nn.Conv2d(width, width, 1))
            for c in channels
        )

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
