"""Signals end the program: it cleans up, says so, and ends, whatever its threads do."""

import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from uhrtranslate.cli.printing import print_error
from uhrtranslate.cli.report import Stopped
from uhrtranslate.threads import interrupt

# Seconds that cleaning up may take: it waits for pixels being read and tiles being encoded.
PATIENCE = 30.0
_patient: list[tuple[float, str]] = []  # blocks that may take longer, the innermost last
# Seconds for what must be done even then.
_LAST = 5.0
# What a second signal prints, after a terminal's cursor is shown again.
_SHOWN = b"\n\x1b[?25h"
_AT_ONCE = b"uhrt: stopped at once; workers stop by themselves, and --resume goes on from here.\n"


@contextmanager
def stoppable() -> Iterator[None]:
    """Let the first signal raise `Stopped` in the block, then end the process after the block.

    Its exit code is 128 + the signal's number. More signals change nothing, unless workers of a
    cluster are waited for: then a second one ends the process at once, and they notice. If the
    block does not end in time, because some thread waits for what never comes, the process ends
    all the same.
    Signals that the process was told to ignore, as by nohup, are ignored.
    """
    numbers = [
        getattr(signal, name)
        for name in ("SIGINT", "SIGTERM", "SIGHUP")
        if hasattr(signal, name)  # Windows knows no SIGHUP
        and signal.getsignal(getattr(signal, name)) != signal.SIG_IGN
    ]
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        reached = sys.modules.get("uhrtranslate.cluster.reached")
        if came and reached is not None and reached.parting:
            with suppress(OSError):  # a bar may have hidden the cursor
                os.write(2, (_SHOWN if os.isatty(2) else b"") + _AT_ONCE)
            os._exit(128 + number)
        if not came:
            came.append(number)
            _silence_closed_terminals()
            stopped = Stopped(number)
            if _is_half_imported("torch"):  # its C++ code would abort; and nothing has begun yet
                print_error(stopped.sentence)
                os._exit(128 + number)
            for _, sentence in _patient:
                with suppress(OSError):  # as a stream, stderr may be in use at this moment
                    os.write(2, f"uhrt: {sentence}.\n".encode())
            interrupt(stopped)

    _watch(numbers)
    for number in numbers:
        signal.signal(number, stop)
    try:
        yield
    finally:
        if came:
            _clean_up()
            os._exit(128 + came[0])
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)  # nothing is left to be cleaned up


@contextmanager
def patient(seconds: float, sentence: str) -> Iterator[None]:
    """Let the block take its time after a signal, before cleaning up; and say so at once.

    Args:
        seconds: that it may take.
        sentence: printed when the signal comes.
    """
    _patient.append((seconds, sentence))
    try:
        yield
    finally:
        _patient.pop()


def _silence_closed_terminals() -> None:
    """Nobody reads what is printed from here on, and printing would fail."""
    for stream in (1, 2):
        with suppress(OSError):
            if stat.S_ISCHR(os.fstat(stream).st_mode) and not os.isatty(stream):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)


def _is_half_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _watch(numbers: Collection[int]) -> None:
    """Start a thread that ends the process some time after a signal.

    It hears of the signal even if the main thread, which alone runs handlers, hangs in C code.
    """
    here, there = socket.socketpair()
    there.setblocking(False)
    signal.set_wakeup_fd(there.detach(), warn_on_full_buffer=False)
    if sys.platform != "win32":  # what a copy of this process hears is meant for the copy
        os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))

    def end() -> None:
        while (number := here.recv(1)[0]) not in numbers:
            pass
        began = time.monotonic()
        while any(time.monotonic() < began + seconds for seconds, _ in list(_patient)):
            time.sleep(0.1)
        time.sleep(PATIENCE)
        # In a thread of its own, as it may hang where the others do.
        last = threading.Thread(target=_break_off, daemon=True)
        last.start()
        last.join(_LAST)
        os._exit(128 + number)

    threading.Thread(target=end, name="uhrt-end", daemon=True).start()


def _break_off() -> None:
    _clean_up()
    print_error(f"stopped; cleaning up took more than {PATIENCE:.0f} s and was broken off.")


def _clean_up() -> None:
    """Do what the end of a Python program does, except wait for threads."""
    atomic = sys.modules.get("uhrtranslate.io.files.atomic")
    if atomic is not None:  # else there are no outputs
        atomic.leave_all()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # closed, or nobody reads it
            stream.flush()
