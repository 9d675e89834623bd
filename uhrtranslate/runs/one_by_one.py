"""Results that are made one after the other by functions; a failure does not stop the others."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from uhrtranslate.io import can_resume
from uhrtranslate.options import ImageOptions
from uhrtranslate.runs.events import ImageResult, OnEvent
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.runs.outputs import is_one_output
from uhrtranslate.runs.record import RunRecord

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """One result to be made.

    Attributes:
        name: of its input, or of itself.
        target: its file; None if there will be none.
        options: that it is made with.
        make: makes it, and tells of it.
    """

    name: str
    target: Path | None
    options: ImageOptions
    make: Callable[[OnEvent], ImageResult]


def make_all(orders: Sequence[Order], output: Path | None, on_event: OnEvent) -> list[ImageResult]:
    """Make all results; failures are results too.

    Args:
        orders: in the order in which they are made.
        output: as the user named it; if it is a folder for all of them, a record is kept in it.
        on_event: called with every event.

    Raises:
        OutputError: the record cannot be written.
    """
    folder = None if output is None or is_one_output(output) else output
    results = []
    with RunRecord(folder) if folder else nullcontext() as record:
        for order in orders:
            try:
                result = order.make(on_event)
            except Exception as error:
                _log.debug("%s failed", order.name, exc_info=True)
                sentence = in_a_sentence(order.name, error)
                if order.target and "--resume" not in sentence and can_resume(order.target):
                    sentence = f"{sentence.rstrip('.')}; --resume goes on from where it was."
                result = ImageResult(order.name, output=None, status="failed", error=sentence)
                on_event(result)
            results.append(result)
            if record:
                record.add(result, order.options)
    return results
