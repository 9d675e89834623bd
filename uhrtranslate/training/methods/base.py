"""What a method is: networks, and one step that says what is to be minimised by which of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Phase:
    """A loss, and who learns from it.

    Attributes:
        group: of networks, a key of `Method.groups`.
        loss: scalar with gradient.
        parts: its parts by name, unweighted, for the log.
    """

    group: str
    loss: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


class Method:
    """One way to train; `step` is a generator function, so it knows of no optimiser.

    Attributes:
        networks: all networks with weights, by name.
        groups: names of networks that one optimiser moves, by group.
        generators: names of the networks that are exported, by direction (A2B, B2A).
    """

    networks: nn.ModuleDict
    groups: dict[str, tuple[str, ...]]
    generators: dict[str, str]

    def step(self, a: Tensor, b: Tensor) -> Iterator[Phase]:
        """Losses of one step, one after the other.

        Between two of them, the loop has moved the weights of the first one's group.

        Args:
            a, b: patches of both domains, [n, 3, h, w] float32 in -1..1; paired methods are given
                pairs.
        """
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """What it remembers besides weights: tensors in lists and dicts."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Take `state` back."""
