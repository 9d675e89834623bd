"""The saved state from which an unfinished output can be resumed.

It is one file, `state`, in the partial output's folder: a line of JSON, then numpy arrays. The
spilled tiles that it refers to are written through to the disk first. A run that dies while saving
leaves the previous state in place.
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import OutputError
from uhrtranslate.io.files.differences import difference
from uhrtranslate.replace import replacing, to_disk

VERSION = 1
NAME = "state"
# Share of the run's time that saving may take; a save that would take more is put off.
SHARE = 0.02
# What was computed within so many seconds is not saved once it is whole: writing it comes next.
QUICK = 1.0

Job = Mapping[str, Any]


@dataclass(frozen=True)
class State:
    """A saved state.

    Attributes:
        job: the input, model and options that the output is made from, as JSON returns them.
        rows: finished rows of pixels, counted from the top.
        height: px of the image.
        arrays: what the writer needs, by name.
    """

    job: dict[str, Any]
    rows: int
    height: int
    arrays: dict[str, NDArray[Any]] = field(repr=False)


class Journal:
    """Saves the state of a writer in the folder of its partial output.

    The job must consist of values that JSON can hold; for it and the height see `State`.
    """

    def __init__(self, folder: Path, job: Job, height: int) -> None:
        self._folder = folder
        self._job = job
        self._height = height
        self._began = self._last = time.monotonic()
        self._cost = 0.0

    @property
    def due(self) -> bool:
        """Whether enough time has passed to save again."""
        return time.monotonic() - self._last >= self._cost / SHARE

    def is_quick(self, rows: int) -> bool:
        """Whether all rows are there so soon that a run which dies now has lost next to nothing."""
        return rows == self._height and time.monotonic() - self._began < QUICK

    def save(self, rows: int, spills: Iterable[BinaryIO], arrays: Mapping[str, Any]) -> None:
        """Save a state to the disk, after the open spill files that it refers to; see `State`.

        Raises:
            OSError: it cannot be written; the previous state stays.
        """
        began = time.monotonic()
        for spill in spills:
            to_disk(spill)
        head = {
            "version": VERSION,
            "job": dict(self._job),
            "rows": rows,
            "height": self._height,
            "arrays": list(arrays),
        }
        with replacing(self._folder / NAME) as file:
            file.write(json.dumps(head).encode() + b"\n")
            for array in arrays.values():
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)
            to_disk(file)
        self._last = time.monotonic()
        self._cost = self._last - began


def load_state(folder: Path) -> State | None:
    """The state that a run has left in a folder; None if there is none.

    Raises:
        OutputError: the state is damaged, or of another version.
    """
    path = folder / NAME
    try:
        with path.open("rb") as file:
            head = json.loads(file.readline())
            if head["version"] != VERSION:
                raise OutputError(
                    f"{folder}: was left by another version of uhrt, which alone can resume it; "
                    "use --overwrite without --resume to start afresh"
                )
            arrays = {
                name: np.lib.format.read_array(file, allow_pickle=False) for name in head["arrays"]
            }
            return State(head["job"], int(head["rows"]), int(head["height"]), arrays)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError, EOFError, MemoryError) as error:
        raise OutputError(
            f"{folder}: the state in it is damaged; use --overwrite without --resume to start "
            "afresh"
        ) from error


def check_same_job(target: Path, state: State, job: Job) -> None:
    """Refuse to resume a job other than the one that was started.

    Raises:
        OutputError: names the first difference.
    """
    found = difference(state.job, json.loads(json.dumps(dict(job))))
    if found is not None:
        why, remedy = found
        raise OutputError(
            f"{target}: cannot be resumed, as {why}; {remedy}, or --overwrite without --resume to "
            "start afresh"
        )
