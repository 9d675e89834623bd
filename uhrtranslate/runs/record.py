"""`uhrt-run.json`: what became of each input of a run."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.options import ImageOptions
from uhrtranslate.replace import replace_file
from uhrtranslate.runs.events import ImageResult
from uhrtranslate.version import versions

NAME = "uhrt-run.json"


class RunRecord:
    """A JSON file that is valid at any moment, with a record of each finished input.

    It ends with the list of records, so a new one replaces only the file's last bytes, and its
    cost does not grow with the number of inputs. A context manager.

    Args:
        folder: of the outputs; made if it does not exist.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()  # so that `..` does not lead through folders yet to be made
        self._path = folder / NAME
        self._versions = versions()
        head = _json({"started": _now(), "versions": self._versions}, "").removesuffix("\n}")
        content = f'{head},\n "inputs": ['.encode()
        self._end = len(content)  # of the last record
        self._tail, self._comma = _tail("null"), ""
        with output_errors(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._path, content + self._tail)
            self._file = self._path.open("r+b", buffering=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, result: ImageResult, options: ImageOptions) -> None:
        """Add a result and the options of its input.

        Raises:
            OutputError: the file cannot be written; earlier records stay.
        """
        record = dataclasses.asdict(result)
        if result.width is not None and result.height is not None:
            record["pixels"] = result.width * result.height
        record["options"] = options.model_dump(mode="json")
        record["versions"] = self._versions
        # A name that is not UTF-8 becomes a JSON escape.
        text = f"{self._comma}\n  {_json(record, '  ')}".encode(errors="backslashreplace")
        tail = _tail(f'"{_now()}"')
        grown = len(text) + len(tail) - len(self._tail)
        with output_errors(self._path):
            # First append blanks, which are valid at the end of JSON: if the disk is full, or
            # someone reads now, nothing has changed. Then one write within the file.
            self._write(self._end + len(self._tail), b" " * grown)
            self._write(self._end, text + tail)
        self._end += len(text)
        self._tail, self._comma = tail, ","

    def _write(self, place: int, content: bytes) -> None:
        self._file.seek(place)
        while content:
            content = content[self._file.write(content) :]


def _json(value: dict[str, Any], indent: str) -> str:
    text = json.dumps(value, indent=1, ensure_ascii=False)
    return text.replace("\n", f"\n{indent}")


def _tail(finished: str) -> bytes:
    """What closes the list of records, and the file."""
    return f'\n ],\n "finished": {finished}\n}}\n'.encode()


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
