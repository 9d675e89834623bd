"""Outputs that appear complete or not at all, and runs that can be resumed.

An output is made in a folder beside it, `<target name>.uhrt-partial`, and renamed at the end. The
folder holds a lock file, whose lock the system releases however a process ends; this tells a live
run from a dead one. If a run has saved its state there (see `journal`), the folder stays.
"""

import hashlib
import os
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.io.files.journal import NAME, Job, State, check_same_job, load_state
from uhrtranslate.threads import undivided

SUFFIX = ".uhrt-partial"
LOCK = "lock"
# The longest file name, in bytes, that all common file systems allow.
LONGEST = 255

_held: set["PartialOutput"] = set()  # whose folders this process has locked


class LockedError(OutputError):
    """Another run, or a worker that is dying, is writing the output."""


class PartialOutput:
    """An unfinished output: a locked folder beside the target, from which `publish` moves one file.

    A context manager that makes the folder and removes it at the end. After an exception, a folder
    with a saved state is kept.

    Args:
        target: the final name. A symbolic link is followed, and the file it points to is replaced.
        overwrite: replace an existing target, and whatever an unfinished run has left.
        job: what is being made, if it can be resumed; see `journal.State`.
        resume: continue from the state that an unfinished run of the same job has left.
        is_folder: the target is a folder of files, so an existing folder may be replaced.

    Attributes:
        state: the state to continue from; None for a fresh start. Set inside the block.

    Raises:
        OutputError: the target exists, or is a folder; an unfinished run has left its state, or was
            a different job.
    """

    state: State | None = None

    def __init__(
        self,
        target: Path,
        overwrite: bool = False,
        job: Job | None = None,
        resume: bool = False,
        is_folder: bool = False,
    ) -> None:
        self._is_folder = is_folder
        try:
            self.target = target.resolve()
        except (OSError, RuntimeError) as error:  # Python 3.11 raises RuntimeError for a loop
            raise OutputError(f"{target}: the symbolic link leads nowhere; remove it") from error
        self.folder = partial_folder(self.target)
        self._overwrite = overwrite
        self._job = job
        self._resume = resume
        self._published = False
        self._leaving = threading.Lock()
        with output_errors(self.target):
            self._check_target()

    def __enter__(self) -> Self:
        with output_errors(self.target):
            self._check_target()
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            try:
                with undivided():
                    self._lock()
                    _held.add(self)
                self.state = self._found_state()
                if self.state is None:
                    self._empty()
            except BaseException:
                self.leave()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Keep the folder if it has a saved state for the next run; otherwise remove it.

        Nothing happens if that was done already.
        """
        with self._leaving, undivided():
            if self not in _held:
                return
            if self._published or not (self.folder / NAME).exists():
                self._remove()
            else:
                os.close(self._descriptor)
            _held.discard(self)

    def publish(self, file: Path) -> None:
        """Write a finished file or folder through to the disk and give it its final name.

        Raises:
            OutputError: the target has appeared since the start, or cannot be replaced.
        """
        with output_errors(self.target):
            _sync(file)
            with undivided():
                if file.is_dir():
                    self._replace_folder(file)
                else:
                    self._check_target()
                    os.replace(file, self.target)
                self._published = True
            _sync_entries(self.target.parent)

    def _replace_folder(self, folder: Path) -> None:
        """Give a finished folder its name; an old one moves into our folder, to be removed."""
        self._check_target()
        if self.target.exists():
            os.replace(self.target, self.folder / "replaced")
        os.replace(folder, self.target)

    def _check_target(self) -> None:
        if self.target.is_dir() and not self._is_folder:
            raise OutputError(f"{self.target}: is a folder; name a file inside it")
        if not self._overwrite and os.path.lexists(self.target):
            raise OutputError(
                f"{self.target}: exists already; use --overwrite or choose another name with -o"
            )

    def _found_state(self) -> State | None:
        """The state of an unfinished run, if this run continues it."""
        if self._overwrite and not self._resume:
            return None
        state = load_state(self.folder)
        if state is None:
            return None
        if self._job is None or not self._resume:
            raise OutputError(
                f"{self.target}: an interrupted run has finished {state.rows / state.height:.0%} "
                "of it; use --resume to continue, or --overwrite to start afresh"
            )
        check_same_job(self.target, state, self._job)
        return state

    def _lock(self) -> None:
        """Make the folder and lock it; a lock held by another process means a live run."""
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
                continue  # a run that just ended has removed the folder
            if not _try_lock(descriptor):
                os.close(descriptor)
                raise LockedError(f"{self.target}: another run is writing it; wait until it ends")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    self._descriptor = descriptor
                    return
            os.close(descriptor)  # this lock file belonged to a run that just ended and removed it

    def _empty(self) -> None:
        for entry in self.folder.iterdir():
            if entry.name == LOCK:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _remove(self) -> None:
        """Remove the folder. The lock goes last: until then no other run may touch the folder."""
        with suppress(OSError):
            self._empty()
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(self._descriptor)
        with suppress(OSError):
            (self.folder / LOCK).unlink()
            self.folder.rmdir()
        if sys.platform != "win32":
            os.close(self._descriptor)


def leave_all() -> None:
    """Leave all outputs that are unfinished, whatever their threads do: the process ends now."""
    for output in list(_held):
        output.leave()


def partial_folder(target: Path) -> Path:
    """Where a target is made. In a name that is too long, a digest replaces the end."""
    name = os.fsencode(target.name)
    if len(name) + len(SUFFIX) <= LONGEST:
        return target.with_name(target.name + SUFFIX)
    digest = hashlib.sha256(name).hexdigest()[:32]
    start = name[: LONGEST - len(SUFFIX) - len(digest) - 1].decode(errors="ignore")
    return target.with_name(f"{start}-{digest}{SUFFIX}")


def before(target: Path) -> Path:
    """What stands for all that a run computes before the first pixel of a target.

    It is never published: its folder holds what can be resumed, and `discard_state` removes it.
    """
    return target.resolve().with_name(f"{target.resolve().name}.latent")


def can_resume(target: Path) -> bool:
    """Whether an unfinished run has left a state beside a target."""
    places = target.resolve(), before(target)
    return any(os.path.isfile(partial_folder(place) / NAME) for place in places)


def discard_state(target: Path) -> None:
    """Remove the state that a run has left beside its finished target by dying at the very end.

    Raises:
        OutputError: another run is writing the target again.
    """
    if os.path.isfile(partial_folder(target.resolve()) / NAME):
        with PartialOutput(target, overwrite=True, is_folder=target.is_dir()) as output:
            (output.folder / NAME).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    """Write a file through to the disk, or a folder with everything in it."""
    if path.is_dir():
        for entry in path.iterdir():
            _sync(entry)
        _sync_entries(path)
    else:
        with path.open("rb+") as stream:  # Windows syncs only files that are open for writing
            os.fsync(stream.fileno())


def _sync_entries(folder: Path) -> None:
    """Write a folder's entries through to the disk where possible: Windows cannot open folders."""
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
        except OSError:  # file systems without locks (some Lustre mounts): do without
            return True
        return True
