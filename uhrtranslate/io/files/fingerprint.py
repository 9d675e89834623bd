"""Whether a file is still the one it was, without reading all of it."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

# Read at the start, in the middle and at the end: headers, indices and some pixels.
BLOCK = 1 << 20


@dataclass(frozen=True)
class Fingerprint:
    """What identifies a file that may have gigabytes.

    Attributes:
        size: bytes.
        mtime_ns: time of the last change, nanoseconds since 1970.
        quickhash: SHA-256 of the size, three blocks of the file, and names and sizes of the files
            that are parts of the same slide.
    """

    size: int
    mtime_ns: int
    quickhash: str


def fingerprint(path: Path) -> Fingerprint:
    """The fingerprint of a file.

    Raises:
        OSError: it cannot be read.
    """
    status = path.stat()
    digest = hashlib.sha256(str(status.st_size).encode())
    with path.open("rb") as file:
        for start in (0, (status.st_size - BLOCK) // 2, status.st_size - BLOCK):
            file.seek(max(start, 0))
            digest.update(file.read(BLOCK))
    for part in _parts(path):
        digest.update(f"\0{part.name}\0{part.stat().st_size}".encode())
    return Fingerprint(status.st_size, status.st_mtime_ns, digest.hexdigest())


def _parts(path: Path) -> list[Path]:
    """Other files of the same slide, where the ending says that there are some."""
    match path.suffix.lower():
        case ".mrxs":
            return sorted(part for part in path.with_suffix("").glob("*") if part.is_file())
        case ".dcm":
            return sorted(path.parent.glob("*.dcm"))
        case _:
            return []
