"""`uhrt evaluate`."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from uhrtranslate.cli import params as p
from uhrtranslate.cli.report import errors_as_sentences, print_error
from uhrtranslate.errors import OptionError

if TYPE_CHECKING:
    from uhrtranslate.evaluation.result import Evaluation

AGAINST, PATCHES, OUTPUT = "Compared with", "Patches", "Output"

EXAMPLES = """[bold]Examples[/bold]

uhrt evaluate result.tif --source slide.svs

uhrt evaluate result.tif --grid auto --json | jq .seam

uhrt evaluate results/ --source slides/ --reference ihc/ --mpp 0.5 -o report/

uhrt evaluate result.tif --fail-if "seam_ratio>1.02"
"""


def _place(name: str, metavar: str, text: str, panel: str = AGAINST) -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False, rich_help_panel=panel)


def evaluate(
    inputs: p.Inputs = None,
    source: Annotated[
        Path | None,
        _place("--source", "IMAGE|FOLDER", "What was translated: structure and colours kept."),
    ] = None,
    truth: Annotated[
        Path | None,
        _place("--truth", "IMAGE|FOLDER", "Paired truth: PSNR, SSIM, MS-SSIM, LPIPS."),
    ] = None,
    reference: Annotated[
        Path | None,
        _place(
            "--reference",
            "IMAGE|FOLDER",
            "Real images of the target domain, unpaired: FID, KID, precision, recall, NIQE.",
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        _place(
            "--baseline",
            "IMAGE|FOLDER",
            "The same with --norm in: what is over- or under-coloured beside it.",
        ),
    ] = None,
    grid: Annotated[
        str,
        typer.Option(metavar="auto|PX", help="Tiles of this size from the corner; auto: search."),
    ] = "auto",
    shift: Annotated[
        int,
        typer.Option(metavar="PX", help="Truth may be off by so much.", rich_help_panel=AGAINST),
    ] = 0,
    weights: Annotated[
        Path | None,
        _place("--weights", "PTH", "InceptionV3 for FID; without, an extractor that needs none."),
    ] = None,
    lpips: Annotated[
        tuple[Path, Path] | None,
        _place("--lpips", "PTH PTH", "AlexNet or VGG16, and LPIPS' linear heads."),
    ] = None,
    niqe: Annotated[
        Path | None,
        _place("--niqe", "JSON", "NIQE's model; without, it is fitted to the reference."),
    ] = None,
    save_niqe: Annotated[
        Path | None,
        _place("--save-niqe", "JSON", "Write the model that was fitted.", OUTPUT),
    ] = None,
    domain: Annotated[
        bool,
        typer.Option(
            "--domain",
            help="Train a classifier of source and reference, and ask it.",
            rich_help_panel=AGAINST,
        ),
    ] = False,
    patch: Annotated[
        int, typer.Option(metavar="PX", help="Side of a patch.", rich_help_panel=PATCHES)
    ] = 256,
    patches: Annotated[
        int,
        typer.Option(metavar="N", help="Patches of each population.", rich_help_panel=PATCHES),
    ] = 500,
    seeds: Annotated[
        int,
        typer.Option(metavar="N", help="Draws of patches, for intervals.", rich_help_panel=PATCHES),
    ] = 3,
    seed: Annotated[
        int, typer.Option(metavar="N", help="Of the first draw.", rich_help_panel=PATCHES)
    ] = 0,
    level: p.Level = None,
    mpp: p.Mpp = None,
    region: p.RegionOption = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Write index.html, evaluation.json and evaluation.csv.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    overwrite: p.Overwrite = None,
    fail_if: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-if",
            metavar="CONDITION",
            help='As "seam_ratio>1.02": exit code 1 where it holds; may be repeated.',
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Measure a translation: seams, structure, colours; against truth or a real population.

    Seams need nothing but the image. Exit code 1: an image failed, or a --fail-if holds.
    """
    flags: dict[str, Any] = {
        "source": source, "truth": truth, "reference": reference, "baseline": baseline,
        "grid": grid, "shift": shift, "weights": weights, "lpips": lpips, "niqe": niqe,
        "save_niqe": save_niqe,
        "domain": domain, "patch": patch, "patches": patches, "seeds": seeds, "seed": seed,
        "level": level, "mpp": mpp, "region": region,
    }  # fmt: skip
    failures: list[str] = []
    with errors_as_sentences(debug):
        from uhrtranslate.evaluation.conditions import holds, parse_condition
        from uhrtranslate.evaluation.options import EvaluateOptions
        from uhrtranslate.evaluation.page import STEM, check_free, write_report
        from uhrtranslate.evaluation.result import as_line, flat_metrics
        from uhrtranslate.io import expand_inputs
        from uhrtranslate.options import validated
        from uhrtranslate.tasks import evaluate as task

        conditions = [parse_condition(text) for text in fail_if or []]
        options = validated(EvaluateOptions, flags)
        if not inputs:
            raise OptionError("no inputs: name images or folders, or - for a list on stdin.")
        items = expand_inputs(inputs, sys.stdin, results=True)

        def show(found: "Evaluation | task.Failed") -> None:
            if isinstance(found, task.Failed):
                failures.append(found.error)
                print_error(found.error)
                if as_json:
                    _print_line({"input": found.input, "status": "failed", "error": found.error})
                return
            if as_json:
                _print_line(as_line(found))
            else:
                _print(found)
            for warning in found.warnings if not quiet else ():
                print_error(f"{found.input}: {warning}.")
            for condition in conditions:
                if found.input != task.ALL and holds(condition, flat_metrics(found)):
                    failures.append(condition.text)
                    print_error(f"{found.input}: {condition.text} holds.")

        if output is not None:
            check_free(output, STEM, bool(overwrite))
        found = task.evaluate_many(items, options, show)
        images = [one for one in found if one.input != task.ALL]
        if output is not None and images:
            together = found[-1] if found[-1].input == task.ALL else None
            page = write_report(images, output, bool(overwrite), together)
            if not as_json:
                print(page)
    if failures:
        raise typer.Exit(1)


def _print_line(record: dict[str, Any]) -> None:
    print(json.dumps(record, ensure_ascii=False), flush=True)


def _print(found: "Evaluation") -> None:
    name = "all images together" if found.input == "*" else found.input
    table = Table(box=None, show_header=False, title=name, title_justify="left")
    for group, figures in found.metrics.items():
        for figure, value in figures.items():
            if value is not None:
                text = f"{value:.4g}" if isinstance(value, float) else str(value)
                table.add_row(f"{group}.{figure}", text)
    for border in found.borders[:3]:
        table.add_row("worst border", f"{border.step:.2f} grey levels at {border.x}, {border.y}")
    Console().print(table)
