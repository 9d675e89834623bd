"""Thumbnail instance normalization (URST): one mean and std for the whole image."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from uhrtranslate.normalizers.base import Normalizer


@dataclass(frozen=True)
class TIN(Normalizer):
    """The statistics of a thumbnail of the whole image, a table of one entry."""

    source: ClassVar[Literal["cells", "thumbnail"]] = "thumbnail"

    def weights(self, position: Tensor, cells: int) -> Tensor:
        """1 for the only entry; see `Normalizer.weights`."""
        if cells != 1:
            raise ValueError("TIN has a table of one entry")
        return torch.ones(len(position), 1, dtype=torch.float64)
