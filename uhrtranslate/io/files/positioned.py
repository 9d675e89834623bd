"""Files that are read at any offset, as files with a position."""

import io
import os
from typing import Any, Protocol


class ReadAt(Protocol):
    """A file that is read at offsets.

    Attributes:
        size: of the file in bytes.
    """

    @property
    def size(self) -> int: ...  # noqa: D102

    def read_at(self, offset: int, length: int) -> bytes:
        """So many bytes from an offset on; fewer at the end."""
        ...


class PositionedFile(io.RawIOBase):
    """The same file with a position, for `io.BufferedReader`; closing it leaves the file open."""

    def __init__(self, file: ReadAt) -> None:
        self._file, self._position = file, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position; not to before the beginning."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._file.size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer: Any) -> int:
        """See `io.RawIOBase`."""
        data = self._file.read_at(self._position, len(buffer))
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)
