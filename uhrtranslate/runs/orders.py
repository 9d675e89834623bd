"""Many results in one run: a failure does not stop the others, and every result is recorded."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from uhrtranslate.io import can_resume
from uhrtranslate.options import ImageOptions
from uhrtranslate.runs.events import ImageResult, OnComputed, OnEvent
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.runs.outputs import is_one_output
from uhrtranslate.runs.overlapping import overlapping
from uhrtranslate.runs.record import RunRecord
from uhrtranslate.runs.side_by_side import side_by_side

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """One result to be made.

    Attributes:
        name: of its input, or of itself.
        target: its file; None if there will be none.
        options: that it is made with.
        make: makes it, tells of it, and says when the next may be begun.
    """

    name: str
    target: Path | None
    options: ImageOptions
    make: Callable[[OnEvent, OnComputed], ImageResult]


def make_all(orders: Sequence[Order], output: Path | None, on_event: OnEvent) -> list[ImageResult]:
    """Make all results, and record them; see `made` and `recorded`."""
    return recorded([order.options for order in orders], output, made(orders, on_event))


def made(
    orders: Sequence[Order], on_event: OnEvent, at_once: int | None = None
) -> Iterator[tuple[int, ImageResult]]:
    """Make results in this process; yield number and result of each as it is done.

    Failures are results too.

    Args:
        orders: in the order in which they are begun.
        on_event: called with every event.
        at_once: how many may be in progress at once, in threads. None: one, and the next is begun
            while it is finished.
    """

    def work(order: Order, tell: OnEvent, computed: OnComputed = lambda: None) -> ImageResult:
        try:
            return order.make(tell, computed)
        except Exception as error:
            result = failure(order.name, order.target, error)
            tell(result)
            return result

    if at_once is None:
        return overlapping(work, orders, on_event)
    return side_by_side(work, orders, at_once, on_event)


def recorded(
    options: Sequence[ImageOptions], output: Path | None, done: Iterable[tuple[int, ImageResult]]
) -> list[ImageResult]:
    """Gather results as they are done, and record each at once.

    Args:
        options: that each is made with.
        output: as the user named it; if it is a folder for all of them, a record is kept in it.
        done: number and result of each.

    Returns:
        Results in the order of the options.

    Raises:
        OutputError: the record cannot be written.
        Exception: what `done` raises.
    """
    folder = None if output is None or is_one_output(output) else output
    results = {}
    with RunRecord(folder) if folder else nullcontext() as record:
        for number, result in done:
            results[number] = result
            if record:
                record.add(result, options[number])
    return [results[number] for number in range(len(options))]


def failure(name: str, target: Path | None, error: Exception) -> ImageResult:
    """The result of an order that has raised an error."""
    _log.debug("%s failed", name, exc_info=error)
    sentence = sentence_of(name, target, error)
    return ImageResult(name, output=None, status="failed", error=sentence)


def sentence_of(name: str, target: Path | None, error: Exception) -> str:
    """Describe the error of one of many results to the user; mentions --resume if that helps."""
    sentence = in_a_sentence(name, error)
    if target and "--resume" not in sentence and can_resume(target):
        sentence = f"{sentence.rstrip('.')}; --resume goes on from where it was."
    return sentence
