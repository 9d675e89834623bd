"""`uhrt evaluate`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.printing import print_error, print_json
from uhrtranslate.cli.report import errors_as_sentences
from uhrtranslate.errors import OptionError
from uhrtranslate.evaluation.options import OUTPUT, EvaluateOptions
from uhrtranslate.options import validated

if TYPE_CHECKING:
    from uhrtranslate.evaluation.result import Evaluation

EXAMPLES = """[bold]Examples[/bold]

uhrt evaluate result.tif --source slide.svs

uhrt evaluate result.tif --grid auto --json | jq .seam

uhrt evaluate results/ --source slides/ --reference ihc/ --mpp 0.5 -o report/

uhrt evaluate results/one.pooled.tif --truth ihc/real.tif --transform transform.json

uhrt evaluate result.tif --fail-if "seam_ratio>1.02"
"""

# Exit code where nothing is known to be wrong, but a condition could not be checked: a pipeline
# must not take that for a pass, and may tell it from a failure.
UNCHECKED = 3


@takes(EvaluateOptions)
def evaluate(
    given: Given,
    inputs: p.Inputs = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Write index.html, evaluation.json and evaluation.csv.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Replace an existing report.", rich_help_panel=OUTPUT),
    ] = False,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help='Such as "seam_ratio>1.02": exit code 1 where it holds, 3 where it cannot be '
            "checked; may be repeated.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    everything: Annotated[
        bool,
        typer.Option(
            "--all", help="Print all figures, not only those that say most.", rich_help_panel=OUTPUT
        ),
    ] = False,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Measure a translation: seams, structure, colours; against truth or real images.

    Seams need only the image itself. Exit code 1: an image failed, or a --fail-if holds; else 3: a
    --fail-if could not be checked.
    """
    failures: list[str] = []
    unchecked: list[str] = []
    with errors_as_sentences(debug):
        from uhrtranslate.evaluation.conditions import holds, parse_condition
        from uhrtranslate.evaluation.page import STEM, check_free, write_report
        from uhrtranslate.evaluation.result import as_line, finite_metrics
        from uhrtranslate.io import expand_inputs
        from uhrtranslate.report.measures import flatten
        from uhrtranslate.tasks import evaluate as task

        conditions = [parse_condition(text) for text in fail_if or []]
        options = validated(EvaluateOptions, given)
        if not inputs:
            raise OptionError("no inputs: name images or folders, or - for a list on stdin.")
        items = expand_inputs(inputs, sys.stdin)
        if not items:
            raise OptionError("no inputs: the list is empty.")

        def show(found: "Evaluation | task.Failed") -> None:
            if isinstance(found, task.Failed):
                failures.append(found.error)
                print_error(found.error)
                if as_json:
                    print_json({"input": found.input, "status": "failed", "error": found.error})
                return
            if as_json:
                print_json(as_line(found))
            else:
                _print(found, everything)
            for warning in found.warnings if not quiet else ():
                print_error(f"{found.input}: {warning}.")
            for condition in conditions:
                if found.input == task.ALL:
                    continue
                held = holds(condition, flatten(finite_metrics(found)))
                if held:
                    failures.append(condition.text)
                    print_error(f"{found.input}: {condition.text} holds.")
                elif held is None:
                    unchecked.append(condition.text)
                    print_error(
                        f"{found.input}: {condition.text} could not be checked, as "
                        f"{condition.name} was not measured."
                    )

        if output is not None:
            check_free(output, STEM, overwrite)
        found = task.evaluate_many(items, options, show)
        images = [one for one in found if one.input != task.ALL]
        if output is not None and images:
            together = found[-1] if found[-1].input == task.ALL else None
            page = write_report(images, output, overwrite, together)
            if not as_json:
                print(page)
    if failures or unchecked:
        raise typer.Exit(1 if failures else UNCHECKED)


def _print(found: "Evaluation", everything: bool) -> None:
    """A verdict and the few figures that say most, or all of them."""
    from uhrtranslate.evaluation.page import seam_of
    from uhrtranslate.evaluation.verdict import seams_in_words
    from uhrtranslate.report.measures import Told, flatten, shortlist
    from uhrtranslate.tables import FIGURES

    print("all images together" if found.input == "*" else found.input)
    if found.input != "*":
        print(f"  {seams_in_words({'': seam_of(found)})}")
    flat = flatten(found.metrics)
    borders = [
        (f"{border.step:.2f} grey levels", f"at {border.x}, {border.y}") for border in found.borders
    ]
    if everything:
        table = Table(box=None, show_header=False)
        for name, value in flat.items():
            text = f"{value:.4g}" if isinstance(value, float) else str(value)
            table.add_row("", name, "not measured" if value is None else text)
        for step, place in borders[:3]:
            table.add_row("", "worst border", f"{step} {place}")
        Console().print(table)
        return
    groups = {name: figure.group for name, figure in FIGURES.items()}
    seams = groups["seam"].title
    told = [Told(seams, "Worst border", *one) for one in borders[:1]]
    told = sorted([*shortlist(flat, groups), *told], key=lambda one: one.group != seams)
    wide = max((len(one.label) for one in told), default=0)
    long = max((len(one.text) for one in told), default=0)
    group = ""
    for one in told:
        if one.group != group:
            group = one.group
            print(f"  {group}")
        print(f"    {one.label:<{wide}}  {one.text:<{long}}  {one.meaning}".rstrip())
    print("  More: --all, --json, or a page by -o FOLDER.")
