"""Several pieces of work at once, each in a thread, as one caller who hears of them one by one."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from uhrtranslate.runs.events import Event, OnEvent

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Stopped(BaseException):
    """Unwinds a piece of work that nobody waits for any more, as Ctrl-C would."""


def side_by_side(
    work: Callable[[Item, OnEvent], Result],
    items: Sequence[Item],
    at_once: int,
    on_event: OnEvent,
) -> Iterator[tuple[int, Result]]:
    """Work on items, some at once; number and result of each as it is done.

    Where the caller ends early, by Ctrl-C for instance, work under way ends at its next event and
    is waited for, so that it can save what it has.

    Args:
        work: given an item, and whom to tell of events.
        items: begun in this order.
        at_once: so many at most; with 1 they are worked on in the caller's own thread, one by one.
        on_event: told of all events, never of two at once.

    Raises:
        Exception: what the work raises.
    """
    at_once = min(at_once, len(items))
    if at_once <= 1:
        for number, item in enumerate(items):
            yield number, work(item, on_event)
        return
    ended = threading.Event()
    lock = threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            if ended.is_set():
                raise _Stopped
            on_event(event)

    pool = ThreadPoolExecutor(at_once, thread_name_prefix="uhrt-image")
    try:
        numbers = {pool.submit(work, item, tell): number for number, item in enumerate(items)}
        for future in as_completed(numbers):
            yield numbers[future], future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # first, so that nothing more is begun
        ended.set()
        pool.shutdown()
