"""`uhrt benchmark`."""

from pathlib import Path
from typing import Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.printing import print_error, print_json
from uhrtranslate.cli.report import errors_as_sentences

EXAMPLES = """[bold]Examples[/bold]

uhrt benchmark suite.yaml -o benchmark/
"""


def benchmark(
    suite: Annotated[
        Path,
        typer.Argument(
            metavar="SUITE.yaml", help="Methods, slides and seeds; see docs/benchmark.md."
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="For results, figures and the page."),
    ] = Path("benchmark"),
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per result on stdout, not the page.")
    ] = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Compare methods on slides with seeds, in one table with intervals, tests and costs.

    Writes index.html, benchmark.json and CSV files. The same command goes on where it was stopped.
    Exit code 1: some results failed; the others are in the table.
    """
    failed = False
    with errors_as_sentences(debug):
        import dataclasses

        from uhrtranslate.evaluation.benchmark import Outcome
        from uhrtranslate.tasks import benchmark as task

        def tell(outcome: Outcome) -> None:
            nonlocal failed
            if outcome.status == "failed":
                failed = True
                print_error(str(outcome.error))
            elif not quiet:
                done = "done before" if outcome.cached else "done"
                print_error(f"{outcome.method}, {outcome.slide}, seed {outcome.seed}: {done}.")
            if as_json:
                print_json(dataclasses.asdict(outcome))

        found = task.benchmark(suite, output, tell)
        if not as_json:
            print(found.page)
    if failed:
        raise typer.Exit(1)
