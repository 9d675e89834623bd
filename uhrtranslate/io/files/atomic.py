"""Outputs that appear whole or not at all, and runs that go on where one was cut off.

Everything on the way to a target lies in a folder beside it, `<target name>.uhrt-partial`, so that
the finished file only has to be renamed. A lock file in the folder, which the system releases
however the process ends, tells a run that is alive from one that died. Where a run has saved its
state there (see `journal`), the folder outlives it.
"""

import hashlib
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.io.files.journal import NAME, Job, State, check_same_job, load_state

SUFFIX = ".uhrt-partial"
LOCK = "lock"
# Bytes that a file's name may have, on all common file systems.
LONGEST = 255
# Outputs that are folders.
FOLDERS = (".zarr",)


class PartialOutput:
    """A target in the making: a locked folder beside it, from which `publish` moves one file.

    As a context manager it makes the folder, and removes it at the end; but if the block ends by an
    exception, a folder with a saved state stays.

    Args:
        target: the final name. A symbolic link is followed: the file it names is what is replaced.
        overwrite: replace an existing target, and what an unfinished run has left.
        job: what is being made, if it can be resumed; see `journal.State`.
        resume: go on with the state that an unfinished run of the same job has left.

    Attributes:
        state: that is gone on with; None for a fresh start. Known inside the block.

    Raises:
        OutputError: the target exists, or is a folder; an unfinished run is in the way, or was
            another job.
    """

    state: State | None = None

    def __init__(
        self,
        target: Path,
        overwrite: bool = False,
        job: Job | None = None,
        resume: bool = False,
    ) -> None:
        try:
            self.target = target.resolve()
        except (OSError, RuntimeError) as error:  # Python 3.11 raises RuntimeError for a loop
            raise OutputError(f"{target}: the symbolic link leads nowhere; remove it") from error
        self.folder = partial_folder(self.target)
        self._overwrite = overwrite
        self._job = job
        self._resume = resume
        self._published = False
        with output_errors(self.target):
            self._check_target()

    def __enter__(self) -> Self:
        with output_errors(self.target):
            self._check_target()
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            self._lock()
            try:
                self.state = self._found_state()
                if self.state is None:
                    self._empty()
            except BaseException:
                self._leave()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._published:
            self._remove()
        else:
            self._leave()

    def publish(self, file: Path) -> None:
        """Give a finished file or folder in ours its final name, once its bytes are on the disk.

        Raises:
            OutputError: the target has appeared since the start, or cannot be replaced.
        """
        with output_errors(self.target):
            _sync(file)
            if file.is_dir():
                self._replace_folder(file)
            else:
                self._check_target()
                os.replace(file, self.target)
            self._published = True
            _sync_entries(self.target.parent)

    def _replace_folder(self, folder: Path) -> None:
        """Give a finished folder its name; one that is in the way goes into ours, to be removed."""
        self._check_target()
        if self.target.exists():
            os.replace(self.target, self.folder / "replaced")
        os.replace(folder, self.target)

    def _check_target(self) -> None:
        if self.target.is_dir() and self.target.suffix.lower() not in FOLDERS:
            raise OutputError(f"{self.target}: is a folder; name a file inside it")
        if not self._overwrite and os.path.lexists(self.target):
            raise OutputError(
                f"{self.target}: exists already; use --overwrite or choose another name with -o"
            )

    def _found_state(self) -> State | None:
        """What an unfinished run has left, if it is to be gone on with."""
        if self._overwrite and not self._resume:
            return None
        state = load_state(self.folder)
        if state is None:
            return None
        if self._job is None or not self._resume:
            raise OutputError(
                f"{self.target}: {state.rows / state.height:.0%} of it were done by a run that was "
                "cut off; use --resume to go on with it, or --overwrite to start afresh"
            )
        check_same_job(self.target, state, self._job)
        return state

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

    def _leave(self) -> None:
        """Keep a saved state for the next run; else remove the folder."""
        if not (self.folder / NAME).exists():
            self._remove()
        else:
            os.close(self._descriptor)

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


def partial_folder(target: Path) -> Path:
    """Where a target is made; of a long name only the start, and a digest in place of the rest."""
    name = os.fsencode(target.name)
    if len(name) + len(SUFFIX) <= LONGEST:
        return target.with_name(target.name + SUFFIX)
    digest = hashlib.sha256(name).hexdigest()[:32]
    start = name[: LONGEST - len(SUFFIX) - len(digest) - 1].decode(errors="ignore")
    return target.with_name(f"{start}-{digest}{SUFFIX}")


def can_resume(target: Path) -> bool:
    """Whether an unfinished run has left a state beside a target."""
    return os.path.isfile(partial_folder(target.resolve()) / NAME)


def discard_state(target: Path) -> None:
    """Remove what is left beside a finished target by a run that died at its very end.

    Raises:
        OutputError: another run is writing it again.
    """
    if can_resume(target):
        with PartialOutput(target, overwrite=True) as output:
            (output.folder / NAME).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Put a file on the disk, or a folder with all that is in it."""
    if path.is_dir():
        for entry in path.iterdir():
            _sync(entry)
        _sync_entries(path)
    else:
        with path.open("rb+") as stream:  # Windows syncs only what may be written
            os.fsync(stream.fileno())


def _sync_entries(folder: Path) -> None:
    """Put the names in a folder on the disk, where the system can: Windows opens no folders."""
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
