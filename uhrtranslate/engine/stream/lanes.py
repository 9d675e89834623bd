"""Work spread over devices: one thread for each, results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

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
        setting: entered with a device before each piece of work, and left after it.
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
        """Lanes over the same devices, which do each piece of work within a setting."""
        return Lanes(self.devices, setting, shared_with=self)

    @contextmanager
    def borrowed(self) -> Iterator[Device]:
        """Any device, for the caller alone, as soon as one is idle; not to be nested."""
        number = self._idle.get()
        try:
            with self._setting(self.devices[number]):
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
