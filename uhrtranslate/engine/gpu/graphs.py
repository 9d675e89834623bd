"""Forwards that are recorded once and replayed: a GPU is told of all its kernels at once.

Telling it of each of some hundred kernels takes the processor longer than the GPU takes to compute
them, and more so while other threads decode and encode.
"""

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

_log = logging.getLogger(__name__)
# Forwards before one is recorded: in the first ones kernels are compiled, and a batch that comes
# only once or twice is not worth it.
BEFORE = 2
# Recordings keep the memory of their features: so many at most, and each at most this share of a
# GPU's memory.
MOST, SHARE = 4, 0.05


class Graphs:
    """Functions of a batch, replayed where the same is asked for again.

    Args:
        device: a GPU.
        needed: bytes that a forward of so many px takes.
    """

    def __init__(self, device: torch.device, needed: Callable[[int], int]) -> None:
        self._device, self._needed = device, needed
        self._seen: Counter[Hashable] = Counter()
        self._made: dict[Hashable, _Graph] = {}

    def run(
        self, name: Hashable, forward: Callable[[Tensor], Sequence[Tensor]], x: Tensor
    ) -> Sequence[Tensor]:
        """What a function gives for a batch.

        Args:
            name: of the function, together with all that it depends on but x.
            forward: launches the same kernels for each x of a shape, and does not ask the GPU.
            x: the batch.
        """
        key = name, tuple(x.shape), x.dtype
        if graph := self._made.get(key):
            return graph.replay(x)
        self._seen[key] += 1
        # Decided once for each, since to ask what fits takes a forward.
        if self._seen[key] != BEFORE + 1 or not self._fits(x):
            return forward(x)
        try:
            graph = self._made[key] = _Graph(forward, x)
        except RuntimeError as error:  # too little memory, or something that cannot be recorded
            _log.debug("%s is not recorded: %s", key, error)
            return forward(x)
        return graph.replay(x)

    def _fits(self, x: Tensor) -> bool:
        if len(self._made) >= MOST:
            return False
        n, _, h, w = x.shape
        return self._needed(n * h * w) <= SHARE * _memory(self._device)


def _memory(device: torch.device) -> int:
    """Bytes of a GPU."""
    return int(torch.cuda.get_device_properties(device).total_memory)


class _Graph:
    def __init__(self, forward: Callable[[Tensor], Sequence[Tensor]], x: Tensor) -> None:
        self._x = x.clone()
        self._graph = torch.cuda.CUDAGraph()
        cuda: Any = torch.cuda  # where not all has types
        # A graph belongs to the current device. What other threads do meanwhile, on other streams,
        # is not recorded and no error.
        with (
            torch.cuda.device(x.device),
            torch.cuda.graph(
                self._graph,
                stream=cuda.Stream(device=x.device),
                capture_error_mode="thread_local",
            ),
        ):
            made = forward(self._x)
            # One tensor, so that one copy takes the results out.
            self._flat = torch.cat([part.flatten() for part in made])
        self._shapes = [part.shape for part in made]

    def replay(self, x: Tensor) -> Sequence[Tensor]:
        """The results for another batch."""
        self._x.copy_(x)
        with torch.cuda.device(x.device):
            self._graph.replay()
        sizes = [prod(shape) for shape in self._shapes]
        parts = torch.split(self._flat.clone(), sizes)
        return [part.view(shape) for part, shape in zip(parts, self._shapes, strict=True)]
