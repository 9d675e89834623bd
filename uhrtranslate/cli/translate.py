"""`uhrt translate`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.errors import OptionError
from uhrtranslate.options import TranslateOptions, make_options, read_config
from uhrtranslate.tables import RESULT_SUFFIXES

if TYPE_CHECKING:
    from uhrtranslate.runs.items import Item

EXAMPLES = """[bold]Examples[/bold]

uhrt translate slide.svs --norm dn

uhrt translate slides/ -o out/ --model latest_net_G.pth --cell 512

uhrt translate photo.jpg -o photo.png --model latest_net_G.pth

find slides -name '*.svs' | uhrt translate - -o out/ --json

uhrt translate slides/ -o weekend/ --mask auto --resume

uhrt translate --manifest slides.csv -o table/ --dry-run

uhrt translate slides/ -o fast/ --cluster local:2 --resume
"""


@takes(TranslateOptions)
def translate(
    given: Given,
    inputs: p.Inputs = None,
    output: p.Output = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table of inputs; each may have its own output, model, mpp and region.",
        ),
    ] = None,
    config: p.Config = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done and what it would cost.")
    ] = False,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Translate slides and photos through a generator, without seams.

    Writes pyramidal tiled TIFF (slide.svs -> slide.pooled.tif); PNG, JPEG, WebP where -o
    names one.
    Results go to stdout, progress and errors to stderr. Exit code 0: all done; 1: some inputs
    failed, the others are done; 2: wrong usage.
    """
    with errors_as_sentences(debug):
        options = make_options((read_config(config) if config else {}) | given)
        items = find_items(inputs or [], manifest)

        from uhrtranslate.tasks.translate import plan_many, translate_many

        with Report(as_json, quiet, len(items)) as report:
            run = plan_many if dry_run else translate_many
            run(items, output, options, report.event)
    if report.failures:
        raise typer.Exit(1)


def find_items(inputs: list[str], manifest: Path | None) -> "list[Item]":
    """The inputs that the user named on the command line, on stdin or in a manifest."""
    from uhrtranslate.io import expand_inputs
    from uhrtranslate.runs.items import Item
    from uhrtranslate.runs.manifest import read_manifest

    if not inputs and manifest is None:
        raise OptionError(
            "no inputs: name slides or folders, - for a list on stdin, or a manifest."
        )
    items = [Item(found) for found in expand_inputs(inputs, sys.stdin, RESULT_SUFFIXES)]
    if manifest is not None:
        items += read_manifest(manifest)
    if not items:
        raise OptionError("no inputs: the list is empty.")
    return items
