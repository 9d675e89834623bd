"""`uhrt compare`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.report import Report, errors_as_sentences, print_json
from uhrtranslate.options import Compression, make_options, read_config
from uhrtranslate.runs.events import Forecast, ImageResult

EXAMPLES = """[bold]Examples[/bold]

uhrt compare slide.svs -o report/

uhrt compare slide.svs --norms in,kin,dn --region 0,0,512,512 --untiled -o methods/

uhrt compare photo.jpg --norms dn,dn:reflect --model latest_net_G.pth --cell 128 -o pads/

uhrt compare slide.svs --mpp 1.0 -o coarse/ --json | jq .metrics.seam.ratio
"""


def compare(
    slide: Annotated[Path, typer.Argument(metavar="SLIDE", help="A slide or photo.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="For page, figures, translations."),
    ] = Path("report"),
    norms: Annotated[
        str,
        typer.Option(
            metavar="NORM,...",
            help="What is compared; with a geometry of its own as dn:reflect.",
            rich_help_panel=p.METHOD,
        ),
    ] = "in,tin,kin,dn",
    untiled: Annotated[
        bool,
        typer.Option(
            "--untiled",
            help="Add a yardstick: the statistics of the whole region from one forward. "
            "Needs memory for it.",
            rich_help_panel=p.METHOD,
        ),
    ] = False,
    config: p.Config = None,
    model: p.Model = None,
    kernel: p.Kernel = None,
    kernel_type: p.KernelTypeOption = None,
    thumbnail: p.ThumbnailOption = None,
    cell: p.Cell = None,
    tile: p.TileOption = None,
    halo: p.Halo = None,
    pad: p.PadOption = None,
    level: p.Level = None,
    mpp: p.Mpp = None,
    region: p.RegionOption = None,
    allow_sparse: p.AllowSparse = None,
    mask: p.Mask = None,
    background: p.Background = None,
    batch: p.Batch = None,
    device: p.Device = None,
    precision: p.PrecisionOption = None,
    stats_precision: p.StatsPrecisionOption = None,
    compression: Annotated[
        Compression | None,
        typer.Option(
            "--compression",
            help="Of the translations; lossless, so that JPEG is not what is measured.",
            show_default="deflate",
            rich_help_panel=p.MACHINE,
        ),
    ] = None,
    overwrite: p.Overwrite = None,
    workers: p.Workers = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per method on stdout, not the page.")
    ] = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Translate one image with several normalizers, and show side by side what came of it.

    Writes index.html (whole by itself: table, plots, seams, zoomable views), compare.json,
    compare.csv, and the translations, as dn.tif. Exit code 1: some failed, the others are there.
    """
    flags: dict[str, Any] = {
        "model": model, "kernel": kernel, "kernel_type": kernel_type, "thumbnail": thumbnail,
        "cell": cell, "tile": tile, "halo": halo, "pad": pad, "level": level, "mpp": mpp,
        "region": region, "mask": mask, "background": background, "batch": batch,
        "device": device, "precision": precision, "stats_precision": stats_precision,
        "compression": compression, "overwrite": overwrite, "workers": workers,
        "allow_sparse": allow_sparse,
    }  # fmt: skip
    with errors_as_sentences(debug):
        given = {name: value for name, value in flags.items() if value is not None}
        configured = read_config(config) if config else {}
        options = make_options({"compression": "deflate"} | configured | given)

        from uhrtranslate.tasks import compare as task

        chosen = norms.split(",")
        with _Progress(False, quiet, len(chosen) + untiled) as report:
            outcome = task.compare(slide, output, chosen, options, untiled, None, report.event)
        for compared in outcome.compared if as_json else ():
            print_json(compared)
        if not as_json:
            print(outcome.page, flush=True)
    if report.failures:
        raise typer.Exit(1)


class _Progress(Report):
    """Shows translations while they are made; what is published comes at the end."""

    def publish(self, result: ImageResult | Forecast) -> None:
        """Nothing yet: it has not been measured."""
