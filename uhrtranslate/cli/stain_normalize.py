"""`uhrt stain-normalize`."""

from pathlib import Path
from typing import Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.cli.translate import find_items
from uhrtranslate.options import StainOptions, validated

EXAMPLES = """[bold]Examples[/bold]

uhrt stain-normalize slides/ --target photo.jpg -o normal/

uhrt stain-normalize slides/ --target auto --method reinhard --qc qc/ -o same/

uhrt stain-normalize slide.svs --target photo.jpg --save-fit ref.json -o a.tif

uhrt stain-normalize slide.svs --target photo.jpg --distill net.safetensors -o b.tif
"""


@takes(StainOptions)
def stain_normalize(
    given: Given,
    inputs: p.Inputs = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE|FOLDER|FIT.json|auto",
            help="Reference: an image, a folder (pooled), a saved fit, or the inputs' median.",
        ),
    ] = None,
    output: p.Output = None,
    save_fit: Annotated[
        Path | None, typer.Option(metavar="FIT.json", help="Also write the reference's fit.")
    ] = None,
    distill: Annotated[
        Path | None,
        typer.Option(
            metavar="NET.safetensors",
            help="Also write a StainNet that does the same to slides like the first input.",
        ),
    ] = None,
    qc: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write a picture of each slide, and a table with odd ones first."
        ),
    ] = None,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Give slides the stain colours of a reference: one fit per slide, so no seams.

    Writes slide.macenko.tif and the like. Bare glass stays as it is.
    """
    with errors_as_sentences(debug):
        options = validated(StainOptions, given)
        items = find_items(inputs or [], None)

        from uhrtranslate.tasks.stain_normalize import stain_normalize as run

        with Report(as_json, quiet, len(items)) as report:
            run(
                items,
                output,
                options,
                target,
                fit=save_fit,
                network=distill,
                qc=qc,
                on_event=report.event,
            )
    if report.failures:
        raise typer.Exit(1)
