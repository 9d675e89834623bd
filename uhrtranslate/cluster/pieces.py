"""What is sent to workers, and what comes back; schedulers read it without importing torch."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Piece:
    """An order on its way to a worker.

    Attributes:
        key: of this piece, and of no other of any run.
        order: what is to be done, an `Order` as bytes, so that only the worker reads it.
        topic: under which events are reported.
        folder: the client's current one, which relative paths are meant from.
        version: of the client.
        seconds: the least time between two reports of progress.
    """

    key: str
    order: bytes
    topic: str
    folder: str
    version: str
    seconds: float


@dataclass(frozen=True)
class Receipt:
    """What a worker returns.

    Attributes:
        answer: of the order; None if it was not carried out.
        host: machine and worker, for people.
        error: what the order has raised.
        refused: why this worker cannot do any such thing, in a sentence.
        device: what the worker computes on, as far as bytes depend on it; None if on nothing yet.
    """

    answer: Any
    host: str
    error: Exception | None = None
    refused: str | None = None
    device: str | None = None
