"""Telling whether an input has changed, without reading all of it."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Read at the start, in the middle and at the end: headers, indices and some pixels.
BLOCK = 1 << 20


@dataclass(frozen=True)
class Fingerprint:
    """What identifies an input that may have many gigabytes.

    Attributes:
        size: bytes.
        mtime_ns: time of the last change, nanoseconds since 1970.
        quickhash: SHA-256. For a file, of its size, three blocks of it, and the names and sizes of
            the other files of the same slide. For a folder, of each file's name, size and time.
    """

    size: int
    mtime_ns: int
    quickhash: str

    def facts(self) -> dict[str, Any]:
        """The same, as a job tells of its input; see `journal.State`."""
        return {
            "input's size": self.size,
            "input's time": self.mtime_ns,
            "input's hash": self.quickhash,
        }


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of a file, or of a folder that is one image, such as an OME-Zarr.

    Raises:
        OSError: the input cannot be read.
    """
    if path.is_dir():
        return _folder_fingerprint(path)
    status = path.stat()
    digest = hashlib.sha256(str(status.st_size).encode())
    with path.open("rb") as file:
        for start in (0, (status.st_size - BLOCK) // 2, status.st_size - BLOCK):
            file.seek(max(start, 0))
            digest.update(file.read(BLOCK))
    for part in _parts(path):
        digest.update(f"\0{part.name}\0{part.stat().st_size}".encode())
    return Fingerprint(status.st_size, status.st_mtime_ns, digest.hexdigest())


def _folder_fingerprint(folder: Path) -> Fingerprint:
    digest = hashlib.sha256()
    size = newest = 0
    for where, folders, names in os.walk(folder, onerror=_raise):
        folders.sort()
        for path in (Path(where, name) for name in sorted(names)):
            status = path.stat()
            size += status.st_size
            newest = max(newest, status.st_mtime_ns)
            name = path.relative_to(folder).as_posix()
            digest.update(f"{name}\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    return Fingerprint(size, newest, digest.hexdigest())


def _raise(error: OSError) -> None:
    raise error


def _parts(path: Path) -> list[Path]:
    """Other files of the same slide, if its ending means that there are any."""
    match path.suffix.lower():
        case ".mrxs":
            return sorted(part for part in path.with_suffix("").glob("*") if part.is_file())
        case ".dcm":
            return sorted(path.parent.glob("*.dcm"))
        case _:
            return []
