"""`uhrt register`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.report import errors_as_sentences, print_error, print_json

EXAMPLES = """[bold]Examples[/bold]

uhrt register slides/one.svs slides/deep/two.svs --engine none -o aligned.json

uhrt register slides/one.svs slides/deep/two.svs --mirror --rounds 1 -o turned.json
"""
# Exit codes of verdicts.
DOUBTFUL, FAILED = 3, 1


def register(
    moving: Annotated[str, typer.Argument(metavar="MOVING", help="Slide to bring over.")],
    fixed: Annotated[str, typer.Argument(metavar="FIXED", help="Slide that stays.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="JSON", help="The transform to write.")
    ],
    points: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Four or more pairs instead of the search: moving_x,moving_y,fixed_x,fixed_y.",
        ),
    ] = None,
    engine: Annotated[
        Literal["auto", "convex", "simpleitk", "none"],
        typer.Option(
            help="Non-rigid step: our own (convex, auto), B-splines (simpleitk, an extra), or none."
        ),
    ] = "auto",
    rounds: Annotated[
        int, typer.Option(metavar="1-4", help="Rounds of it, each twice as fine.")
    ] = 3,
    mirror: Annotated[
        bool, typer.Option("--mirror", help="Also try the section turned over.")
    ] = False,
    landmarks: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="A.csv B.csv", help="Landmarks of both to measure the result by."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the search's draws.")] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing transform.")
    ] = False,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Find how a slide lies on another: neighbouring sections, or one section scanned twice.

    The result is measured and judged. Exit code 0: good; 3: doubtful; 1: failed, nothing written.
    """
    with errors_as_sentences(debug):
        from uhrtranslate.io.files.remote import is_url
        from uhrtranslate.tasks.register import RegisterOptions
        from uhrtranslate.tasks.register import register as run

        options = RegisterOptions(engine, mirror, rounds, seed, points, landmarks, overwrite)
        sources = [one if is_url(one) else Path(one) for one in (moving, fixed)]
        found = run(sources[0], sources[1], output, options)
        if as_json:
            print_json(found)
        elif found.output is not None:
            print(found.output)
        reasons = "; ".join(found.reasons)
        if found.verdict == "failed":
            print_error(f"{moving}: does not lie on {fixed}: {reasons}; set --points by hand.")
        elif not quiet:
            print_error(f"{moving}: {found.verdict}{': ' if reasons else ''}{reasons}.")
    if found.verdict != "good":
        raise typer.Exit(FAILED if found.verdict == "failed" else DOUBTFUL)
