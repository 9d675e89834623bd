"""The log of a training: a table of losses and, if wanted, TensorBoard."""

import csv
import io
import math
from pathlib import Path
from typing import Any

from uhrtranslate.errors import require
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.replace import replace_file

NAME = "log.csv"


class Log:
    """Lines of losses in `log.csv`, which is complete after each line.

    Args:
        run: folder of the run.
        step: that the run resumes from; later lines are dropped.
        tensorboard: also write TensorBoard's files, into `tensorboard/`.

    Raises:
        OutputError: the file cannot be written.
        MissingExtraError: TensorBoard is not installed.
    """

    def __init__(self, run: Path, step: int, tensorboard: bool) -> None:
        self._path = run / NAME
        self._board: Any = None
        if tensorboard:
            require("tensorboard", "train")
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)
        self._names: list[str] = []
        if self._path.exists():
            self._rewrite([], step)

    def write(self, values: dict[str, float | int]) -> None:
        """Add a line; losses that first appear in a later stage get new columns."""
        new = [name for name in values if name not in self._names]
        if new:
            self._rewrite(new)
        with output_errors(self._path):
            line = io.StringIO()
            csv.writer(line, lineterminator="\n").writerow(values.get(n, "") for n in self._names)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line.getvalue())
        if self._board is not None:
            step = int(values["step"])
            for name, value in values.items():
                if name != "step":
                    self._board.add_scalar(name, value, step)

    def picture(self, name: str, pixels: Any, step: int) -> None:
        """Show a picture, [h, w, 3] uint8, in TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, pixels, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still buffered."""
        if self._board is not None:
            self._board.close()

    def _rewrite(self, new_names: list[str], last: float = math.inf) -> None:
        """Add columns, and drop lines after a step."""
        with output_errors(self._path):
            rows: list[list[str]] = []
            if self._path.exists():
                with self._path.open(newline="", encoding="utf-8") as file:
                    rows = list(csv.reader(file))
            old = rows[0] if rows else []
            self._names = [*old, *new_names]
            place = self._names.index("step") if self._names else 0
            kept = [row for row in rows[1:] if len(row) == len(old) and int(row[place]) <= last]
            empty = [""] * len(new_names)
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerows([self._names, *([*row, *empty] for row in kept)])
            replace_file(self._path, text.getvalue())
