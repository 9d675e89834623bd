"""A cluster that has been reached."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client


@dataclass(frozen=True)
class Reached:
    """A client, and what keeps the cluster as large as it was asked to be.

    Attributes:
        client: connected to the scheduler.
        tend: called from time to time with the number of workers.
    """

    client: "Client"
    tend: Callable[[int], None] = lambda workers: None
