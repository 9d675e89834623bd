"""`uhrt info`."""

from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.report import errors_as_sentences, print_facts, print_json

if TYPE_CHECKING:
    from uhrtranslate.tasks.info import InputDescription

EXAMPLES = """[bold]Examples[/bold]

uhrt info slide.svs

uhrt info slides/

uhrt info slide.svs --json | jq .levels
"""


def info(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE...", show_default=False, help="Slides, photos, URLs, or folders to list."
        ),
    ],
    properties: Annotated[
        bool, typer.Option("--properties", help="Also list the vendor's properties.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per file.")] = False,
    debug: p.Debug = False,
) -> None:
    """Say what a file is: size, levels, mpp, objective power, colour profile, properties.

    Of a folder, one line for each image in it.
    """
    from uhrtranslate.tasks.info import describe_input, images_of

    failed = False
    named: list[tuple[str, bool]] = []  # and whether it is one of a folder
    for file in files:
        with errors_as_sentences(debug):
            listed = images_of(file)
            named += [(file, False)] if listed is None else [(one, True) for one in listed]
    for file, in_folder in named:
        try:
            with errors_as_sentences(debug):
                description = describe_input(file, properties)
                if as_json:
                    print_json(description)
                elif in_folder:
                    print(_line(description))
                else:
                    _print(description)
        except typer.Exit as stop:
            if stop.exit_code != 1:
                raise
            failed = True
    if failed:
        raise typer.Exit(1)


def _line(image: "InputDescription") -> str:
    """An image in one line: its path, size, resolution, levels and format."""
    levels = len(image.levels)
    facts = [
        f"{image.width:,} x {image.height:,} px",
        "mpp unknown" if image.mpp is None else f"{image.mpp[0]:.4g} um/px",
        f"{levels} level{'s' if levels > 1 else ''}",
        image.format,
        f"{image.file_bytes / 1e6:,.1f} MB",
    ]
    return f"{image.path}: {', '.join(facts)}"


def _print(image: "InputDescription") -> None:
    power = "unknown" if image.objective_power is None else f"{image.objective_power:g}x"
    rows = [
        ("format", f"{image.format}, read by {image.reader}, {image.file_bytes / 1e6:,.1f} MB"),
        ("size", f"{image.width:,} x {image.height:,} px"),
        ("pixels", f"{len(image.channels) or 3} x {image.pixel_type}"),
        ("mpp", "unknown" if image.mpp is None else f"{image.mpp[0]:.4g} x {image.mpp[1]:.4g} um"),
        ("objective", power),
        ("stored in tiles of", f"{image.tile[0]} x {image.tile[1]} px"),
        ("ICC profile", f"{image.icc_name or 'unnamed'}" if image.icc_bytes else "none"),
        ("associated", ", ".join(image.associated) or "none"),
    ]
    if image.channels:
        rows.append(("channels", ", ".join(channel.name for channel in image.channels)))
    for number, level in enumerate(image.levels):
        size = f"{level.width:,} x {level.height:,} px, downsample {level.downsample:.4g}"
        rows.append((f"level {number}", size))
    print_facts([*rows, *sorted(image.properties.items())], image.path)
