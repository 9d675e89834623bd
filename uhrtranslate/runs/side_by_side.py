"""Several pieces of work at once, each in a thread; one caller gets their events in turn."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from uhrtranslate.runs.events import Event, OnEvent

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Stopped(BaseException):
    """Unwinds work whose result is no longer wanted, as Ctrl-C would."""


def side_by_side(
    work: Callable[[Item, OnEvent], Result], items: Sequence[Item], at_once: int, on_event: OnEvent
) -> Iterator[tuple[int, Result]]:
    """Work on items, some of them at once; yield number and result of each as it is done.

    If the caller stops early, by Ctrl-C for instance, work under way ends at its next event. It is
    waited for, so that it can save what it has.

    Args:
        work: is given an item, and a function to call with its events.
        items: begun in this order.
        at_once: how many at most; 1 works on them one by one in the caller's own thread.
        on_event: called with all events, never with two at once.

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
