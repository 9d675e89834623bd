"""What is written down while a training runs: a table of losses, and TensorBoard if wanted."""

import csv
import io
from pathlib import Path
from typing import Any

from uhrtranslate.errors import require
from uhrtranslate.io.files.disk import output_errors
from uhrtranslate.replace import replace_file

NAME = "log.csv"


class Log:
    """Lines of losses in `log.csv`, which is whole after each line.

    Args:
        run: folder of the run.
        step: that the run goes on from; lines after it are dropped.
        tensorboard: write there too, into `tensorboard/`.

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
            self._cut(step)

    def write(self, values: dict[str, float | int]) -> None:
        """Add a line; the first one says which columns there are."""
        with output_errors(self._path):
            line = io.StringIO()
            writer = csv.writer(line, lineterminator="\n")
            if not self._names:
                self._names = list(values)
                writer.writerow(self._names)
            writer.writerow([values.get(name, "") for name in self._names])
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
        """Finish what waits to be written."""
        if self._board is not None:
            self._board.close()

    def _cut(self, step: int) -> None:
        with output_errors(self._path):
            with self._path.open(newline="", encoding="utf-8") as file:
                rows = list(csv.reader(file))
            if not rows:
                return
            self._names = rows[0]
            place = self._names.index("step")
            kept = [rows[0]] + [
                row for row in rows[1:] if len(row) == len(rows[0]) and int(row[place]) <= step
            ]
            text = io.StringIO()
            csv.writer(text, lineterminator="\n").writerows(kept)
            replace_file(self._path, text.getvalue())
