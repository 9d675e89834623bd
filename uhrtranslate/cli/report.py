"""What a run shows while it happens, and errors and signals as sentences."""

import dataclasses
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from uhrtranslate.cli.printing import print_error, print_json, print_line, print_warning
from uhrtranslate.cli.sizes import file_size
from uhrtranslate.cli.times import duration
from uhrtranslate.errors import OptionError, UhrError
from uhrtranslate.runs.events import (
    Advanced,
    AtWork,
    Event,
    Forecast,
    ImageResult,
    Started,
    Workers,
)

# Without a terminal, progress is a plain line from time to time.
SECONDS_BETWEEN_LINES = 30.0
# Kinds of warnings that tend to be true of all inputs of a run, and are told of the first.
TOLD_ONCE = ("resolution", "stated", "dark-field", "noise", "devices")


class Stopped(KeyboardInterrupt):
    """A signal that ends the program; it unwinds like Ctrl-C, so nothing is left half-written.

    Attributes:
        number: of the signal.
        sentence: what the user is told; set by whoever knows what has been saved.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
        self.sentence = "stopped."


@contextmanager
def errors_as_sentences(debug: bool = False) -> Iterator[None]:
    """Turn our errors, the system's, and signals into a sentence and an exit code.

    Exit codes: 1 an input or output failed, 2 wrong usage, 128 + n stopped by signal n (130 Ctrl-C,
    143 terminated, 129 terminal closed).
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
    except OSError as error:
        if error.filename is None or error.strerror is None:
            raise
        if debug:
            traceback.print_exc()
        print_error(f"{error.filename}: cannot be read or written ({error.strerror}).")
        raise typer.Exit(1) from None
    except Stopped as stop:
        print_error(stop.sentence)
        raise typer.Exit(128 + stop.number) from None


class Report:
    """Shows a run of many inputs while it happens.

    Args:
        as_json: print results as JSON lines instead of paths.
        quiet: print only errors on stderr.
        inputs: number of inputs.
    """

    def __init__(self, as_json: bool, quiet: bool, inputs: int) -> None:
        self.failures: list[str] = []
        self._as_json = as_json
        self._quiet = quiet
        self._inputs = inputs
        self._finished = 0
        self._at_work: dict[str, str] = {}  # outputs by inputs
        self._kept = False  # whether any result is complete
        self._warned: dict[str, set[str]] = {}  # inputs by kinds of warnings
        console = Console(stderr=True)
        self._view: _Bars | _Lines | None = None
        if not quiet:
            live = console.is_terminal and not os.environ.get("CI")
            self._view = _Bars(console, inputs) if live else _Lines()

    def __enter__(self) -> "Report":
        if isinstance(self._view, _Bars):
            self._view.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, *_: object
    ) -> None:
        if isinstance(self._view, _Bars):
            self._view.progress.stop()
        if isinstance(error, Stopped):
            error.sentence = self.when_stopped()
        for kind_of_warning, inputs in self._warned.items():
            if len(inputs) > 1 and kind_of_warning in TOLD_ONCE and not self._quiet:
                others = len(inputs) - 1
                who = "1 more input has" if others == 1 else f"{others:,} more inputs have"
                more = f"{who} the same ({kind_of_warning})"
                print_warning(f"{more}; --json and uhrt-run.json name them.")
        if kind is None and self.failures and self._inputs > 1:
            print_error(f"{len(self.failures)} of {self._inputs} inputs failed:")
            for sentence in self.failures:
                print_line(f"  {sentence}")

    def when_stopped(self) -> str:
        """What the user is told after a signal: whether work has been saved."""
        from uhrtranslate.io import can_resume

        if self._kept or any(can_resume(Path(output)) for output in self._at_work.values()):
            return "stopped; the same command with --resume goes on from here."
        return "stopped before anything was saved; the same command starts afresh."

    def event(self, event: Event) -> None:
        """Show an event; only one thread at a time may call this."""
        if isinstance(event, Started):
            self._warn(event)
            self._at_work[event.input] = event.output
            number = self._finished + len(self._at_work)
            if self._view:
                self._view.start(event, f"[{number}/{self._inputs}] ")
        elif isinstance(event, Advanced):
            if self._view:
                self._view.advance(event)
        elif isinstance(event, AtWork):
            if self._view:
                self._view.place(event)
        elif isinstance(event, Workers):
            if self._view:
                self._view.crowd(event.count)
        else:
            self._finish(event)

    def _warn(self, event: Started | Forecast | ImageResult) -> None:
        """Print the first warning of a kind that tends to be true of all, and count the others."""
        for kind, sentence in event.warnings.items():
            inputs = self._warned.setdefault(kind, set())
            if not self._quiet and (kind not in TOLD_ONCE or not inputs):
                print_warning(sentence)
            inputs.add(event.input)

    def _finish(self, result: ImageResult | Forecast) -> None:
        if isinstance(result, Forecast):
            self._warn(result)
        elif told := result.warnings.get("devices"):  # the others were told at the start
            self._warn(dataclasses.replace(result, warnings={"devices": told}))
        self._finished += 1
        self._at_work.pop(result.input, None)
        self._kept = self._kept or result.status in ("done", "skipped")
        if self._view:
            self._view.finish(result)
        if result.status == "failed":
            why = result.error or "failed."
            # Of what is wrong with a generator or an option, the sentence does not know the input.
            known = result.input in why or (result.output is not None and result.output in why)
            self.failures.append(why if known else f"{result.input}: {why}")
            print_error(self.failures[-1])
        self.publish(result)

    def publish(self, result: ImageResult | Forecast) -> None:
        """Print a result on stdout."""
        if self._as_json:
            print_json(result)
        elif result.output:
            print(result.output, flush=True)


def _in_words(result: ImageResult | Forecast) -> str | None:
    """One line about a result or a forecast; None for failures, which are printed elsewhere."""
    if result.status == "failed":
        return None
    if result.status == "skipped" and result.output is None:
        return result.error
    if result.status == "skipped":
        return f"{result.input}: is there already, complete -> {result.output}"
    if isinstance(result, ImageResult):
        return f"{result.input}: done in {duration(result.seconds or 0)} -> {result.output}"
    state = " (an unfinished run can be resumed)" if result.resumable else ""
    state = " (exists already)" if result.exists else state
    takes = duration(result.seconds or 0)
    return (
        f"{result.input}: {result.width:,} x {result.height:,} px, {result.cells:,} cells of "
        f"{result.cell} px, {result.tiles:,} tiles of {result.tile} px; about "
        f"{file_size(result.bytes or 0)}, {takes} -> {result.output}{state}"
    )


def _beginning(event: Started, counter: str) -> str:
    """One line when work on an input begins."""
    where = f" ({event.worker})" if event.worker else ""
    return f"{counter}{event.input}: {event.note}{where}"


def _crowd(workers: int) -> str:
    """One line when workers have come or gone."""
    if not workers:
        return "the cluster has no workers; waiting until some come."
    return f"the cluster has {workers:,} worker{'s' if workers > 1 else ''}."


def _stages(shares: Mapping[str, float]) -> str:
    """Where the time goes, such as `read 2%, dense 60%`."""
    return ", ".join(f"{stage} {share:.0%}" for stage, share in shares.items())


class _Rate(ProgressColumn):
    """Megapixels per second."""

    def render(self, task: Task) -> Text:
        counted: Task = task.fields.get("counted", task)  # whose steps are pixels
        speed = counted.finished_speed or counted.speed
        megapixels = "" if speed is None or not task.fields["pixels"] else f"{speed / 1e6:.2f} MP/s"
        return Text(megapixels, style="cyan")


class _Bars:
    """Progress bars on a terminal: one per input at work, and one for all if there are several."""

    def __init__(self, console: Console, inputs: int) -> None:
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            _Rate(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[shares]}", markup=False, style="dim"),
            console=console,
            transient=True,
        )
        self._console = console
        self._all = None
        # Pixels of all inputs, for the rate alone.
        self._moved = self.progress.add_task("", total=None, visible=False, pixels=True, shares="")
        if inputs > 1:
            self._all = self.progress.add_task(
                f"all {inputs} inputs", total=inputs, pixels=True, shares="",
                counted=self.progress.tasks[0],
            )  # fmt: skip
        self._at_work: dict[str, TaskID] = {}
        self._workers: dict[str | None, TaskID] = {}  # that are at parts of inputs
        self._finished = 0

    def start(self, event: Started, counter: str) -> None:
        self._console.print(_beginning(event, counter), markup=False, highlight=False)
        self._remove(event.input)  # the same input with another model, or by another worker
        name = counter + os.path.basename(event.input)
        if event.worker:
            name += f" on {event.worker}"
        self._at_work[event.input] = self.progress.add_task(
            name, total=event.pixels, pixels=True, shares=""
        )

    def crowd(self, workers: int) -> None:
        self._console.print(_crowd(workers), markup=False, highlight=False)

    def place(self, event: AtWork) -> None:
        """Show a line for a worker that is at a part of an input."""
        if event.worker in self._workers:
            self.progress.remove_task(self._workers.pop(event.worker))
        if event.input is not None:
            name = f"  {event.worker}: {os.path.basename(event.input)}, {event.part}"
            self._workers[event.worker] = self.progress.add_task(
                name, total=event.pixels or None, pixels=event.pixels > 0, shares=""
            )

    def advance(self, event: Advanced) -> None:
        if event.worker in self._workers:
            self.progress.update(self._workers[event.worker], advance=event.pixels)
        if event.input in self._at_work:
            bar = self._at_work[event.input]
            self.progress.update(bar, advance=event.pixels, shares=_stages(event.shares))
            self.progress.update(self._moved, advance=event.pixels)
            self._sum_up()

    def finish(self, result: ImageResult | Forecast) -> None:
        self._remove(result.input)
        self._finished += 1
        self._sum_up()
        if result.status != "done" and (words := _in_words(result)):
            self._console.print(words, markup=False, highlight=False)

    def _remove(self, name: str) -> None:
        if name in self._at_work:
            self.progress.remove_task(self._at_work.pop(name))

    def _sum_up(self) -> None:
        if self._all is not None:
            inputs = set(self._at_work.values())
            parts = [bar.percentage / 100 for bar in self.progress.tasks if bar.id in inputs]
            self.progress.update(self._all, completed=self._finished + sum(parts))


@dataclasses.dataclass
class _Told:
    """An input at work: pixels in all, and times in seconds of the monotonic clock."""

    pixels: int
    began: float
    told: float  # when its last line was printed
    done: int = 0  # pixels


class _Lines:
    """Progress as plain lines, where there is no terminal."""

    def __init__(self) -> None:
        self._at_work: dict[str, _Told] = {}

    def start(self, event: Started, counter: str) -> None:
        now = time.monotonic()
        self._at_work[event.input] = _Told(event.pixels, now, now)
        print_line(_beginning(event, counter))

    def place(self, event: AtWork) -> None:
        """Plain lines are about inputs."""

    def crowd(self, workers: int) -> None:
        print_line(_crowd(workers))

    def advance(self, event: Advanced) -> None:
        one = self._at_work.get(event.input)
        if one is None:
            return
        one.done += event.pixels
        now = time.monotonic()
        if now - one.told < SECONDS_BETWEEN_LINES or one.done <= 0:
            return
        one.told = now
        rate = one.done / (now - one.began)
        left = (one.pixels - one.done) / rate
        print_line(
            f"{event.input}: {one.done / one.pixels:.0%}, "
            f"{rate / 1e6:.2f} MP/s, {duration(left)} left ({_stages(event.shares)})"
        )

    def finish(self, result: ImageResult | Forecast) -> None:
        self._at_work.pop(result.input, None)
        if words := _in_words(result):
            print_line(words)
