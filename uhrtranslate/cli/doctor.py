"""`uhrt doctor`."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from uhrtranslate.cli.report import errors_as_sentences, print_error, print_json

if TYPE_CHECKING:
    from uhrtranslate.tasks.doctor import Diagnosis

EXAMPLES = """[bold]Examples[/bold]

uhrt doctor

uhrt doctor --json | jq .versions
"""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Print versions, devices, codecs, and what is missing.

    Exit code 0: all that is needed works; 1: something does not.
    """
    with errors_as_sentences():
        from uhrtranslate.tasks.doctor import diagnose

        found = diagnose()
    if as_json:
        print_json(found)
    else:
        _print(found)
    for problem in found.problems:
        print_error(problem)
    if found.problems:
        raise typer.Exit(1)


def _print(found: "Diagnosis") -> None:
    table = Table(show_header=False, box=None)
    for name, value in found.versions.items():
        table.add_row(name, Text(value))
    for device in found.devices:
        memory = "" if device.memory is None else f", {device.memory / 1e9:.1f} GB"
        table.add_row(f"device {device.name}", Text(f"{device.model} ({device.note}{memory})"))
    working = [name for name, works in found.codecs.items() if works]
    table.add_row("codecs", Text(", ".join(working)))
    table.add_row("generators", Text(", ".join(found.generators)))
    table.add_row("free disk here", Text(f"{found.free_disk / 1e9:.1f} GB"))
    for part in found.missing:
        table.add_row("not installed", Text(part))
    Console().print(table, highlight=False)
