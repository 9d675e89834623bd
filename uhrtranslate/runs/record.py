"""`uhrt-run.json`: what became of each input of a run."""

import dataclasses
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.options import ImageOptions
from uhrtranslate.replace import replace_file
from uhrtranslate.runs.events import TranslateResult
from uhrtranslate.version import versions

NAME = "uhrt-run.json"


class RunRecord:
    """A file that is whole at any moment, with a record for each input that is through.

    Args:
        folder: of the outputs; made if it is not there.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        folder = folder.resolve()  # `..` is not made a way through new folders
        self._path = folder / NAME
        self._content: dict[str, Any] = {
            "started": _now(),
            "finished": None,
            "versions": versions(),
            "inputs": [],
        }
        with output_errors(self._path):
            folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def add(self, result: TranslateResult, options: ImageOptions) -> None:
        """Take in a result, and the options of its input.

        Raises:
            OutputError: the file cannot be written.
        """
        record = dataclasses.asdict(result)
        if result.width is not None and result.height is not None:
            record["pixels"] = result.width * result.height
        record["options"] = options.model_dump(mode="json")
        record["versions"] = self._content["versions"]
        self._content["inputs"].append(record)
        self._content["finished"] = _now()
        self._write()

    def _write(self) -> None:
        with output_errors(self._path):
            replace_file(self._path, json.dumps(self._content, indent=1, ensure_ascii=False) + "\n")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
