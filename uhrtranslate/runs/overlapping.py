"""Pieces of work one after another, each begun while the one before it is only being finished."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from uhrtranslate.runs.events import Event, ImageResult, OnComputed, OnEvent
from uhrtranslate.threads import Interrupted, Workers, result_of

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class _Piece:
    """A piece of work under way: whether the next may begin, and results that it has told of."""

    computed: Future[None] = field(default_factory=Future)
    told: list[ImageResult] = field(default_factory=list)

    def let_next_begin(self) -> None:
        """See `overlapping`; called by the work's thread alone."""
        if not self.computed.done():
            self.computed.set_result(None)


def overlapping(
    work: Callable[[Item, OnEvent, OnComputed], Result], items: Sequence[Item], on_event: OnEvent
) -> Iterator[tuple[int, Result]]:
    """Work on items, at most two at once; yield the number and result of each.

    The next is begun when the last says that it is computed, so only one at a time needs devices
    and much memory. Results, and the events that tell of them, come in the order of the items.
    If the caller stops early, work in progress ends as in `side_by_side`.

    Args:
        work: called with an item, a function that takes its events, and one that it may call once
            little is left to be done; otherwise the next begins when it has returned.
        items: begun in this order. One alone is worked on in the caller's thread.
        on_event: called with all events, one at a time.

    Raises:
        Exception: what the work raises.
    """
    if len(items) == 1:
        yield 0, work(items[0], on_event, lambda: None)
        return
    ended = threading.Event()
    lock = threading.Lock()

    def begun(pool: Workers, item: Item) -> tuple[_Piece, Future[Result]]:
        piece = _Piece()

        def tell(event: Event) -> None:
            with lock:
                if ended.is_set():
                    raise Interrupted
                if isinstance(event, ImageResult):
                    piece.told.append(event)
                else:
                    on_event(event)

        then = piece.let_next_begin
        return piece, pool.submit(work, item, tell, then, then=lambda future: then())

    def done(piece: _Piece, future: Future[Result]) -> Result:
        result = result_of(future)
        with lock:
            for event in piece.told:
                on_event(event)
        return result

    pool = Workers(2, "uhrt-image")
    try:
        last: tuple[_Piece, Future[Result]] | None = None
        for number, item in enumerate(items):
            now = begun(pool, item)
            if last:
                yield number - 1, done(*last)
            result_of(now[0].computed)
            last = now
        if last:
            yield len(items) - 1, done(*last)
    finally:
        pool.drop()  # first, so that nothing new begins
        ended.set()
        pool.close()
