"""The only place that prints: results on stdout, everything for people on stderr."""

import dataclasses
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from uhrtranslate.errors import OptionError, UhrError
from uhrtranslate.tasks.events import Advanced, Event, Started, TranslateResult

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Without a terminal, progress is a plain line now and then.
SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def errors_as_sentences(debug: bool = False) -> Iterator[None]:
    """Turn a `UhrError` into one sentence on stderr and the right exit code.

    Exit codes: 1 an input or output failed, 2 wrong usage, 130 interrupted.
    """
    if debug:
        logging.basicConfig(stream=sys.stderr)
        logging.getLogger("uhrtranslate").setLevel(logging.DEBUG)
    try:
        yield
    except UhrError as error:
        if debug:
            traceback.print_exc()
        print_error(str(error))
        raise typer.Exit(2 if isinstance(error, OptionError) else 1) from None
    except KeyboardInterrupt:
        print_error("interrupted; nothing half-written was left behind.")
        raise typer.Exit(130) from None


def print_error(sentence: str) -> None:
    """One sentence for people, on stderr."""
    print(f"uhrt: {sentence}", file=sys.stderr)


def print_json(value: "DataclassInstance") -> None:
    """A dataclass as one line of JSON on stdout."""
    print(json.dumps(dataclasses.asdict(value), ensure_ascii=False), flush=True)


class Report:
    """Shows a run of many inputs while it happens.

    Args:
        as_json: results as JSON lines instead of paths.
        quiet: nothing on stderr but errors.
        inputs: how many inputs there are.
    """

    def __init__(self, as_json: bool, quiet: bool, inputs: int) -> None:
        self.failed = 0
        self._as_json = as_json
        self._inputs = inputs
        self._count = 0
        console = Console(stderr=True)
        self._view: _Bars | _Lines | None = None
        if not quiet:
            live = console.is_terminal and not os.environ.get("CI")
            self._view = _Bars(console) if live else _Lines()

    def __enter__(self) -> "Report":
        if isinstance(self._view, _Bars):
            self._view.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if isinstance(self._view, _Bars):
            self._view.progress.stop()

    def event(self, event: Event) -> None:
        """Show what a task tells."""
        if isinstance(event, Started):
            self._count += 1
            if self._view:
                self._view.start(event, f"[{self._count}/{self._inputs}] ")
        elif isinstance(event, Advanced):
            if self._view:
                self._view.advance(event.pixels)
        else:
            self._finish(event)

    def _finish(self, result: TranslateResult) -> None:
        if self._view:
            self._view.finish(result)
        if result.status == "failed":
            self.failed += 1
            print_error(result.error or f"{result.input}: failed.")
        if self._as_json:
            print_json(result)
        elif result.output:
            print(result.output, flush=True)


class _Rate(ProgressColumn):
    """Megapixels per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed / 1e6:.2f} MP/s", style="cyan")


class _Bars:
    """Progress bars on a terminal."""

    def __init__(self, console: Console) -> None:
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._console = console

    def start(self, event: Started, counter: str) -> None:
        self._console.print(f"{counter}{event.input}: {event.note}", markup=False, highlight=False)
        self._task = self.progress.add_task(
            counter + os.path.basename(event.input), total=event.pixels
        )

    def advance(self, pixels: int) -> None:
        self.progress.advance(self._task, pixels)

    def finish(self, result: TranslateResult) -> None:
        for task in self.progress.task_ids:
            self.progress.remove_task(task)


class _Lines:
    """Plain lines where nobody watches."""

    def start(self, event: Started, counter: str) -> None:
        self._event, self._done = event, 0
        self._began = self._told = time.monotonic()
        print(f"{counter}{event.input}: {event.note}", file=sys.stderr, flush=True)

    def advance(self, pixels: int) -> None:
        self._done += pixels
        now = time.monotonic()
        if now - self._told < SECONDS_BETWEEN_LINES:
            return
        self._told = now
        rate = self._done / (now - self._began)
        left = (self._event.pixels - self._done) / rate
        print(
            f"{self._event.input}: {self._done / self._event.pixels:.0%}, "
            f"{rate / 1e6:.2f} MP/s, {left:.0f} s left",
            file=sys.stderr,
            flush=True,
        )

    def finish(self, result: TranslateResult) -> None:
        if result.status == "done":
            print(
                f"{result.input}: done in {result.seconds:.1f} s -> {result.output}",
                file=sys.stderr,
                flush=True,
            )
