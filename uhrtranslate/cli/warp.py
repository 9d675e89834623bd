"""`uhrt warp`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.printing import print_warning
from uhrtranslate.cli.report import Report, errors_as_sentences
from uhrtranslate.errors import OptionError
from uhrtranslate.options import ImageOptions, Sampling, validated

EXAMPLES = """[bold]Examples[/bold]

uhrt warp slides/one.svs --transform transform.json -o warped.tif

uhrt warp --points cells.csv --transform transform.json --to moving -o moved.csv
"""


@takes(ImageOptions, leave_out={"keep_associated", "source_mpp", "source_power"})
def warp(
    given: Given,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file to write.")
    ],
    transform: Annotated[
        Path, typer.Option(metavar="JSON", help="What uhrt register found for this pair.")
    ],
    moving: Annotated[
        str | None, typer.Argument(metavar="[MOVING]", help="Slide, photo or URL to warp.")
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Move annotations instead: CSV with x and y, or GeoJSON."
        ),
    ] = None,
    to: Annotated[
        Literal["fixed", "moving"],
        typer.Option(help="Slide that the annotations are moved to."),
    ] = "fixed",
    sampling: Annotated[
        Sampling,
        typer.Option(help="Between pixels: sharp (cubic), or in two thirds of the time (linear)."),
    ] = "cubic",
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Write a slide, or annotations, in the frame of the slide that it was registered to.

    Region and resolution are those of the fixed slide. Missing parts have the background's colour.
    """
    with errors_as_sentences(debug):
        options = validated(ImageOptions, given)
        if (moving is None) == (points is None):
            raise OptionError("name either a slide to warp, or annotations with --points.")

        from uhrtranslate.io.files.remote import is_url
        from uhrtranslate.tasks.warp import warp as run
        from uhrtranslate.tasks.warp import warp_points

        if points is not None:
            _, missed = warp_points(points, transform, output, to, options.overwrite)
            if missed and not quiet:
                print_warning(f"{points}: {missed} points have no exact place in the other slide.")
            print(output)
            return
        assert moving is not None
        with Report(as_json, quiet, 1) as report:
            source = moving if is_url(moving) else Path(moving)
            run(source, transform, output, options, report.event, sampling)
