"""What an unfinished output needs to go on: saved now and then, whole or not at all.

One file, `state`, in the folder of the output in the making: a line of JSON, then numpy arrays. It
is written under another name, forced to the disk and renamed, so that a run that dies in the middle
leaves the state before. What it refers to (spilled tiles) must be on the disk before it.
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
from uhrtranslate.replace import replacing, to_disk

VERSION = 1
NAME = "state"
# Of the run's time, what saving may cost: a row that would cost more is saved with the next one.
SHARE = 0.02

Job = Mapping[str, Any]


@dataclass(frozen=True)
class State:
    """A saved state.

    Attributes:
        job: what the output is made of: input, model and options, by name; as JSON gives it back.
        rows: px from the top that are done.
        height: px of the image.
        arrays: what the writer keeps, by name.
    """

    job: dict[str, Any]
    rows: int
    height: int
    arrays: dict[str, NDArray[Any]] = field(repr=False)


class Journal:
    """Saves the state of a writer.

    Args:
        folder: of the output in the making.
        job: see `State`; of what JSON can hold.
        height: px of the image.
    """

    def __init__(self, folder: Path, job: Job, height: int) -> None:
        self._folder = folder
        self._job = job
        self._height = height
        self._last = time.monotonic()
        self._cost = 0.0

    @property
    def due(self) -> bool:
        """Whether enough time has passed for another state to be cheap."""
        return time.monotonic() - self._last >= self._cost / SHARE

    def save(self, rows: int, spills: Iterable[BinaryIO], arrays: Mapping[str, Any]) -> None:
        """Put a state on the disk.

        Args:
            rows: px from the top that are done.
            spills: open files that the state refers to; forced to the disk first.
            arrays: see `State`.

        Raises:
            OSError: it cannot be written; the state before stays.
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
    """The state that a run left in a folder; None without one.

    Raises:
        OutputError: it is damaged, or of another version.
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
    """Refuse to go on with another job than was begun.

    Raises:
        OutputError: names the first difference.
    """
    now = json.loads(json.dumps(dict(job)))
    for name in (*now, *state.job):
        if now.get(name) != state.job.get(name):
            raise OutputError(
                f"{target}: cannot be resumed, as its {name} was {state.job.get(name)} and is now "
                f"{now.get(name)}; use what it was begun with, or --overwrite without --resume "
                "to start afresh"
            )
