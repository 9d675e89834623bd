"""Measuring where a run spends its time."""

import json
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

Item = TypeVar("Item")
# The stages of a run, which also name the spans of a trace.
READ, STATISTICS, DENSE, WRITE = "read", "statistics", "dense", "write"
# The trace of a slide with a hundred thousand tiles would be too large for any viewer.
_MOST_SPANS = 500_000


class Clock:
    """Adds up how long the run waits for each of its stages, and keeps a trace if asked to.

    The thread that runs the engine is always waiting for one stage, so the `seconds` add up to the
    duration of the run. The work of devices is added up separately (`at_work`): since they work in
    parallel, the sum may exceed the duration.

    Args:
        traced: keep each span for `write_trace`.

    Attributes:
        seconds: how long the run has waited for each stage.
        device_seconds: how long all devices together have worked.
    """

    def __init__(self, traced: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self.device_seconds = 0.0
        self._lock = threading.Lock()
        self._began = self._mark = time.perf_counter()
        self._stack: list[str] = []
        self._spans: list[tuple[str, int, float, float]] | None = [] if traced else None
        self._threads: dict[int, str] = {}

    @contextmanager
    def waiting(self, stage: str) -> Iterator[None]:
        """The engine waits for a stage within the block, except in a nested block."""
        with self._span(stage):
            self._charge()
            self._stack.append(stage)
            try:
                yield
            finally:
                self._charge()
                self._stack.pop()

    def timed(self, stage: str, items: Iterable[Item]) -> Iterator[Item]:
        """The items; the time of getting each counts as waiting for the stage."""
        iterator = iter(items)
        while True:
            with self.waiting(stage):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _charge(self) -> None:
        """Add the time since the last change of stage."""
        now = time.perf_counter()
        if self._stack:
            stage = self._stack[-1]
            self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._mark
        self._mark = now

    @contextmanager
    def at_work(self, name: str) -> Iterator[None]:
        """A device works within the block, under this name in the trace; in any thread."""
        began = time.perf_counter()
        with self._span(name):
            yield
        with self._lock:
            self.device_seconds += time.perf_counter() - began

    @contextmanager
    def _span(self, name: str) -> Iterator[None]:
        """Record for the trace what this thread does within the block."""
        if self._spans is None or len(self._spans) >= _MOST_SPANS:
            yield
            return
        began = time.perf_counter()
        try:
            yield
        finally:
            thread = threading.current_thread()
            self._threads[thread.ident or 0] = thread.name
            self._spans.append((name, thread.ident or 0, began, time.perf_counter()))

    @property
    def shares(self) -> dict[str, float]:
        """Each stage's share of the time so far, 0 to 1; the rest is spent by the engine itself."""
        total = time.perf_counter() - self._began
        return {stage: seconds / total for stage, seconds in self.seconds.items()}

    def write_trace(self, path: Path) -> None:
        """Write the spans as a trace for chrome://tracing or ui.perfetto.dev.

        Raises:
            ValueError: the clock has kept no spans.
            OSError: the file cannot be written.
        """
        if self._spans is None:
            raise ValueError("this clock keeps no trace")
        rows = {ident: number for number, ident in enumerate(self._threads)}
        events: list[dict[str, Any]] = [
            {"ph": "M", "name": "thread_name", "pid": 1, "tid": rows[ident], "args": {"name": name}}
            for ident, name in self._threads.items()
        ]
        events += [
            {
                "ph": "X", "name": name, "pid": 1, "tid": rows[ident],
                "ts": round((began - self._began) * 1e6, 1), "dur": round((end - began) * 1e6, 1),
            }
            for name, ident, began, end in self._spans
        ]  # fmt: skip
        path.write_text(json.dumps({"traceEvents": events, "displayTimeUnit": "ms"}) + "\n")
