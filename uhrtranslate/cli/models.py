"""`uhrt models`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.command import Command
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.printing import print_facts, print_json, print_warning
from uhrtranslate.cli.report import errors_as_sentences
from uhrtranslate.options import TranslateOptions, make_options
from uhrtranslate.tables import PLANES

if TYPE_CHECKING:
    from uhrtranslate.tasks.models import ModelDescription

EXAMPLES = """[bold]Examples[/bold]

uhrt models

uhrt models show latest_net_G.pth

uhrt models convert latest_net_G.pth mine.safetensors --cell 512 --mpp 0.5

uhrt models convert he2ihc he2ihc_net_G.pth

uhrt models export slide.svs --norm tin -o frozen.onnx

uhrt models export slide.svs --norm pooled --bandwidth inf -o pooled.pt

uhrt models export slide.svs --model latest_net_G.pth --cell 512 -o frozen.pt
uhrt models convert student.pth student.safetensors --inputs rgb,enhanced --histogram stained.json
"""

# The statistics that are the same everywhere in a slide, whatever the other options.
EXPORT_DEFAULTS = {"norm": "tin"}
# These belong to the translation of whole images.
NOT_FOR_EXPORT = {
    "kernel", "kernel_type", "tile", "halo", "pad", "batch", "at_once", "precision",
    "stats_precision", "compile", "mask", "background", "format", "compression", "quality",
    "keep_associated", "preview", "resume", "skip_existing", "workers", "profile", "bits",
}  # fmt: skip

app = typer.Typer(
    help="List the generators that ship, show what a checkpoint is, convert checkpoints, export "
    "them for other programs.",
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


@app.command(cls=Command, no_args_is_help=True)
def show(
    model: Checkpoint,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    debug: p.Debug = False,
) -> None:
    """Say what a checkpoint is: architecture, size, norm layers, cell, mpp, domains."""
    with errors_as_sentences(debug):
        from uhrtranslate.tasks.models import describe_model

        _show(describe_model(model), as_json)


@app.command(cls=Command, no_args_is_help=True)
def convert(
    source: Checkpoint,
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="New file: name.safetensors, or name.pth for the public repositories; name.pt of "
            "a TorchScript file.",
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
    inputs: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...", help=f"Planes that it takes, in order: {', '.join(PLANES)}."
        ),
    ] = None,
    histogram: Annotated[
        Path | None,
        typer.Option(
            metavar="HIST.json",
            help="What an enhanced plane is matched to: the stained training images' histogram, "
            "as uhrt enhance --save-reference writes it.",
        ),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,...",
            help="Names of the output's channels, such as markers, if it is no colour picture.",
        ),
    ] = None,
    input_range: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="Pixel values of an image's own channels that are the ends of the generator's "
            "range, such as 0,4095; by default those of the type, of floats those of the slide.",
        ),
    ] = None,
    output_range: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="What the ends of the generator's range are in results of --bits 32; by default "
            "0,1.",
        ),
    ] = None,
    value_range: Annotated[
        str | None,
        typer.Option(
            metavar="LOW,HIGH",
            help="Values that the network itself takes and gives, by default -1,1.",
        ),
    ] = None,
    white_glass: Annotated[
        bool | None,
        typer.Option(
            "--white-glass/--painted-glass",
            help="What becomes of bare glass: white, or what the generator paints there.",
        ),
    ] = None,
    debug: p.Debug = False,
) -> None:
    """Write a checkpoint as one native .safetensors file with all the facts that uhrt needs.

    Or the other way: as a .pth file with the keys that the public repositories use. A TorchScript
    file is written as another one with these facts.
    """
    with errors_as_sentences(debug):
        from uhrtranslate.tasks.models import convert_model

        names = _two(domains) if domains else None
        planes, outputs = (
            None if text is None else [name.strip() for name in text.split(",")]
            for text in (inputs, channels)
        )
        convert_model(
            source, target, cell, mpp, names, description, overwrite, planes, histogram, outputs,
            _range(input_range, "--input-range"), _range(output_range, "--output-range"),
            _range(value_range, "--value-range"), white_glass,
        )  # fmt: skip
        print(target)


@app.command(cls=Command, no_args_is_help=True)
@takes(TranslateOptions, leave_out=NOT_FOR_EXPORT, shown=EXPORT_DEFAULTS)
def export(
    given: Given,
    slide: Annotated[
        str, typer.Argument(metavar="SLIDE", show_default=False, help="A slide or photo.")
    ],
    target: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            show_default=False,
            help="New file: name.pt (TorchScript) or name.onnx (ONNX, opset 17).",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="What was written, as JSON.")] = False,
    debug: p.Debug = False,
) -> None:
    """Write a generator for one slide that any tile-wise program can run without seams.

    The slide's statistics (--norm tin, or pooled with --bandwidth inf) become constants. The
    network takes and gives RGB in 0..1, float32 with channels first; the file says how many pixels
    of context its tiles need.
    """
    with errors_as_sentences(debug):
        options = make_options(EXPORT_DEFAULTS | given)

        from uhrtranslate.tasks.export import export_model

        exported = export_model(slide, target, options)
        for sentence in exported.warnings.values():
            print_warning(sentence)
        if as_json:
            print_json(exported)
        else:
            print(target)


# Arguments of networks that a training's YAML calls otherwise.
CALLED = {"n_blocks": "blocks", "n_downs": "downs"}


def _two(domains: str) -> tuple[str, str]:
    first, comma, second = domains.partition(",")
    if not (first.strip() and comma and second.strip()) or "," in second:
        raise typer.BadParameter(f"{domains!r} is not two names A,B", param_hint="--domains")
    return first.strip(), second.strip()


def _range(text: str | None, option: str) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not LOW,HIGH", param_hint=option) from None
    if not low < high:
        raise typer.BadParameter(f"{text!r} is an empty range", param_hint=option)
    return low, high


def _ranges(model: "ModelDescription") -> str:
    taken = model.input_range
    parts = [
        "of the type, or of floats" if taken is None else f"{taken[0]:g} to {taken[1]:g}",
        f"{model.output_range[0]:g} to {model.output_range[1]:g}",
    ]
    return f"{parts[0]} in channels that it takes, {parts[1]} in float results"


def _norms(model: "ModelDescription") -> Iterator[str]:
    """Each kind of norm layer, and what becomes of it."""
    for kind, count in model.norms.items():
        if kind in model.replaced:
            yield f"{count} {kind} (follow --norm)"
        elif kind == "batch":
            yield f"{count} batch (running statistics; kept, unless --batch-statistics is given)"
        else:
            yield f"{count} {kind} (kept)"


def _tiles(model: "ModelDescription") -> str:
    if model.covariant:
        return f"seamless with a halo (translation-covariant, period {model.period} px)"
    return f"overlap and are blended (not translation-covariant, period {model.period} px)"


def _show(model: "ModelDescription", as_json: bool) -> None:
    if as_json:
        print_json(model)
        return
    norms = ", ".join(_norms(model)) or "none"
    arguments = ", ".join(
        f"{CALLED.get(key, key)}={value}" for key, value in model.arguments.items()
    )
    rows = [
        ("domains", " -> ".join(model.domains)),
        ("architecture", f"{model.architecture}({arguments})"),
        ("weights", f"{model.parameters:,}"),
        ("inputs", ", ".join(model.inputs)),
        ("output", ", ".join(model.channels) or "a picture"),
        *([("range", _ranges(model))] if model.channels or "channels" in model.inputs else []),
        ("norm layers", f"{norms}; inside TorchScript, out of reach" if model.opaque else norms),
        ("cell", "unknown (512 is assumed)" if model.cell is None else f"{model.cell} px"),
        ("stride, halo", f"{model.stride} px, {model.halo or 'measured'}"),
        ("tiles", _tiles(model)),
        ("glass", "becomes white" if model.white_glass else "as the generator paints it"),
        ("trained at", "unknown" if model.mpp is None else f"{model.mpp} um/px"),
        ("file", model.path or "none"),
        ("sha256", model.sha256),
        ("about", model.description or "-"),
    ]
    print_facts(rows, model.name)
