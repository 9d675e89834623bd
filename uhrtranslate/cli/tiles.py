"""`uhrt tiles`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.report import errors_as_sentences, print_error, print_json
from uhrtranslate.options import validated

if TYPE_CHECKING:
    from uhrtranslate.tasks.tiles import TilesResult

EXAMPLES = """[bold]Examples[/bold]

uhrt tiles slides/ -o patches/ --size 256 --tissue 0.5

uhrt tiles slide.svs -o pairs/ --paired photo.jpg --size 256
"""


def tiles(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", help="Slide or its URL, folder or pattern.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder.")],
    size: Annotated[int, typer.Option(metavar="PX", help="Side of the patches.")] = 512,
    overlap: Annotated[
        int, typer.Option(metavar="PX", help="Overlap of neighbouring patches.")
    ] = 0,
    level: Annotated[int | None, typer.Option(metavar="N", help="Pyramid level.")] = None,
    mpp: Annotated[
        float | None, typer.Option(metavar="F", help="Micrometres per pixel of the patches.")
    ] = None,
    source_mpp: Annotated[
        float | None,
        typer.Option(metavar="F", help="Micrometres per pixel of the slides' level 0."),
    ] = None,
    source_power: Annotated[
        float | None,
        typer.Option(metavar="20|40", help="The same by the objective: 10 um/px divided by it."),
    ] = None,
    tissue: Annotated[
        float, typer.Option(metavar="0-1", help="Least share of tissue in a patch.")
    ] = 0.25,
    paired: Annotated[
        str | None,
        typer.Option(
            metavar="INPUT",
            help="The same sections in another stain, registered, with equal names.",
        ),
    ] = None,
    allow_sparse: Annotated[
        bool,
        typer.Option("--allow-sparse", help="Accept TIFFs that lack nearly all of their tiles."),
    ] = False,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Cut slides into patches for training, named by position and listed in a table.

    Writes SLIDE_x<X>_y<Y>.png (level-0 pixels) and tiles.csv; with --paired into A/ and B/.
    """
    with errors_as_sentences(debug):
        from uhrtranslate.tasks.tiles import MANIFEST, TileOptions, cut_tiles

        given = {
            "size": size, "overlap": overlap, "level": level, "mpp": mpp, "tissue": tissue,
            "allow_sparse": allow_sparse, "source_mpp": source_mpp, "source_power": source_power,
        }  # fmt: skip
        options = validated(TileOptions, given)

        def tell(result: "TilesResult") -> None:
            if as_json:
                print_json(result)
            if result.error is not None:
                print_error(result.error)
            elif not quiet:
                print(
                    f"{result.input}: {result.patches} patches, {result.skipped} with less tissue",
                    file=sys.stderr,
                )

        results = cut_tiles(source, output, options, paired, tell)
        if not as_json and (output / MANIFEST).exists():
            print(output / MANIFEST)
    if any(result.error for result in results):
        raise typer.Exit(1)
