"""Files are tried out in another process before OpenSlide opens them in this one.

OpenSlide and the C libraries below it end the whole process if there is not enough memory for what
a damaged file asks for, or if they crash. Then only the other process ends, and the file is
refused.
"""

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from uhrtranslate.errors import InputError
from uhrtranslate.io.readers import openslide_limits

# Long enough for slow disks and networks, short enough to notice a process that hangs.
SECONDS = 120
# Python's exit codes if the program cannot run at all; files are then trusted.
_NOT_STARTED = (1, 2)


def try_out(path: Path) -> None:
    """Find out whether OpenSlide survives a file; a file that it survived is not tried again.

    Raises:
        InputError: it does not, or takes minutes for a few pixels.
        OSError: there is no such file.
    """
    stat = path.stat()
    _survives(str(path), stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _survives(path: str, size: int, changed: int) -> None:
    _process.try_out(path)


class _Process:
    """The other process. If it has ended, or this process was forked, a new one is started."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._owner = 0

    def try_out(self, path: str) -> None:
        with self._lock:
            try:
                child = self._started()
            except OSError:  # if no process can be started, files are trusted
                return
            late = threading.Timer(SECONDS, child.kill)
            late.daemon = True
            answer = ""
            try:
                late.start()
                assert child.stdin is not None
                assert child.stdout is not None
                with suppress(OSError):  # it ended before the request
                    child.stdin.write(json.dumps(os.path.abspath(path)) + "\n")
                    child.stdin.flush()
                    answer = child.stdout.readline()
            finally:
                hung = not late.is_alive()
                late.cancel()
                if not answer:
                    self._end()
            if not answer and child.returncode not in _NOT_STARTED:
                raise InputError(
                    f"{path}: is damaged: OpenSlide {_fate(child.returncode, hung)}; copy it again."
                )

    def close(self) -> None:
        with self._lock:
            if self._owner == os.getpid():
                self._end()

    def _started(self) -> subprocess.Popen[str]:
        if self._child is None or self._owner != os.getpid() or self._child.poll() is not None:
            self._owner = os.getpid()
            self._child = subprocess.Popen(
                [sys.executable, "-P", openslide_limits.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        return self._child

    def _end(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()
            self._child = None


def _fate(code: int, hung: bool) -> str:
    if hung:
        return f"found nothing in it within {SECONDS} s"
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"crashes on it ({cause})"


_process = _Process()
atexit.register(_process.close)
