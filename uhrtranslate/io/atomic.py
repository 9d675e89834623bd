"""Outputs that appear whole or not at all.

Everything on the way to a target lies in a folder beside it, `<target name>.uhrt-partial`, so that
the finished file only has to be renamed. A lock file in the folder, which the system releases
however the process ends, tells a run that is alive from one that died.
"""

import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from uhrtranslate.errors import OutputError
from uhrtranslate.io.disk import output_errors

SUFFIX = ".uhrt-partial"
LOCK = "lock"


class PartialOutput:
    """A target in the making: a locked folder beside it, from which `publish` moves one file.

    As a context manager it makes the folder, empties it of what a dead run left, and removes it at
    the end.

    Args:
        target: the final name. A symbolic link is followed: the file it names is what is replaced.
        overwrite: replace an existing target.

    Raises:
        OutputError: the target exists, or is a folder.
    """

    def __init__(self, target: Path, overwrite: bool = False) -> None:
        try:
            self.target = target.resolve()
        except (OSError, RuntimeError) as error:  # Python 3.11 raises RuntimeError for a loop
            raise OutputError(f"{target}: the symbolic link leads nowhere; remove it") from error
        self.folder = self.target.with_name(self.target.name + SUFFIX)
        self._overwrite = overwrite
        self._check_target()

    def __enter__(self) -> Self:
        with output_errors(self.target):
            self._check_target()
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._lock()
            try:
                self._empty()
            except BaseException:
                self._remove()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._remove()

    def publish(self, file: Path) -> None:
        """Give a finished file of the folder its final name, once its bytes are on the disk.

        Raises:
            OutputError: the target has appeared since the start, or cannot be replaced.
        """
        with output_errors(self.target):
            with file.open("rb+") as stream:
                os.fsync(stream.fileno())
            self._check_target()
            os.replace(file, self.target)
            if sys.platform != "win32":
                _sync_folder(self.target.parent)

    def _check_target(self) -> None:
        if self.target.is_dir():
            raise OutputError(f"{self.target}: is a folder; name a file inside it")
        if not self._overwrite and os.path.lexists(self.target):
            raise OutputError(
                f"{self.target}: exists already; use --overwrite or choose another name with -o"
            )

    def _lock(self) -> None:
        """Make the folder and hold its lock; where another process does, it is alive."""
        path = self.folder / LOCK
        while True:
            if self.folder.is_symlink():
                raise OutputError(f"{self.folder}: is a symbolic link; remove it")
            self.folder.mkdir(exist_ok=True)
            try:
                descriptor = os.open(
                    path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666
                )
            except FileNotFoundError:
                continue  # a run that ended has just removed the folder
            if not _try_lock(descriptor):
                os.close(descriptor)
                raise OutputError(f"{self.target}: another run is writing it; wait until it ends")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    self._descriptor = descriptor
                    return
            os.close(descriptor)  # the lock of a run that has just ended, already removed

    def _empty(self) -> None:
        for entry in self.folder.iterdir():
            if entry.name == LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _remove(self) -> None:
        """Remove the folder; the lock goes last, so that nobody takes a full one for a dead one."""
        with suppress(OSError):
            self._empty()
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(self._descriptor)
        with suppress(OSError):
            (self.folder / LOCK).unlink()
            self.folder.rmdir()
        if sys.platform != "win32":
            os.close(self._descriptor)


def _sync_folder(folder: Path) -> None:
    """Put a rename on the disk; some network file systems cannot, and need not."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # file systems without locks (some Lustre mounts): go on without
            return True
        return True
