"""`uhrt info`."""

from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.printing import print_facts, print_json
from uhrtranslate.cli.report import errors_as_sentences
from uhrtranslate.cli.sizes import file_size
from uhrtranslate.options import InfoOptions, validated

if TYPE_CHECKING:
    from uhrtranslate.tasks.info import InputDescription

EXAMPLES = """[bold]Examples[/bold]

uhrt info slide.svs

uhrt info slides/

uhrt info slide.svs --json | jq .levels

uhrt info photo.jpg --source-power 40
"""


@takes(InfoOptions)
def info(
    given: Given,
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
    with errors_as_sentences(debug):
        options = validated(InfoOptions, given)

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
                description = describe_input(file, properties, options)
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
        file_size(image.file_bytes),
    ]
    return f"{image.path}: {', '.join(facts)}"


def _mpp(image: "InputDescription") -> str:
    if image.mpp is None:
        return "unknown; state it with --source-mpp F or --source-power 20|40"
    said = image.overruled_mpp
    but = f" as you state; the file says {said[0]:.4g} x {said[1]:.4g}" if said else ""
    return f"{image.mpp[0]:.4g} x {image.mpp[1]:.4g} um{but}"


def _print(image: "InputDescription") -> None:
    power = "unknown" if image.objective_power is None else f"{image.objective_power:g}x"
    rows = [
        ("format", f"{image.format}, read by {image.reader}, {file_size(image.file_bytes)}"),
        ("size", f"{image.width:,} x {image.height:,} px"),
        ("pixels", f"{len(image.channels) or 3} x {image.pixel_type}"),
        ("mpp", _mpp(image)),
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
