"""`uhrt pairs`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.printing import print_warning
from uhrtranslate.cli.register import find_pairs, print_registration
from uhrtranslate.cli.report import Stopped, errors_as_sentences
from uhrtranslate.cli.stages import StageLine
from uhrtranslate.cli.tiles import PairLines, exit_code
from uhrtranslate.options import PairsOptions, read_config, validated

if TYPE_CHECKING:
    from uhrtranslate.tasks.register_many import PairRegistration

EXAMPLES = """[bold]Examples[/bold]

uhrt pairs he/ ihc/ -o dataset/ --engine none --size 256

uhrt pairs --manifest pairs.csv -o dataset/ --engine none --size 256 --resume
"""


@takes(PairsOptions, leave_out={"cluster", "without_tls"})
def pairs(
    given: Given,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder of the data set.")
    ],
    moving: Annotated[
        str | None, typer.Argument(metavar="[MOVING]", help="Folder of slides that become A.")
    ] = None,
    fixed: Annotated[
        str | None,
        typer.Argument(metavar="[FIXED]", help="Folder of slides of equal names that become B."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table of pairs instead: moving, fixed, and if wanted transform, group (a "
            "patient), split, points.",
        ),
    ] = None,
    config: p.Config = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with what the folder has.")
    ] = False,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Make a data set of aligned pairs from two folders of slides: register, check, split, cut.

    Writes train/A, train/B, ..., tiles.csv (all places, with scores) and pairs.csv (all pairs);
    each slide is in one split only. Exit code 1: a pair failed, the others are done; 3: pairs were
    left out, as their registration is doubtful or failed.
    """
    with errors_as_sentences(debug):
        options = validated(PairsOptions, (read_config(config) if config else {}) | given)
        found = find_pairs(moving, fixed, manifest)

        from uhrtranslate.tasks.pairs import Told, make_pairs
        from uhrtranslate.tasks.tiles import MANIFEST

        def registered(result: "PairRegistration") -> None:
            print_registration(result, quiet)

        try:
            with StageLine(quiet) as line:
                told = Told(registered, PairLines(as_json, quiet).pair, print_warning, line.show)
                results = make_pairs(found, output, options, resume, told)
        except Stopped as stop:
            stop.sentence = "stopped; the same command with --resume goes on from where it was."
            raise
        if not as_json and (output / MANIFEST).exists():
            print(output / MANIFEST)
    if code := exit_code(results):
        raise typer.Exit(code)
