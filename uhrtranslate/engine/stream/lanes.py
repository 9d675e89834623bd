"""Spreading work over devices: one thread for each, results in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from uhrtranslate.threads import Workers, cancel, result_of

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
        self._pool: Workers
        self._idle: SimpleQueue[int]
        if shared_with:
            self._pool, self._idle = shared_with._pool, shared_with._idle
        else:
            self._pool = Workers(len(devices), "uhrt-device")
            self._idle = SimpleQueue()
            for number in range(len(devices)):
                self._idle.put(number)

    def within(self, setting: Callable[[Device], AbstractContextManager[Any]]) -> "Lanes[Device]":
        """Lanes over the same devices that do each piece of work within a setting."""
        return Lanes(self.devices, setting, shared_with=self)

    def ask(self, question: Callable[[Device], Result]) -> Result:
        """The answer of any device, once one is idle; not to be asked by the work of a device.

        Raises:
            Exception: whatever the question raises.
        """
        (answer,) = self.map(lambda device, _: question(device), [None])
        return answer

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
                    yield result_of(waiting.popleft())
            while waiting:
                yield result_of(waiting.popleft())
        finally:
            for future in waiting:
                cancel(future)

    def _run(self, work: Callable[[Device, Item], Result], item: Item) -> Result:
        """The work of the threads; they alone take devices, as no signal can part them from one."""
        number = self._idle.get()
        try:
            device = self.devices[number]
            with self._setting(device):
                return work(device, item)
        finally:
            self._idle.put(number)
