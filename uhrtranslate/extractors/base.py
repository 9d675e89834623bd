"""What all feature extractors have in common."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Patches = NDArray[np.uint8]
Features = NDArray[np.float32]

BATCH = 16  # patches at once


class Extractor(Protocol):
    """Turns patches into features that populations are compared by.

    Attributes:
        name: travels with every figure; figures of extractors of different names never compare.
        size: how many features a patch has.
    """

    name: str
    size: int

    def features(self, patches: Patches) -> Features:
        """Features [n, size] float32 of patches [n, h, w, 3] uint8."""


def in_batches(
    network: Callable[[Tensor], Tensor], patches: Patches, size: int, device: torch.device | str
) -> Features:
    """Features [n, size] of patches [n, h, w, 3] uint8; the network takes -1..1, 16 at a time."""
    found = [torch.empty(0, size)]
    with torch.inference_mode():
        for start in range(0, len(patches), BATCH):
            found.append(network(to_tensor(patches[start : start + BATCH], device)).cpu())
    return torch.cat(found).numpy()


def to_tensor(patches: Patches, device: torch.device | str = "cpu") -> Tensor:
    """Patches [n, h, w, 3] uint8 to [n, 3, h, w] float32 in -1..1.

    Raises:
        ValueError: the shape or dtype is another.
    """
    array: NDArray[Any] = np.asarray(patches)
    if array.ndim != 4 or array.shape[-1] != 3 or array.dtype != np.uint8:
        raise ValueError(f"patches [n, h, w, 3] of uint8 are needed, not {array.shape}")
    tensor = torch.from_numpy(np.ascontiguousarray(array)).to(device)
    return tensor.permute(0, 3, 1, 2).float() / 127.5 - 1
