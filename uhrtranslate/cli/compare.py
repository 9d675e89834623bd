"""`uhrt compare`."""

from pathlib import Path
from typing import Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.printing import print_json
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.flag import METHOD
from uhrtranslate.options import TranslateOptions, make_options, read_config
from uhrtranslate.runs.events import Forecast, ImageResult

EXAMPLES = """[bold]Examples[/bold]

uhrt compare slide.svs -o report/

uhrt compare slide.svs --norms in,kin,dn --region 0,0,512,512 --untiled -o methods/

uhrt compare photo.jpg --norms dn,dn:reflect --model latest_net_G.pth --cell 128 -o pads/

uhrt compare slide.svs --mpp 1.0 -o coarse/ --json | jq .metrics.seam.ratio
"""
# Lossless, so that what is measured is the method and not JPEG.
DEFAULTS = {"compression": "deflate"}
# These belong to a single translation, not to a comparison of several.
NOT_HERE = {
    "norm", "format", "keep_associated", "preview", "resume", "skip_existing", "at_once",
    "compile", "profile", "bits",
}  # fmt: skip


@takes(TranslateOptions, leave_out=NOT_HERE, shown=DEFAULTS)
def compare(
    given: Given,
    slide: Annotated[
        str, typer.Argument(metavar="SLIDE", help="A slide or photo, or the URL of a slide.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="For the page and the translations."),
    ] = Path("report"),
    norms: Annotated[
        str,
        typer.Option(
            metavar="NORM,...",
            help="What to compare; dn:reflect gives one a geometry of its own.",
            rich_help_panel=METHOD,
        ),
    ] = "in,tin,kin,dn",
    untiled: Annotated[
        bool,
        typer.Option(
            "--untiled",
            help="Add a yardstick: the whole region in a single forward, which has to fit in "
            "memory.",
            rich_help_panel=METHOD,
        ),
    ] = False,
    config: p.Config = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per method on stdout, not the page.")
    ] = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Translate one image with several normalizers, and show the results side by side.

    Writes index.html (one file with table, charts, seams and zoomable views), compare.json,
    compare.csv, and the translations, such as dn.tif. Exit code 1: some failed; the others exist.
    """
    with errors_as_sentences(debug):
        configured = read_config(config) if config else {}
        options = make_options(DEFAULTS | configured | given)

        from uhrtranslate.io import Found
        from uhrtranslate.tasks import compare as task

        chosen = norms.split(",")
        with _Progress(False, quiet, len(chosen) + untiled) as report:
            source = Found.at(slide).source
            outcome = task.compare(source, output, chosen, options, untiled, None, report.event)
        for compared in outcome.compared if as_json else ():
            print_json(compared)
        if not as_json:
            print(outcome.page, flush=True)
    if report.failures:
        raise typer.Exit(1)


class _Progress(Report):
    """Shows translations while they are made; results are printed at the end."""

    def publish(self, result: ImageResult | Forecast) -> None:
        """Print nothing yet: the result has not been measured."""

    def when_stopped(self) -> str:
        return "stopped; the same command with --overwrite starts afresh."
