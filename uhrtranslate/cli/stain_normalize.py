"""`uhrt stain-normalize`."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.cli.translate import find_items
from uhrtranslate.options import StainMethod, StainOptions, validated

EXAMPLES = """[bold]Examples[/bold]

uhrt stain-normalize slides/ --target photo.jpg -o normal/

uhrt stain-normalize slides/ --target auto --method reinhard --qc qc/ -o same/

uhrt stain-normalize slide.svs --target photo.jpg --save-fit ref.json -o a.tif

uhrt stain-normalize slide.svs --target photo.jpg --distill net.safetensors -o b.tif
"""


def stain_normalize(
    inputs: p.Inputs = None,
    target: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE|FOLDER|FIT.json|auto",
            help="Reference: an image, a folder (pooled), a saved fit, or the inputs' median.",
        ),
    ] = None,
    method: Annotated[StainMethod, typer.Option(help="How.")] = "macenko",
    output: p.Output = None,
    fit: Annotated[
        Literal["slide", "tile"],
        typer.Option(help="Fit the source once, or for each tile (seams; for comparison)."),
    ] = "slide",
    samples: Annotated[int, typer.Option(help="Tissue pixels of a slide's fit.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Of the draw of these pixels.")] = 0,
    little_tissue: Annotated[
        Literal["copy", "skip"], typer.Option(help="What becomes of slides with hardly any tissue.")
    ] = "copy",
    model: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="StainNet (method stainnet), or generator (model)."),
    ] = None,
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
            metavar="FOLDER", help="A picture of each slide, and a table: odd ones first."
        ),
    ] = None,
    level: p.Level = None,
    mpp: p.Mpp = None,
    region: p.RegionOption = None,
    allow_sparse: p.AllowSparse = None,
    mask: p.Mask = None,
    background: p.Background = None,
    format: p.FormatOption = None,
    compression: p.CompressionOption = None,
    quality: p.Quality = None,
    keep_associated: p.KeepAssociated = None,
    preview: p.Preview = None,
    overwrite: p.Overwrite = None,
    resume: p.Resume = None,
    skip_existing: p.SkipExisting = None,
    workers: p.Workers = None,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Bring slides to the stain colours of a reference: one fit per slide, so no seams.

    Writes slide.macenko.tif and so on. Bare glass stays as it is.
    """
    flags: dict[str, Any] = {
        "method": method, "fit": fit, "samples": samples, "seed": seed, "model": model,
        "little_tissue": little_tissue, "level": level, "mpp": mpp, "region": region,
        "mask": mask, "background": background, "format": format, "compression": compression,
        "quality": quality, "keep_associated": keep_associated, "preview": preview,
        "overwrite": overwrite, "resume": resume, "skip_existing": skip_existing,
        "workers": workers, "allow_sparse": allow_sparse,
    }  # fmt: skip
    with errors_as_sentences(debug):
        given = {name: value for name, value in flags.items() if value is not None}
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
