"""`uhrt register`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.printing import print_error, print_json
from uhrtranslate.cli.report import errors_as_sentences
from uhrtranslate.cli.stages import StageLine
from uhrtranslate.errors import OptionError
from uhrtranslate.options import RegistrationEngine

if TYPE_CHECKING:
    from uhrtranslate.runs.pairs import Pair
    from uhrtranslate.tasks.register import RegisterOptions
    from uhrtranslate.tasks.register_many import PairRegistration

EXAMPLES = """[bold]Examples[/bold]

uhrt register slides/one.svs slides/deep/two.svs --engine none -o aligned.json --report aligned.html

uhrt register he/ ihc/ --engine none -o transforms/ --report pages/

uhrt register --manifest pairs.csv --engine none -o transforms/ --resume

uhrt register slides/one.svs slides/deep/two.svs --mirror --rounds 1 -o turned.json
"""
# Exit codes of verdicts.
DOUBTFUL, FAILED = 3, 1


def register(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="PATH",
            help="The transform to write (.json), or the folder of those of several pairs.",
        ),
    ],
    moving: Annotated[
        str | None,
        typer.Argument(metavar="[MOVING]", help="Slide to bring over; or a folder of slides."),
    ] = None,
    fixed: Annotated[
        str | None,
        typer.Argument(metavar="[FIXED]", help="Slide that stays; or a folder, with equal names."),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table of pairs instead: moving, fixed, and if wanted points, moving_landmarks, "
            "fixed_landmarks.",
        ),
    ] = None,
    points: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Four or more pairs instead of the search: moving_x,moving_y,fixed_x,fixed_y.",
        ),
    ] = None,
    engine: Annotated[
        RegistrationEngine,
        typer.Option(
            help="Non-rigid step: our own (convex, auto), B-splines by an extra "
            "(simpleitk, elastix), or none."
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
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="HTML",
            help="Page that shows the result: curtain, checkerboard, maps, worst places; of "
            "several pairs a folder.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Several pairs: go on, and keep what is done already."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an existing transform.")
    ] = False,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Find how a slide lies on another: neighbouring sections, or one section scanned twice.

    The result is measured and judged. Exit code 0: good; 3: doubtful; 1: failed, nothing written.
    Of several pairs the worst counts; FOLDER/pairs.csv names all, for uhrt tiles --manifest.
    """
    with errors_as_sentences(debug):
        from uhrtranslate.tasks.register import RegisterOptions

        options = RegisterOptions(
            engine, mirror, rounds, seed, points, landmarks, report, overwrite
        )
        if manifest is None and output.suffix.lower() == ".json":
            if resume:
                raise OptionError("--resume: is for several pairs; name a folder with -o.")
            verdicts = [_one(moving, fixed, output, options, as_json, quiet)]
        else:
            pairs = find_pairs(moving, fixed, manifest)
            verdicts = _many(pairs, output, options, resume, as_json, quiet)
    if "failed" in verdicts:
        raise typer.Exit(FAILED)
    if "doubtful" in verdicts:
        raise typer.Exit(DOUBTFUL)


def find_pairs(moving: str | None, fixed: str | None, manifest: Path | None) -> "list[Pair]":
    """The pairs that the user named by two places or by a table."""
    from uhrtranslate.io.files.remote import is_url
    from uhrtranslate.runs.pairs import pairs_by_name, read_pairs

    if manifest is not None:
        if moving is not None:
            raise OptionError("--manifest names all pairs; leave out other slides.")
        return read_pairs(manifest)
    if moving is None or fixed is None:
        raise OptionError("name two slides, or two folders, or a table of pairs by --manifest.")
    return pairs_by_name(*(one if is_url(one) else Path(one) for one in (moving, fixed)))


def _one(
    moving: str | None,
    fixed: str | None,
    output: Path,
    options: "RegisterOptions",
    as_json: bool,
    quiet: bool,
) -> str:
    from uhrtranslate.tasks.register import register as run

    pairs = find_pairs(moving, fixed, None)
    if len(pairs) > 1:
        raise OptionError(
            f"-o {output}: is one file, and there are {len(pairs)} pairs; name a folder."
        )
    with StageLine(quiet) as line:
        found = run(pairs[0].moving, pairs[0].fixed, output, options, line.show)
    if as_json:
        print_json(found)
    elif found.output is not None:
        print(found.output)
    reasons = "; ".join(found.reasons)
    if found.verdict == "failed":
        print_error(f"{moving}: does not lie on {fixed}: {reasons}; set --points by hand.")
    elif not quiet:
        print_error(f"{moving}: {found.verdict}{': ' if reasons else ''}{reasons}.")
    return found.verdict


def _many(
    pairs: "list[Pair]",
    output: Path,
    options: "RegisterOptions",
    resume: bool,
    as_json: bool,
    quiet: bool,
) -> list[str]:
    from uhrtranslate.tasks.register_many import TABLE, register_pairs

    if options.points or options.landmarks:
        raise OptionError(
            "--points and --landmarks: are of one pair; name those of several in a table "
            "(--manifest)."
        )

    def tell(result: "PairRegistration") -> None:
        if as_json:
            print_json(result)
        print_registration(result, quiet)

    with StageLine(quiet) as line:
        found = register_pairs(pairs, output, options, options.report, resume, tell, line.show)
    if not as_json:
        print(output / TABLE)
    return [pair.verdict for pair in found]


def print_registration(result: "PairRegistration", quiet: bool) -> None:
    """A line on stderr about one of several pairs."""
    reasons = f": {result.reasons}" if result.reasons else ""
    if result.error is not None:
        print_error(result.error)
    elif result.verdict == "failed":
        print_error(f"{result.moving}: does not lie on {result.fixed}{reasons}.")
    elif not quiet:
        before = ", as before" if result.done else ""
        print_error(f"{result.moving}: {result.verdict}{before}{reasons}.")
