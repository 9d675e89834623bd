"""Several pieces of work at once, each in a thread; the caller gets their events one by one."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from typing import TypeVar

from uhrtranslate.runs.events import Event, OnEvent
from uhrtranslate.threads import Interrupted, Workers, result_of

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(
    work: Callable[[Item, OnEvent], Result], items: Sequence[Item], at_once: int, on_event: OnEvent
) -> Iterator[tuple[int, Result]]:
    """Work on items, several at once; yield the number and result of each as it is done.

    If the caller stops early, work in progress ends at its next event, and after Ctrl-C also where
    it waits for other threads. We wait for it, so that it can save its state.

    Args:
        work: called with an item, and a function that takes its events.
        items: begun in this order.
        at_once: how many at most; with 1, all work is done in the caller's thread.
        on_event: called with all events, one at a time.

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
                raise Interrupted
            on_event(event)

    done: SimpleQueue[Future[Result]] = SimpleQueue()
    pool = Workers(at_once, "uhrt-image")
    try:
        numbers = {
            pool.submit(work, item, tell, then=done.put): number
            for number, item in enumerate(items)
        }
        for _ in items:
            future = done.get()
            yield numbers[future], result_of(future)
    finally:
        pool.drop()  # first, so that nothing new begins
        ended.set()
        pool.close()
