"""The workers of a cluster as the client sees them: who does which piece, and who has died.

Dask would give a worker several tasks in advance, and blame all of them when it dies; so each piece
is given to one idle worker by name, and nothing else, and the deaths that it has met are counted
here.
"""

import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Any

from distributed import Future
from distributed.scheduler import KilledWorker

from uhrtranslate.cluster.orders import Order
from uhrtranslate.cluster.pieces import Piece, Receipt
from uhrtranslate.cluster.plain import dumps, loads
from uhrtranslate.cluster.reached import Reached, parting
from uhrtranslate.cluster.worker import blame_at_once, do
from uhrtranslate.errors import ClusterError
from uhrtranslate.threads import undivided
from uhrtranslate.version import __version__

# Workers that may die of a piece before it is given up.
TRIES = 3
# Seconds: between two looks at who is there; for which a piece may be with a worker that nobody
# knows; for which workers may finish what they are at when a run is stopped; without any worker
# before the user is told.
LOOK, LOST, FAREWELL, ALONE = 1.0, 5.0, 10.0, 10.0
GONE = (
    "the cluster's scheduler has gone; start it again, and the same command with --resume goes on "
    "from here."
)


@dataclass
class Ordered:
    """An order and what has become of it so far.

    Attributes:
        order: what is to be done.
        about: whatever the client wants to know it by.
        deaths: of workers that were at it.
    """

    order: Order
    about: Any
    deaths: int = 0


@dataclass(frozen=True)
class Heard:
    """Something that a worker has reported of an order: see `worker._Reporter`."""

    ordered: Ordered
    host: str
    what: str
    kind: str = ""
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Done:
    """An order that is done, or never will be.

    Attributes:
        receipt: None if it was given up, as too many workers have died of it.
    """

    ordered: Ordered
    receipt: Receipt | None
    host: str | None = None


@dataclass(frozen=True)
class Crowd:
    """The number of workers has changed, or there have been none for a while."""

    workers: int


@dataclass
class _Running:
    ordered: Ordered
    future: "Future[bytes]"  # a receipt
    address: str
    seen: float  # when its worker was there, in seconds of the monotonic clock
    host: str | None = None
    receipt: Receipt | None = None


class Crew:
    """Gives orders to workers; a context manager, at whose end nothing is at work any more.

    Args:
        reached: the cluster.
    """

    def __init__(self, reached: Reached) -> None:
        self._client, self._tend = reached.client, reached.tend
        self._topic = f"uhrt-{uuid.uuid4().hex}"
        self._waiting: deque[Ordered] = deque()
        self._running: dict[str, _Running] = {}
        self._refusing: dict[str, str] = {}  # why workers, by address, cannot do anything
        self._news: SimpleQueue[tuple[str, dict[str, Any] | None]] = SimpleQueue()
        self._addresses: frozenset[str] = frozenset()
        self._looked = -LOOK
        self._connected = time.monotonic()
        self._count = 0
        with undivided():
            self._client.subscribe_topic(self._topic, self._hear)
            # A scheduler that was started without our settings would give a piece to others.
            self._client.run_on_scheduler(blame_at_once)

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *_: object) -> None:
        self._part()
        if self._client.status == "running":
            with suppress(Exception), undivided():
                self._client.unsubscribe_topic(self._topic)

    def add(self, orders: Iterable[Ordered], first: bool = False) -> None:
        """Have orders done after, or before, those that wait already."""
        if first:
            self._waiting.extendleft(reversed(list(orders)))
        else:
            self._waiting.extend(orders)

    def waiting(self) -> Sequence[Ordered]:
        """Orders that no worker has been given yet, or that were given back."""
        return tuple(self._waiting)

    def drop(self, unwanted: Callable[[Ordered], bool]) -> None:
        """Have some orders done no more; workers that are at them stop."""
        self._waiting = deque(one for one in self._waiting if not unwanted(one))
        for key, running in list(self._running.items()):
            if unwanted(running.ordered):
                del self._running[key]
                with suppress(Exception), undivided():
                    self._client.cancel([running.future])

    def work(self) -> Iterator[Heard | Done | Crowd]:
        """What happens, until all is done; meanwhile orders may be added.

        Raises:
            ClusterError: the scheduler has gone, or no worker can do anything.
        """
        crowd, alone = -1, time.monotonic()
        while self._waiting or self._running:
            self._look()
            if len(self._addresses) != crowd and (
                self._addresses or crowd > 0 or time.monotonic() > alone + ALONE
            ):
                crowd = len(self._addresses)
                yield Crowd(crowd)
            self._hand_out()
            self._find_lost()
            try:
                key, report = self._news.get(timeout=LOOK / 2)
            except Empty:
                continue
            running = self._running.get(key)
            if running is None:
                continue  # it was called back
            if report is None:
                yield from self._settle(key, running)
            elif report["what"] == "ended":
                if report["receipt"]:
                    with suppress(Exception):  # not ours; `_settle` says so
                        running.receipt = loads(report["receipt"])
            else:
                running.host = report["host"]
                yield Heard(
                    running.ordered,
                    report["host"],
                    report["what"],
                    report.get("kind", ""),
                    report.get("fields") or {},
                )

    def _hear(self, event: tuple[float, dict[str, Any]]) -> None:
        """Called by Dask's own thread."""
        _, report = event
        self._news.put((report["key"], report))

    def _look(self, now: bool = False) -> None:
        """See who is there."""
        if not now and time.monotonic() < self._looked + LOOK:
            return
        self._looked = time.monotonic()
        if self._client.status != "running":  # it tries to connect again
            if time.monotonic() > self._connected + LOST:
                raise ClusterError(GONE)
            return
        self._connected = self._looked
        try:
            with undivided():
                self._addresses = frozenset(self._client.nthreads())
                self._tend(len(self._addresses))
        except Exception as error:  # of many kinds, whatever way the connection ended
            raise ClusterError(GONE) from error

    def _hand_out(self) -> None:
        if self._client.status != "running":
            return
        busy = {running.address for running in self._running.values()}
        idle = sorted(self._addresses - busy - self._refusing.keys())
        if not idle and not busy and self._addresses and self._waiting:
            why = next(iter(self._refusing.values()), "")
            raise ClusterError(f"no worker of the cluster can be used: one of them {why}.")
        for address in idle[: len(self._waiting)]:
            ordered = self._waiting.popleft()
            self._count += 1
            key = f"{self._topic}-{self._count}"
            # A thousand workers that report twice a second would keep the scheduler busy.
            seconds = max(0.5, len(self._addresses) / 100)
            order = dumps(ordered.order)
            piece = Piece(key, order, self._topic, os.getcwd(), __version__, seconds)
            with undivided():
                future = self._client.submit(
                    do, piece, key=key, pure=False, workers=[address], allow_other_workers=False
                )
                self._running[key] = _Running(ordered, future, address, time.monotonic())
                future.add_done_callback(lambda _, key=key: self._news.put((key, None)))

    def _find_lost(self) -> None:
        """Call back pieces whose worker has left before it began them, or for good reasons."""
        for key, running in list(self._running.items()):
            unknown = running.address not in self._addresses
            if unknown and running.future.status == "pending":
                if time.monotonic() > running.seen + LOST:
                    self._again(key, running)
            elif not unknown:
                running.seen = time.monotonic()

    def _again(self, key: str, running: _Running, deaths: int = 0) -> None:
        """Have somebody else do a piece."""
        del self._running[key]
        if self._client.status == "running":
            with suppress(Exception), undivided():
                self._client.cancel([running.future])
        running.ordered.deaths += deaths
        running.ordered.order = running.ordered.order.repeated()
        if deaths:  # it may be poison, so others go first
            self._waiting.append(running.ordered)
        else:
            self._waiting.appendleft(running.ordered)

    def _settle(self, key: str, running: _Running) -> Iterator[Done]:
        """Take the result of a piece."""
        future, ordered = running.future, running.ordered
        try:
            with undivided():
                receipt = running.receipt or loads(future.result(timeout=60))
        except KilledWorker as error:
            # With the scheduler's own setting, it has tried others before it gave up.
            deaths = int(getattr(error, "allowed_failures", 0)) + 1
            self._look(now=True)
            self._again(key, running, deaths)
            if ordered.deaths >= TRIES:
                self._waiting.remove(ordered)
                yield Done(ordered, None, running.host)
            return
        except Exception as error:
            if future.status in ("cancelled", "lost", "pending"):
                self._again(key, running)  # if the scheduler has gone, `_look` will say so
                return
            receipt = Receipt(None, running.host or running.address, error=error)
        del self._running[key]
        with undivided():
            future.release()
        if receipt.refused is not None:
            self._refusing[running.address] = f"({receipt.host}) {receipt.refused}"
            self._waiting.appendleft(ordered)
            return
        if receipt.answer is None and receipt.error is None:  # its worker is closing
            ordered.order = ordered.order.repeated()
            self._waiting.append(ordered)
            return
        yield Done(ordered, receipt, receipt.host)

    def _part(self) -> None:
        """Call everything back, and wait until no worker is at it any more."""
        self._waiting.clear()
        if not self._running or self._client.status != "running":
            self._running.clear()
            return
        parting.add(id(self))
        futures = [running.future for running in self._running.values()]
        began = {key for key, running in self._running.items() if running.host is not None}
        with suppress(Exception), undivided():
            self._client.cancel(futures)
        end = time.monotonic() + FAREWELL
        while began and time.monotonic() < end:
            with suppress(Empty):
                key, report = self._news.get(timeout=0.2)
                if report is not None and report["what"] == "ended":
                    began.discard(key)
        self._running.clear()
        parting.discard(id(self))
