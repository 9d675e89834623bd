"""Showing work that goes in stages while it happens, on stderr."""

import os
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from uhrtranslate.cli.printing import print_line
from uhrtranslate.cli.report import SECONDS_BETWEEN_LINES
from uhrtranslate.runs.events import Stage


class StageLine:
    """A bar on a terminal; elsewhere a plain line from time to time.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool) -> None:
        console = Console(stderr=True)
        live = console.is_terminal and not os.environ.get("CI")
        self._quiet = quiet
        self._told = time.monotonic()
        self._bar: TaskID | None = None
        self._progress: Progress | None = None
        if live and not quiet:
            columns = (
                TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn(),
            )  # fmt: skip
            self._progress = Progress(*columns, console=console, transient=True)

    def __enter__(self) -> "StageLine":
        if self._progress is not None:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, stage: Stage) -> None:
        """Show how far one piece of work has come."""
        words = f"{stage.name} ({stage.number} of {stage.stages})"
        total = (stage.number - 1 + stage.done) / stage.stages
        if self._progress is not None:
            text = f"{Path(stage.input).name}: {words}"
            if self._bar is None or total == 0:
                if self._bar is not None:
                    self._progress.remove_task(self._bar)
                self._bar = self._progress.add_task(text, total=1.0)
            self._progress.update(self._bar, description=text, completed=total)
        elif not self._quiet and time.monotonic() - self._told >= SECONDS_BETWEEN_LINES:
            self._told = time.monotonic()
            print_line(f"{stage.input}: {total:.0%}, {words}")
