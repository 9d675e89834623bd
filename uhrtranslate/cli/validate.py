"""`uhrt validate`."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from uhrtranslate.cli import params as p
from uhrtranslate.cli.printing import print_error, print_json
from uhrtranslate.cli.report import errors_as_sentences

if TYPE_CHECKING:
    from uhrtranslate.tasks.validate import Blended, Validation

EXAMPLES = """[bold]Examples[/bold]

uhrt validate slide.svs

uhrt validate slide.svs --json | jq .viewers
"""


def validate(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", show_default=False, help="Slides, photos, .zarr folders."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per file.")] = False,
    debug: p.Debug = False,
) -> None:
    """Say which viewers can read a file and how, whether it is complete, and what to change.

    Exit code 0: every file is readable and complete; 1: at least one is not.
    """
    bad = False
    with errors_as_sentences(debug):
        from uhrtranslate.tasks import validate as task

        for file in files:
            found = task.validate(file)
            bad |= found.status == "bad"
            if as_json:
                print_json(found)
            else:
                _print(found)
    if bad:
        raise typer.Exit(1)


def _print(found: "Validation") -> None:
    if found.error:
        print_error(found.error)
    if not found.levels:
        return
    title = f"{found.path}: {found.status}"
    console = Console()
    console.print(Text(f"{title}, {found.format}, {found.compression or 'compression by format'}"))
    for number, level in enumerate(found.levels):
        mpp = (
            f", {found.mpp[number][0]:.4g} x {found.mpp[number][1]:.4g} um/px" if found.mpp else ""
        )
        console.print(Text(f"  level {number}: {level.width:,} x {level.height:,} px{mpp}"))
    if found.blended:
        console.print(Text(f"  {_tiling(found.blended)}"))
    table = Table(box=None, title_justify="left")
    for name in ("program", "levels", "um/px", "note"):
        table.add_column(name)
    for viewer in found.viewers:
        mpp = f"{viewer.mpp[0]:.4g} x {viewer.mpp[1]:.4g}" if viewer.mpp else "-"
        note = viewer.note if viewer.tried else f"{viewer.note} (by its rules)".strip()
        table.add_row(viewer.name, str(viewer.levels or "refuses"), mpp, Text(note))
    console.print(table)
    for sentence in found.advice:
        console.print(Text(f"  {sentence}"))


def _tiling(how: "Blended") -> str:
    told = f"tiles of {how.tile} px, blended ({how.blend}) over {how.overlap} px"
    return told if how.mismatch is None else f"{told}, tile mismatch {how.mismatch:.1f} grey levels"
