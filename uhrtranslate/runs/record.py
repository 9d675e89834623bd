"""`uhrt-run.json`: what became of each input of a run."""

import dataclasses
import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.options import ImageOptions
from uhrtranslate.runs.events import ImageResult
from uhrtranslate.version import __version__

NAME = "uhrt-run.json"
# Of what a result may depend on.
PACKAGES = ("torch", "numpy", "openslide-python", "openslide-bin", "tifffile", "imagecodecs")


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
            "versions": {
                "uhrt": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in PACKAGES},
            },
            "inputs": [],
        }
        with output_errors(self._path):
            folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def add(self, result: ImageResult, options: ImageOptions) -> None:
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
        new = self._path.with_name(f".{NAME}.{os.getpid()}")
        with output_errors(self._path):
            try:
                new.write_text(json.dumps(self._content, indent=1, ensure_ascii=False) + "\n")
                os.replace(new, self._path)
            finally:
                new.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
