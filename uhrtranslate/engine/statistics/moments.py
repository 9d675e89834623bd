"""The statistics that norm layers record for cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
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

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The same as numpy arrays by name, for `of_arrays`."""
        named = {"mean": self.mean, "std": self.std}
        return {
            f"{name}/{call}": part.cpu().numpy()
            for name, parts in named.items()
            for call, part in enumerate(parts)
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Moments":
        """The statistics that `arrays` has given, on the CPU; others are ignored."""
        calls = range(sum(name.startswith("mean/") for name in arrays))
        return cls(
            tuple(torch.from_numpy(arrays[f"mean/{call}"]) for call in calls),
            tuple(torch.from_numpy(arrays[f"std/{call}"]) for call in calls),
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
    if len(parts) == 1:
        return parts[0]
    return Moments(
        tuple(torch.cat(mean) for mean in zip(*(part.mean for part in parts), strict=True)),
        tuple(torch.cat(std) for std in zip(*(part.std for part in parts), strict=True)),
    )
