"""What a run shows of several inputs at work."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

import uhrtranslate
from uhrtranslate.cli import report
from uhrtranslate.cli.printing import print_error, print_line
from uhrtranslate.runs.events import Advanced, ImageResult, Started


def done(name, seconds=1.0):
    return ImageResult(name, f"{name}.out", "done", seconds=seconds)


@pytest.fixture
def shown(monkeypatch):
    """A run of three inputs on a terminal, and the bars of it."""
    monkeypatch.delenv("CI", raising=False)
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    monkeypatch.setattr(report, "Console", lambda stderr: console)
    return report.Report(as_json=False, quiet=False, inputs=3)


def bars(shown):
    return {
        task.description: (round(task.completed, 3), task.total)
        for task in shown._view.progress.tasks
        if task.visible
    }


def test_each_input_at_work_has_a_bar(shown, capsys):
    shown.event(Started("a.svs", "a.tif", 100, "note"))
    shown.event(Started("b.svs", "b.tif", 1000, "note"))
    shown.event(Advanced("b.svs", 500, {"dense": 0.5}))
    shown.event(Advanced("a.svs", 25))
    assert bars(shown) == {
        "all 3 inputs": (0.75, 3), "[1/3] a.svs": (25, 100), "[2/3] b.svs": (500, 1000),
    }  # fmt: skip
    of_all = next(task for task in shown._view.progress.tasks if task.total == 3)
    assert of_all.fields["counted"].completed == 525  # px, for its rate
    shown.event(done("b.svs"))
    assert bars(shown) == {"all 3 inputs": (1.25, 3), "[1/3] a.svs": (25, 100)}
    shown.event(Started("c.svs", "c.tif", 10, "note"))
    assert "[3/3] c.svs" in bars(shown)
    shown.event(ImageResult("c.svs", None, "failed", "c.svs: failed."))
    shown.event(done("a.svs"))
    assert bars(shown) == {"all 3 inputs": (3, 3)}
    assert capsys.readouterr().out.split() == ["b.svs.out", "a.svs.out"]


def test_one_input_at_work_twice_has_one_bar(shown):
    shown.event(Started("a.svs", "a.tif", 100, "one model"))
    shown.event(Started("a.svs", "b.tif", 100, "another"))
    shown.event(Advanced("a.svs", 50))
    assert len(bars(shown)) == 2
    shown.event(done("a.svs"))
    shown.event(Advanced("a.svs", 50))  # of the other, whose bar is gone
    shown.event(done("a.svs"))
    assert bars(shown) == {"all 3 inputs": (2, 3)}


def test_lines_tell_of_each_input(monkeypatch, capsys):
    monkeypatch.setattr(report, "SECONDS_BETWEEN_LINES", 0)
    lines = report.Report(as_json=False, quiet=False, inputs=2)
    lines.event(Started("a.svs", "a.tif", 100, "note"))
    lines.event(Started("b.svs", "b.tif", 200, "note"))
    lines.event(Advanced("b.svs", 0))  # a worker looks at cells, so there is no rate yet
    lines.event(Advanced("b.svs", 50))
    lines.event(Advanced("a.svs", 30))
    lines.event(Advanced("b.svs", 50))
    lines.event(done("b.svs"))
    lines.event(done("a.svs"))
    told = capsys.readouterr().err.splitlines()
    assert [line.split(",")[0] for line in told] == [
        "[1/2] a.svs: note",
        "[2/2] b.svs: note",
        "b.svs: 25%",
        "a.svs: 30%",
        "b.svs: 50%",
        "b.svs: done in 1.0 s -> b.svs.out",
        "a.svs: done in 1.0 s -> a.svs.out",
    ]


class _Interrupted(io.StringIO):
    """A stream where a signal comes in after the first write, and its sentence with it."""

    def write(self, text: str) -> int:
        length = super().write(text)
        if text != "uhrt: stopped.\n":
            print_error("stopped.")
        return length


def test_a_signal_between_two_writes_has_a_line_of_its_own(monkeypatch):
    monkeypatch.setattr(sys, "stderr", stream := _Interrupted())
    print_line("[1/1] a.tif")
    assert stream.getvalue().splitlines() == ["[1/1] a.tif", "uhrt: stopped."]


def test_lines_on_stderr_are_written_by_one_function():
    modules = Path(uhrtranslate.__file__).parent.rglob("*.py")
    assert [path.name for path in modules if "file=sys.stderr" in path.read_text()] == []
