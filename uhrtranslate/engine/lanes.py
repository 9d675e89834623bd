"""Work spread over devices: one thread for each, results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

Device = TypeVar("Device")
Item = TypeVar("Item")
Result = TypeVar("Result")

# Items on their way, per device: one at work, one waiting, so that no device waits for the disk.
_IN_FLIGHT = 2


class Lanes(Generic[Device]):
    """Devices that share the work; while they compute, the caller reads and writes.

    What becomes of an item does not depend on the device that takes it, so devices should be alike.

    Args:
        devices: what the work is given, one at a time each.
    """

    def __init__(self, devices: Sequence[Device]) -> None:
        self._count = len(devices)
        self._pool = ThreadPoolExecutor(self._count, thread_name_prefix="uhrt-device")
        self._idle: SimpleQueue[Device] = SimpleQueue()
        for device in devices:
            self._idle.put(device)

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
                if len(waiting) >= _IN_FLIGHT * self._count:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def _run(self, work: Callable[[Device, Item], Result], item: Item) -> Result:
        device = self._idle.get()
        try:
            return work(device, item)
        finally:
            self._idle.put(device)
