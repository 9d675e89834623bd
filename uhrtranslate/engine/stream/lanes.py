"""Work spread over devices: one thread for each, results in order."""

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Generic, Self, TypeVar

Device = TypeVar("Device")
Item = TypeVar("Item")
Result = TypeVar("Result")

# Items on their way, per device: one at work, one waiting, so that no device waits for the disk.
_IN_FLIGHT = 2


class Lanes(Generic[Device]):
    """Devices that share the work; while they compute, the callers read and write.

    What becomes of an item does not depend on the device that takes it, so devices should be alike.
    Several threads may use the same lanes, each for an image of its own.

    Args:
        devices: what the work is given, one at a time each.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self.devices = tuple(devices)
        self._pool = ThreadPoolExecutor(len(devices), thread_name_prefix="uhrt-device")
        self._idle: SimpleQueue[int] = SimpleQueue()
        for number in range(len(devices)):
            self._idle.put(number)

    def altered(self, change: Callable[[Device], Device]) -> Self:
        """The same lanes with altered devices: where one is at work, its original is not."""
        other = copy.copy(self)
        other.devices = tuple(change(device) for device in self.devices)
        return other

    @contextmanager
    def borrowed(self) -> Iterator[Device]:
        """Any device, for the caller alone, as soon as one is idle; not to be nested."""
        number = self._idle.get()
        try:
            yield self.devices[number]
        finally:
            self._idle.put(number)

    def map(
        self, work: Callable[[Device, Item], Result], items: Iterable[Item]
    ) -> Iterator[Result]:
        """Results in the order of the items, which are taken a few ahead.

        Raises:
            Exception: what the work raises; what is under way then is waited for.
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
