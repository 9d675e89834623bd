"""`uhrt models`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.report import errors_as_sentences, print_facts, print_json

if TYPE_CHECKING:
    from uhrtranslate.tasks.models import ModelDescription

EXAMPLES = """[bold]Examples[/bold]

uhrt models

uhrt models show latest_net_G.pth

uhrt models convert latest_net_G.pth mine.safetensors --cell 512 --mpp 0.5

uhrt models convert he2ihc he2ihc_net_G.pth
"""

app = typer.Typer(
    help="List the generators that ship, show what a checkpoint is, convert checkpoints.",
    epilog=EXAMPLES,
)

Checkpoint = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="Bundled name, checkpoint (FILE:PART where it holds several), or "
        "package.module:factory.",
    ),
]


@app.callback(invoke_without_command=True)
def list_all(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per model.")] = False,
) -> None:
    """List the generators that ship with the package."""
    if context.invoked_subcommand:
        return
    with errors_as_sentences():
        from uhrtranslate.tasks.models import list_models

        for model in list_models():
            _show(model, as_json)


@app.command(no_args_is_help=True)
def show(
    model: Checkpoint,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    debug: p.Debug = False,
) -> None:
    """Say what a checkpoint is: architecture, size, norm layers, cell, mpp, domains."""
    with errors_as_sentences(debug):
        from uhrtranslate.tasks.models import describe_model

        _show(describe_model(model), as_json)


@app.command(no_args_is_help=True)
def convert(
    source: Checkpoint,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="New file: name.safetensors, or name.pth for the public repositories.",
        ),
    ],
    cell: Annotated[
        int | None, typer.Option(metavar="PX", help="Patch size it was trained on.")
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(metavar="F", help="Micrometres per pixel it was trained at.")
    ] = None,
    domains: Annotated[
        str | None, typer.Option(metavar="A,B", help="Names of the source and the target domain.")
    ] = None,
    description: Annotated[
        str | None, typer.Option(metavar="TEXT", help="One sentence about the generator.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the target.")] = False,
    debug: p.Debug = False,
) -> None:
    """Write a checkpoint as one native .safetensors file with all the facts that uhrt needs.

    Or the other way: as a .pth file with the keys that the public repositories use.
    """
    with errors_as_sentences(debug):
        from uhrtranslate.tasks.models import convert_model

        names = _two(domains) if domains else None
        convert_model(source, target, cell, mpp, names, description, overwrite)
        print(target)


def _two(domains: str) -> tuple[str, str]:
    first, comma, second = domains.partition(",")
    if not (first.strip() and comma and second.strip()) or "," in second:
        raise typer.BadParameter(f"{domains!r} is not two names A,B", param_hint="--domains")
    return first.strip(), second.strip()


def _tiles(model: "ModelDescription") -> str:
    if model.covariant:
        return f"seamless with a halo (translation-covariant, period {model.period} px)"
    return f"overlap and are blended (not translation-covariant, period {model.period} px)"


def _show(model: "ModelDescription", as_json: bool) -> None:
    if as_json:
        print_json(model)
        return
    norms = ", ".join(f"{count} {kind}" for kind, count in model.norms.items()) or "none"
    arguments = ", ".join(f"{key}={value}" for key, value in model.arguments.items())
    rows = [
        ("domains", " -> ".join(model.domains)),
        ("architecture", f"{model.architecture}({arguments})"),
        ("weights", f"{model.parameters:,}"),
        ("norm layers", norms),
        ("cell", "unknown (512 is assumed)" if model.cell is None else f"{model.cell} px"),
        ("stride, halo", f"{model.stride} px, {model.halo or 'measured'}"),
        ("tiles", _tiles(model)),
        ("trained at", "unknown" if model.mpp is None else f"{model.mpp} um/px"),
        ("file", model.path or "none"),
        ("sha256", model.sha256),
        ("about", model.description or "-"),
    ]
    print_facts(rows, model.name)
