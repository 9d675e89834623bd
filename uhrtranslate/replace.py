"""Files that appear under their name only when they are complete."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_HIDDEN, _RANDOM = ".uhrt-", 8  # how hidden names begin, and bytes of what follows in hexadecimal


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that replaces `path` when the block ends without an exception.

    Until then it has a hidden name in the same folder. A crash of the process leaves the old file
    as it was; to survive a crash of the machine too, end the block with `to_disk`.

    Raises:
        OSError: the file cannot be written.
    """
    # Random, so that runs never share it, and short, so that it fits wherever the name does.
    new = path.with_name(f"{_HIDDEN}{secrets.token_hex(_RANDOM)}")
    try:
        with new.open("xb") as file:
            yield file
        os.replace(new, path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise


def replace_file(path: Path, content: str | bytes) -> None:
    """Write a file completely or not at all; an existing one is replaced.

    Args:
        path: of the file, in a folder that exists.
        content: bytes, or text, written as UTF-8 with `?` for characters that cannot be encoded.

    Raises:
        OSError: the file cannot be written; an existing one is left as it was.
    """
    data = content.encode(errors="replace") if isinstance(content, str) else content
    with replacing(path) as file:
        file.write(data)
        to_disk(file)


def remove_unreplaced(folder: Path) -> None:
    """Remove hidden files that killed runs have left, in a folder that no other run writes to.

    Raises:
        OSError: one cannot be removed.
    """
    for left in folder.rglob(f"{_HIDDEN}{'[0-9a-f]' * 2 * _RANDOM}"):
        left.unlink(missing_ok=True)


def to_disk(file: BinaryIO) -> None:
    """Wait until everything written to an open file is on the disk."""
    file.flush()
    os.fsync(file.fileno())
