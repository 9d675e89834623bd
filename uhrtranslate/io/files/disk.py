"""Disks: their errors as sentences, sizes in readable form, and small files besides the results."""

import csv
import errno
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from uhrtranslate.errors import OutputError
from uhrtranslate.replace import replace_file, replacing

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


def human_size(size: float) -> str:
    """A number of bytes in readable form, such as `3.4 GB`."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:,.1f} GB"


@contextmanager
def output_errors(target: Path, needed: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Turn an OSError in the block into one sentence about the target.

    Args:
        target: the output that the user asked for, even if it was a temporary file that failed.
        needed: returns how many bytes are missing, if known; called only when the disk is full.

    Raises:
        OutputError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            missing = needed()
            amount = f"about {human_size(missing)}" if missing > 0 else "some space"
            reason = f"the disk is full; free {amount} or choose another folder with -o"
        elif error.errno in _FORBIDDEN:
            reason = "its folder cannot be written; choose another folder with -o"
        elif error.errno == errno.ENAMETOOLONG:
            reason = "its name is too long; choose a shorter one with -o"
        elif isinstance(error, FileExistsError | NotADirectoryError):
            reason = f"{error.filename} is no folder; choose another folder with -o"
        else:
            cause = error.strerror or str(error)
            reason = f"it cannot be written ({cause}); choose another folder with -o"
        raise OutputError(f"{target}: {reason}") from error


def write_text(path: Path, text: str) -> None:
    """Write a small text file whole or not at all, making its folder if needed.

    Raises:
        OutputError: the file cannot be written.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text)


def write_png(path: Path, pixels: NDArray[np.uint8], **options: int) -> None:
    """Write a small picture whole or not at all, making its folder if needed.

    Args:
        path: of the PNG.
        pixels: [h, w, 3].
        options: for Pillow's `save`.

    Raises:
        OutputError: it cannot be written.
    """
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            Image.fromarray(np.ascontiguousarray(pixels)).save(file, format="PNG", **options)


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A table as CSV with a header, its lines ended by line feeds."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
