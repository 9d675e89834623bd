"""Thumbnail instance normalization (URST): one mean and std for the whole image."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor


@dataclass(frozen=True)
class TIN:
    """The statistics of a thumbnail of the whole image, a table of one entry."""

    name: ClassVar[str] = "tin"
    fade: ClassVar[float] = 1e-6
    averages_rstd: ClassVar[bool] = True
    reach: int = 0
    reciprocal_eps: float = 0.0

    def weights(self, position: Tensor, cells: int) -> Tensor:
        """1 for the only entry; see `Normalizer.weights`."""
        if cells != 1:
            raise ValueError("TIN has a table of one entry")
        return torch.ones(len(position), 1, dtype=torch.float64)
