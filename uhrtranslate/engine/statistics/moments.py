"""The statistics that norm layers record for cells."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Statistics of some cells at every norm call.

    Attributes:
        mean, std: one [cells, c] float32 tensor per norm call.
    """

    mean: tuple[Tensor, ...]
    std: tuple[Tensor, ...]

    def to(self, device: torch.device) -> "Moments":
        """The same statistics on a device."""
        return Moments(
            tuple(mean.to(device) for mean in self.mean), tuple(std.to(device) for std in self.std)
        )

    def finite(self) -> Tensor:
        """Cells whose statistics are finite at every norm call, [cells] bool."""
        good = [
            torch.isfinite(mean).all(1) & torch.isfinite(std).all(1)
            for mean, std in zip(self.mean, self.std, strict=True)
        ]
        return torch.stack(good).all(0)


def joined(parts: Sequence[Moments]) -> Moments:
    """Concatenate the statistics of consecutive cells; there must be at least one part."""
    return Moments(
        tuple(torch.cat(mean) for mean in zip(*(part.mean for part in parts), strict=True)),
        tuple(torch.cat(std) for std in zip(*(part.std for part in parts), strict=True)),
    )
