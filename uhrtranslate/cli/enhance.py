"""`uhrt enhance`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.cli.translate import find_items
from uhrtranslate.options import EnhanceOptions, validated

EXAMPLES = """[bold]Examples[/bold]

uhrt enhance photo.jpg --reference slides/ -o bright.png

uhrt enhance slides/ --reference photo.jpg --pool --save-reference hist.json -o enhanced/

uhrt enhance slide.svs --reference photo.jpg --synthesize -o dark.tif
"""


def enhance(
    inputs: p.Inputs = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="IMAGE|FOLDER|HIST.json",
            help="Bright-field images, pooled, or a saved histogram; may be repeated.",
        ),
    ] = None,
    output: p.Output = None,
    invert: Annotated[
        bool, typer.Option(help="The brightest becomes the darkest; else plain matching.")
    ] = True,
    colour: Annotated[
        bool, typer.Option("--colour", help="Keep the chroma; else grey, as in the paper.")
    ] = False,
    clip: Annotated[
        float, typer.Option(help="Share of the brightest pixels (hot ones) that do not count.")
    ] = 0.0,
    pool: Annotated[bool, typer.Option("--pool", help="One histogram for all inputs.")] = False,
    synthesize: Annotated[
        bool,
        typer.Option(
            "--synthesize", help="Make dark-field of bright-field; the reference is dark."
        ),
    ] = False,
    save_reference: Annotated[
        Path | None,
        typer.Option(metavar="HIST.json", help="Also write the reference's histogram."),
    ] = None,
    bits: Annotated[
        int,
        typer.Option(help="Of results: 8, or 16 (lossless); inputs are read with all they have."),
    ] = 8,
    level: p.Level = None,
    mpp: p.Mpp = None,
    region: p.RegionOption = None,
    allow_sparse: p.AllowSparse = None,
    mask: p.Mask = None,
    background: p.Background = None,
    format: p.FormatOption = None,
    compression: p.CompressionOption = None,
    quality: p.Quality = None,
    preview: p.Preview = None,
    overwrite: p.Overwrite = None,
    resume: p.Resume = None,
    skip_existing: p.SkipExisting = None,
    workers: p.Workers = None,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Bring dark-field images to the grey look of bright-field ones: what is bright becomes dark.

    The mapping is z = c_b^-1(1 - c_d(x)) of the whole image's histograms, so there are no seams.
    """
    flags: dict[str, Any] = {
        "invert": invert, "colour": colour, "clip": clip, "pool": pool,
        "synthesize": synthesize, "bits": bits,
        "level": level, "mpp": mpp, "region": region, "mask": mask,
        "background": background, "format": format, "compression": compression,
        "quality": quality, "preview": preview, "overwrite": overwrite, "resume": resume,
        "skip_existing": skip_existing, "workers": workers, "allow_sparse": allow_sparse,
    }  # fmt: skip
    with errors_as_sentences(debug):
        given = {name: value for name, value in flags.items() if value is not None}
        options = validated(EnhanceOptions, given)
        if not reference:
            raise typer.BadParameter(
                "name bright-field images, or a saved histogram", param_hint="--reference"
            )
        items = find_items(inputs or [], None)

        from uhrtranslate.tasks.enhance import enhance as run

        with Report(as_json, quiet, len(items)) as report:
            run(
                items,
                output,
                options,
                reference,
                histogram=save_reference,
                on_event=report.event,
            )
    if report.failures:
        raise typer.Exit(1)
