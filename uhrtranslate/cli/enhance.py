"""`uhrt enhance`."""

from pathlib import Path
from typing import Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.cli.translate import find_items
from uhrtranslate.options import EnhanceOptions, validated

EXAMPLES = """[bold]Examples[/bold]

uhrt enhance photo.jpg --reference slides/ -o bright.png

uhrt enhance slides/ --reference photo.jpg --pool --save-reference hist.json -o enhanced/

uhrt enhance slide.svs --reference photo.jpg --synthesize -o dark.tif
"""


@takes(EnhanceOptions, leave_out={"keep_associated"})
def enhance(
    given: Given,
    inputs: p.Inputs = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE|FOLDER|HIST.json",
            help="Bright-field images, pooled, or a saved histogram; may be repeated.",
        ),
    ] = None,
    output: p.Output = None,
    save_reference: Annotated[
        Path | None, typer.Option(metavar="HIST.json", help="Also write the reference's histogram.")
    ] = None,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Give dark-field images the grey look of bright-field ones: bright becomes dark.

    One mapping, z = c_b^-1(1 - c_d(x)), from the histogram of the whole image, so no seams.
    """
    with errors_as_sentences(debug):
        options = validated(EnhanceOptions, given)
        if not reference:
            raise typer.BadParameter(
                "name bright-field images, or a saved histogram", param_hint="--reference"
            )
        items = find_items(inputs or [], None)

        from uhrtranslate.tasks.enhance import enhance as run

        with Report(as_json, quiet, len(items)) as report:
            run(items, output, options, reference, histogram=save_reference, on_event=report.event)
    if report.failures:
        raise typer.Exit(1)
