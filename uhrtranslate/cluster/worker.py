"""What a worker does with a piece; the only code that runs on workers and knows Dask."""

import os
import pickle
import socket
import time
from dataclasses import asdict

from distributed import Worker, get_worker
from distributed.worker import thread_state

from uhrtranslate.cluster.pieces import Piece, Receipt
from uhrtranslate.errors import UhrError
from uhrtranslate.runs.events import Advanced, Event
from uhrtranslate.threads import Interrupted
from uhrtranslate.version import __version__


def do(piece: Piece) -> Receipt:
    """Carry out an order, and report what happens under the piece's topic."""
    worker = get_worker()
    host = name_of(worker)
    if piece.version != __version__:
        refused = f"has uhrt {__version__}, and the run is of {piece.version}; install the same"
        return Receipt(None, host, refused=refused)
    try:
        os.chdir(piece.folder)
    except OSError as error:
        refused = (
            f"cannot reach {piece.folder} ({error.strerror}); inputs and outputs must lie in a "
            "folder that all machines know by the same path"
        )
        return Receipt(None, host, refused=refused)
    reporter = _Reporter(worker, piece, host)
    reporter.send("begun")
    try:
        order = pickle.loads(piece.order)
        return Receipt(order.carry_out(reporter.event), host)
    except Interrupted:
        return Receipt(None, host)
    except Exception as error:
        return Receipt(None, host, error=_sendable(error))
    finally:
        reporter.flush()
        reporter.send("ended")


def name_of(worker: Worker) -> str:
    """Machine and worker, for people."""
    name = str(worker.name)
    return f"{socket.gethostname()}:{name.rpartition(':')[2] if '://' in name else name}"


def _sendable(error: Exception) -> Exception:
    """An error that other processes can read."""
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
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
            self.send("event", type(event).__name__, asdict(event))
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
            self.send("event", "Advanced", fields)

    def send(self, what: str, kind: str = "", fields: object = None) -> None:
        """Tell the client what happens."""
        report: dict[str, object] = {"key": self._piece.key, "host": self._host, "what": what}
        if what == "event":
            report |= {"kind": kind, "fields": fields}
        self._worker.log_event(self._piece.topic, report)

    def _wanted(self) -> bool:
        """Whether the client still waits: the scheduler tells workers when it does not."""
        task = self._worker.state.tasks.get(self._task)
        return (
            task is not None
            and task.state == "executing"
            and self._worker.status.name in ("running", "paused")
        )
