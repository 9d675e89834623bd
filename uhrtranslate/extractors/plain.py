"""A feature extractor that needs no file: a small network of fixed random weights.

For machines without Inception weights. Random convolutions see colour and texture, at four scales;
they know nothing of objects. Figures by it rank translations of one data set, and compare with
figures of the same name only, never with a published FID.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from uhrtranslate.extractors.base import Features, Patches, in_batches

NAME = "uhrt-random-v1"
_CHANNELS = 16
_SCALES = 4
SIZE = 2 * (3 + _CHANNELS) * _SCALES


class PlainExtractor:
    """See `Extractor`; 152 features: mean and deviation of colours and of responses, by scale."""

    name = NAME
    size = SIZE

    def __init__(self, device: torch.device | str = "cpu") -> None:
        # The stream of RandomState is frozen for good: the same weights on all machines.
        random = np.random.RandomState(20241107)
        first, second = (
            torch.from_numpy(random.standard_normal((_CHANNELS, n, 3, 3)).astype(np.float32))
            for n in (3, _CHANNELS)
        )
        # Kernels without a sum answer to texture alone; colours are counted beside them.
        self._first = (first - first.mean((2, 3), keepdim=True)).to(device)
        self._second = (second / (9 * _CHANNELS) ** 0.5).to(device)
        self._device = device

    def features(self, patches: Patches) -> Features:
        """Features [n, 152] float32 of patches [n, h, w, 3] uint8, of 16 px or more.

        Raises:
            ValueError: the patches are smaller, or of another shape or type.
        """
        if len(patches) and min(patches.shape[1:3]) < 2**_SCALES:
            raise ValueError(f"patches of {patches.shape[1:3]}; {2**_SCALES} px are needed")
        return in_batches(self._of, patches, SIZE, self._device)

    def _of(self, x: Tensor) -> Tensor:
        parts = []
        for scale in range(_SCALES):
            if scale:
                x = F.avg_pool2d(x, 2)
            y = F.conv2d(F.pad(x, (1, 1, 1, 1), "replicate"), self._first)
            y = F.conv2d(F.pad(y.abs(), (1, 1, 1, 1), "replicate"), self._second)
            for maps in (x, y):
                parts += [maps.mean((2, 3)), maps.std((2, 3), correction=0)]
        return torch.cat(parts, 1)
