"""A memory of what features each prompt has, for the feature entropy loss (PathUp)."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class Prototypes(nn.Module):
    """A unit vector for each prompt, which follows the features of its samples.

    Args:
        count: prompts.
        width: of the features.
    """

    anchors: Tensor

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        # Anywhere on the sphere.
        self.register_buffer("anchors", F.normalize(torch.randn(count, width), dim=1))

    @torch.no_grad()
    def follow(self, features: Tensor, prompts: Tensor, use: Tensor, alpha: float) -> None:
        """Move the prototypes of the prompts that are present towards their samples' mean.

        k <- (alpha k + (1 - alpha) mean z) / |...|: the moving mean that the paper's equation
        stands for.

        Args:
            features: [n, d], unit vectors.
            prompts: [n] int64.
            use: [n] bool; other samples are passed over.
            alpha: how much stays.
        """
        weight = use.to(features.dtype)
        sums = torch.zeros_like(self.anchors).index_add_(0, prompts, features * weight[:, None])
        counts = weight.new_zeros(len(self.anchors)).index_add_(0, prompts, weight)
        if dist.is_available() and dist.is_initialized():  # the same memory in all processes
            dist.all_reduce(sums)
            dist.all_reduce(counts)
        moved = alpha * self.anchors + (1 - alpha) * sums / counts.clamp(min=1)[:, None]
        # Not in place, as the loss's gradient still needs them as they were.
        self.anchors = torch.where(counts[:, None] > 0, F.normalize(moved, dim=1), self.anchors)
