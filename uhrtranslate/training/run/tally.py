"""The losses since the last line of the log, fetched from the device once for many steps."""

import math
from collections.abc import Sequence

import torch

from uhrtranslate.errors import TrainingError
from uhrtranslate.training.methods.base import Phase


class Tally:
    """Means of losses. Reading a loss waits for the device, so steps only store it.

    Args:
        sums: of earlier losses, as `read` returns them.
    """

    def __init__(self, sums: dict[str, list[float]] | None = None) -> None:
        self._sums = sums or {}
        self._waiting: list[tuple[int, Sequence[Phase]]] = []

    def add(self, step: int, phases: Sequence[Phase]) -> None:
        """Store the losses of a step; errors name its number."""
        self._waiting.append((step, phases))

    def read(self) -> dict[str, list[float]]:
        """Sum and count of each loss.

        Raises:
            TrainingError: a loss is infinite or NaN; names it and its step.
        """
        named = [
            (step, phase.group, name, loss)
            for step, phases in self._waiting
            for phase in phases
            for name, loss in (*phase.parts.items(), ("", phase.loss))
        ]
        self._waiting = []
        values = torch.stack([loss for *_, loss in named]).tolist() if named else []
        for (step, group, name, _), value in zip(named, values, strict=True):
            if not math.isfinite(value):
                name = name or "sum"
                raise TrainingError(f"step {step}: the loss {name!r} of the {group} is {value}")
            if name:
                tally = self._sums.setdefault(name, [0.0, 0.0])
                tally[0] += value
                tally[1] += 1
        return self._sums

    def means(self) -> dict[str, float]:
        """The mean of each loss; the sums are then cleared."""
        means = {name: total / count for name, (total, count) in self.read().items()}
        self._sums = {}
        return means
