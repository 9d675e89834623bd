"""What a worker does with a piece; the only code on workers and schedulers that knows Dask."""

import os
import socket
import sys
import threading
import time
from dataclasses import asdict
from functools import cache

from distributed import Scheduler, Worker, get_worker
from distributed.worker import thread_state

from uhrtranslate.cluster.pieces import Piece, Receipt
from uhrtranslate.cluster.plain import dumps, loads
from uhrtranslate.errors import UhrError
from uhrtranslate.runs.events import Advanced, Event
from uhrtranslate.threads import Interrupted
from uhrtranslate.version import __version__

# Bytes of a receipt that is sent as a report, which schedulers keep for a while.
SMALL = 1 << 15
# Seconds between two looks at a worker, and for which it may finish what it is at when it closes.
LOOK, LEAVING = 1.0, 60.0


def do(piece: Piece) -> bytes:
    """Carry out an order, and report what happens under the piece's topic; returns a `Receipt`."""
    worker = get_worker()
    host = name_of(worker)
    _see_it_end(worker)
    if piece.version != __version__:
        refused = f"has uhrt {__version__}, and the run is of {piece.version}; install the same"
        return dumps(Receipt(None, host, refused=refused))
    try:
        os.chdir(piece.folder)
    except OSError as error:
        refused = (
            f"cannot reach {piece.folder} ({error.strerror}); inputs and outputs must lie in a "
            "folder that all machines know by the same path"
        )
        return dumps(Receipt(None, host, refused=refused))
    reporter = _Reporter(worker, piece, host)
    reporter.send(what="begun")
    receipt = Receipt(None, host)
    try:
        answer = loads(piece.order).carry_out(reporter.event)
        receipt = Receipt(answer, host, device=_device())
    except Interrupted:
        pass
    except Exception as error:
        receipt = Receipt(None, host, error=_sendable(error))
    finally:
        reporter.flush()
        data = dumps(receipt)
        # Small ones arrive with the report; of others the client asks for the result.
        reporter.send(what="ended", receipt=data if len(data) <= SMALL else None)
    return data


def blame_at_once(dask_scheduler: Scheduler) -> None:
    """Have a scheduler tell the client of the first worker that dies of a task."""
    dask_scheduler.allowed_failures = 0


@cache
def _see_it_end(worker: Worker) -> None:
    """End a worker's process some time after the worker closes, as it does without its scheduler.

    Dask waits for threads that may be in a step of hours, or wait for a file system that has gone.
    """
    if worker.thread_id != threading.main_thread().ident:
        return  # it is a guest in a process that does something else

    def end() -> None:
        while worker.status.name not in ("closing", "closed", "failed"):
            time.sleep(LOOK)
        time.sleep(LEAVING)
        os._exit(1)

    threading.Thread(target=end, name="uhrt-end", daemon=True).start()


def name_of(worker: Worker) -> str:
    """Machine and worker, for people."""
    name = str(worker.name)
    return f"{socket.gethostname()}:{name.rpartition(':')[2] if '://' in name else name}"


def _device() -> str | None:
    """The GPU in use, or else what torch's choice of code for this processor depends on."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    if torch.cuda.is_initialized():
        return str(torch.cuda.get_device_name())
    return f"CPU ({torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads)"


def _sendable(error: Exception) -> Exception:
    """An error that other processes can read."""
    try:
        if type(loads(dumps(error))) is type(error):
            return error
    except Exception:  # such as an __init__ with other arguments
        pass
    return UhrError(f"{type(error).__name__}: {error}")


class _Reporter:
    """Sends the events of a piece, progress only so often, and ends work that nobody wants."""

    def __init__(self, worker: Worker, piece: Piece, host: str) -> None:
        self._worker, self._piece, self._host = worker, piece, host
        self._task = thread_state.key
        self._held: Advanced | None = None  # progress that has not been sent yet
        self._sent = 0.0

    def event(self, event: Event) -> None:
        """Take an event.

        Raises:
            Interrupted: the client has gone or wants no answer, or the worker is closing.
        """
        if not self._wanted():
            raise Interrupted
        if not isinstance(event, Advanced):
            self.flush()
            self.send(what="event", kind=type(event).__name__, fields=asdict(event))
            return
        pixels = event.pixels + (self._held.pixels if self._held else 0)
        self._held = Advanced(event.input, pixels, event.shares)
        if time.monotonic() - self._sent >= self._piece.seconds:
            self.flush()

    def flush(self) -> None:
        """Send what has been held back."""
        if self._held is not None:
            held, self._held = self._held, None
            self._sent = time.monotonic()
            fields = {"input": held.input, "pixels": held.pixels, "shares": dict(held.shares)}
            self.send(what="event", kind="Advanced", fields=fields)

    def send(self, **report: object) -> None:
        """Tell the client what happens."""
        whole = {"key": self._piece.key, "host": self._host, **report}
        self._worker.log_event(self._piece.topic, whole)

    def _wanted(self) -> bool:
        """Whether the client still waits: the scheduler tells workers when it does not."""
        task = self._worker.state.tasks.get(self._task)
        return (
            task is not None
            and task.state == "executing"
            and self._worker.status.name in ("running", "paused")
        )
