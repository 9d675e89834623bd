"""`uhrt synthesize`."""

from pathlib import Path
from typing import Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.options import SynthesizeOptions, read_config, validated

EXAMPLES = """[bold]Examples[/bold]

uhrt synthesize -m pathup.safetensors --class ADH --size 96x64 -n 2 --steps 10 -o out/
"""
# What only an image that is there already has.
OF_IMAGES = {
    "level", "mpp", "source_mpp", "source_power", "region", "mask", "background", "preview",
    "keep_associated", "allow_sparse",
}  # fmt: skip


@takes(SynthesizeOptions, leave_out=OF_IMAGES)
def synthesize(
    given: Given,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="A folder, or a file (.tif, .png, .jpg, .webp) for one image.",
            show_default=False,
        ),
    ] = None,
    config: p.Config = None,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Make images of a class out of noise, of any size, without seams.

    An overview is made, enlarged, noised in part, and denoised as overlapping tiles that share
    every timestep. Into a folder, images are written as CLASS-SEED.tif.
    """
    with errors_as_sentences(debug):
        options = validated(SynthesizeOptions, (read_config(config) if config else {}) | given)

        from uhrtranslate.tasks.synthesize import synthesize as run

        with Report(as_json, quiet, options.count) as report:
            run(output, options, on_event=report.event)
    if report.failures:
        raise typer.Exit(1)
