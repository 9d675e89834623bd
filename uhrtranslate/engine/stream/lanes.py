"""Spreading work over devices: one thread for each, results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

Device = TypeVar("Device")
Item = TypeVar("Item")
Result = TypeVar("Result")

# Items per device: one being computed and one waiting, so that devices do not wait for the disk.
_IN_FLIGHT = 2


class Lanes(Generic[Device]):
    """Devices that share the work; while they compute, the callers read and write.

    Any device may compute an item, so the devices should be alike. Several threads may use the same
    lanes, each for its own image.

    Args:
        devices: passed to the work; each does one piece of work at a time.
        setting: a context that is entered with the device for each piece of work.
        shared_with: other lanes over the same devices; a device works for one of them at a time.
    """

    def __init__(
        self,
        devices: Sequence[Device],
        setting: Callable[[Device], AbstractContextManager[Any]] = nullcontext,
        shared_with: "Lanes[Device] | None" = None,
    ) -> None:
        self.devices = tuple(devices)
        self._setting = setting
        self._pool: ThreadPoolExecutor
        self._idle: SimpleQueue[int]
        if shared_with:
            self._pool, self._idle = shared_with._pool, shared_with._idle
        else:
            self._pool = ThreadPoolExecutor(len(devices), thread_name_prefix="uhrt-device")
            self._idle = SimpleQueue()
            for number in range(len(devices)):
                self._idle.put(number)

    def within(self, setting: Callable[[Device], AbstractContextManager[Any]]) -> "Lanes[Device]":
        """Lanes over the same devices that do each piece of work within a setting."""
        return Lanes(self.devices, setting, shared_with=self)

    @contextmanager
    def borrowed(self) -> Iterator[Device]:
        """Reserve any device for the caller, once one is idle; must not be nested."""
        number = self._idle.get()
        try:
            with self._setting(self.devices[number]):
                yield self.devices[number]
        finally:
            self._idle.put(number)

    def map(
        self, work: Callable[[Device, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Results in the order of the items, of which a few are taken in advance.

        Raises:
            Exception: whatever the work raises; items that have not begun are dropped.
        """
        waiting: deque[Future[Result]] = deque()
        try:
            for item in items:
                waiting.append(self._pool.submit(self._run, work, item))
                if len(waiting) >= _IN_FLIGHT * len(self.devices):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _run(self, work: Callable[[Device, Item], Result], item: Item) -> Result:
        with self.borrowed() as device:
            return work(device, item)
