"""Threads, and signals that break off whoever waits for them.

A signal raises an exception in the main thread, at whatever line that is. Between two steps that
belong together, such as starting a thread and noting it in the list of those to be ended, this
would leave a thread that waits for ever, and a program that never ends. So here are blocks that no
signal tears apart, and threads that are started, asked and ended in such blocks.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, Self, TypeVar

Result = TypeVar("Result")

# Seconds for which a signal is put off at most while the main thread waits for a result.
_SLICE = 0.05


class Interrupted(BaseException):
    """Ends work in a thread because nobody wants its result any more."""


class _Signals:
    """What the main thread knows of signals; other threads only read `came`."""

    depth = 0  # of blocks that must not be torn apart
    came: BaseException | None = None
    held_up = False  # until the end of the block


def interrupt(error: BaseException) -> None:
    """Raise an exception in the main thread; for the handlers of signals that end the program.

    It is raised at once or, within `undivided`, at the end of the block. From then on nobody waits
    for results: neither other threads, nor the main thread if Python drops the exception, as it
    does in finalizers.
    """
    _Signals.came = error
    if not _Signals.depth:
        raise error
    _Signals.held_up = True


@contextmanager
def undivided() -> Iterator[None]:
    """A short block that no signal tears apart; what one raises is raised at the end of it."""
    if not _in_main_thread():  # which alone gets signals
        yield
        return
    _Signals.depth += 1
    try:
        yield
    finally:
        _Signals.depth -= 1
        if _Signals.held_up and not _Signals.depth:
            _Signals.held_up = False
            assert _Signals.came is not None
            raise _Signals.came


def stopping() -> bool:
    """Whether a signal has asked the program to end; for loops that end between two steps."""
    return _Signals.came is not None


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


class Workers:
    """Threads for pieces of work; a context manager that ends them.

    Args:
        count: of threads.
        name: of the threads, for those who debug.
    """

    def __init__(self, count: int, name: str) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def submit(
        self,
        work: Callable[..., Result],
        *arguments: Any,
        then: Callable[[Future[Result]], object] | None = None,
    ) -> Future[Result]:
        """Have a thread do a piece of work; `result_of` gives the result.

        Args:
            work: called with the arguments.
            *arguments: of the work.
            then: called with the future once it is done, in any thread.
        """
        with undivided():
            future = self._pool.submit(work, *arguments)
            if then is not None:
                future.add_done_callback(then)
            return future

    def drop(self) -> None:
        """Begin nothing new; work that has begun goes on."""
        with undivided():
            self._pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Begin nothing new, and wait until the work that has begun is done."""
        self.drop()
        self._pool.shutdown()


def result_of(future: Future[Result]) -> Result:
    """Wait for the result of a piece of work.

    Raises:
        Interrupted: the program is being stopped. In the main thread, what `interrupt` was given.
        Exception: whatever the work raised.
    """
    done = False
    while not done:
        with undivided():
            done = bool(wait([future], _SLICE).done)
        if _Signals.came is not None:
            raise _Signals.came if _in_main_thread() else Interrupted
    return future.result()


def cancel(future: Future[Any]) -> None:
    """Drop a piece of work, unless it has begun."""
    with undivided():
        future.cancel()
