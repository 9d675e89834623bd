"""Thumbnail instance normalization (URST): one mean and std for the whole image."""

from dataclasses import dataclass
from typing import Any, Literal, Self

import torch
from torch import Tensor

from uhrtranslate.normalizers.base import Normalizer
from uhrtranslate.options import TranslateOptions


@dataclass(frozen=True)
class TIN(Normalizer):
    """The statistics of a thumbnail of the whole image, a table of one entry.

    Attributes:
        thumbnail: of the aspect of the image, or square as in the public code.
    """

    source = "thumbnail"
    thumbnail: Literal["aspect", "square"] = "aspect"

    @classmethod
    def chosen(cls, options: TranslateOptions) -> Self:
        """See `Normalizer`."""
        return cls(thumbnail=options.thumbnail)

    def facts(self) -> dict[str, Any]:
        """See `Normalizer`."""
        return {"thumbnail": self.thumbnail}

    def weights(self, position: Tensor, cells: int) -> Tensor:
        """1 for the only entry; see `Normalizer.weights`."""
        if cells != 1:
            raise ValueError("TIN has a table of one entry")
        return torch.ones(len(position), 1, dtype=torch.float64)
