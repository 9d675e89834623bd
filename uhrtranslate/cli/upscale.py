"""`uhrt upscale`."""

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.cli.translate import find_items
from uhrtranslate.options import UpscaleOptions, read_config, validated

EXAMPLES = """[bold]Examples[/bold]

uhrt upscale photo.jpg --region 0,0,24,24 -m pathup.safetensors --class ADH -o large.png
"""


@takes(UpscaleOptions, leave_out={"mask", "background", "keep_associated"})
def upscale(
    given: Given,
    inputs: p.Inputs = None,
    output: p.Output = None,
    config: p.Config = None,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Make images larger, with details as a class has them, without seams.

    The image is enlarged, noised in part, and denoised as overlapping tiles that share every
    timestep. The details are made up: nothing in them is evidence.
    """
    with errors_as_sentences(debug):
        options = validated(UpscaleOptions, (read_config(config) if config else {}) | given)
        items = find_items(inputs or [], None)

        from uhrtranslate.tasks.upscale import upscale as run

        with Report(as_json, quiet, len(items)) as report:
            run(items, output, options, on_event=report.event)
    if report.failures:
        raise typer.Exit(1)
