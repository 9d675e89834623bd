"""Parameters shared by several commands that are not options of a task."""

from pathlib import Path
from typing import Annotated

import typer

Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[INPUT...]",
        help="Slides, photos, folders (searched by known endings), glob patterns, "
        "URLs (https://, s3://) of TIFF and OME-Zarr slides, or - for a list on stdin.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="PATH",
        help="A file (.tif, .png, .jpg, .webp) for one input, else a folder.",
        show_default="beside the input",
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        metavar="YAML",
        help="File with any of these options; flags override it.",
        show_default=False,
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object per input on stdout, instead of paths.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print only errors on stderr.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")]
