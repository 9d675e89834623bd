"""Printing: results on stdout, messages on stderr."""

import dataclasses
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


def print_line(words: str) -> None:
    """Words on a line of their own on stderr.

    In one write with the end of the line, which print makes two: a signal that came in between
    would put its own sentence on the same line.
    """
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def print_error(sentence: str) -> None:
    """One sentence on stderr."""
    print_line(f"uhrt: {sentence}")


def print_warning(sentence: str) -> None:
    """One sentence on stderr about what may be wrong, though the work goes on."""
    print_line(f"uhrt: warning: {sentence}")


def print_json(value: "DataclassInstance | dict[str, Any]") -> None:
    """A dataclass, or values by name, as one line of JSON on stdout."""
    values = value if isinstance(value, dict) else dataclasses.asdict(value)
    text = json.dumps(values, ensure_ascii=False)
    # A file name that is not UTF-8 becomes a JSON escape.
    print(text.encode(errors="backslashreplace").decode(), flush=True)


def print_facts(rows: Iterable[tuple[str, str]], title: str | None = None) -> None:
    """Names and values as a table on stdout."""
    table = Table(title=title, title_justify="left", show_header=False, box=None)
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    Console().print(table, highlight=False)
