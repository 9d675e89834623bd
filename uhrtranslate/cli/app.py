"""The `uhrt` program: its commands, and the rules that hold for all of them."""

import io
import logging
import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from uhrtranslate.cli import (
    benchmark,
    compare,
    doctor,
    enhance,
    evaluate,
    info,
    models,
    pairs,
    register,
    stain_normalize,
    synthesize,
    tiles,
    train,
    translate,
    upscale,
    validate,
    view,
    warp,
)
from uhrtranslate.cli.command import Command
from uhrtranslate.cli.stopping import stoppable
from uhrtranslate.version import __version__

app = typer.Typer(
    name="uhrt",
    help="Seamless image-to-image translation of whole-slide images and photos "
    "that are too large for memory.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(cls=Command, epilog=translate.EXAMPLES, no_args_is_help=True)(translate.translate)
app.command(cls=Command, epilog=stain_normalize.EXAMPLES, no_args_is_help=True)(
    stain_normalize.stain_normalize
)
app.command(cls=Command, epilog=enhance.EXAMPLES, no_args_is_help=True)(enhance.enhance)
app.command(cls=Command, epilog=synthesize.EXAMPLES, no_args_is_help=True)(synthesize.synthesize)
app.command(cls=Command, epilog=upscale.EXAMPLES, no_args_is_help=True)(upscale.upscale)
app.command(cls=Command, epilog=evaluate.EXAMPLES, no_args_is_help=True)(evaluate.evaluate)
app.command(cls=Command, epilog=compare.EXAMPLES, no_args_is_help=True)(compare.compare)
app.command(cls=Command, epilog=benchmark.EXAMPLES, no_args_is_help=True)(benchmark.benchmark)
app.command(cls=Command, epilog=train.EXAMPLES, no_args_is_help=True)(train.train)
app.command(cls=Command, epilog=tiles.EXAMPLES, no_args_is_help=True)(tiles.tiles)
app.command(cls=Command, epilog=register.EXAMPLES, no_args_is_help=True)(register.register)
app.command(cls=Command, epilog=pairs.EXAMPLES, no_args_is_help=True)(pairs.pairs)
app.command(cls=Command, epilog=warp.EXAMPLES, no_args_is_help=True)(warp.warp)
app.command(cls=Command, epilog=view.EXAMPLES, no_args_is_help=True)(view.view)
app.command(cls=Command, epilog=info.EXAMPLES, no_args_is_help=True)(info.info)
app.command(cls=Command, epilog=validate.EXAMPLES, no_args_is_help=True)(validate.validate)
app.command(cls=Command, epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(models.app, name="models")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"uhrt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """The console script `uhrt`: run the program in this process, which ends with it."""
    with stoppable():
        run_program()


def run_program() -> None:
    """Run the program; it ends with SystemExit."""
    for stream in (sys.stdin, sys.stdout):
        # Names of files may be any bytes. A stream that has been read from cannot be changed.
        if isinstance(stream, io.TextIOWrapper):
            with suppress(io.UnsupportedOperation):
                stream.reconfigure(errors="surrogateescape")
    # Feature maps of some hundred MB in pages of 2 MB instead of 4 kB: a fifth less CPU time
    # (measured, tiles of 1152 px). torch reads it when it first takes memory.
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    # Our own sentence says the same of damaged files, and names the file.
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    try:
        app()
    except BrokenPipeError:
        # The reader of our output is gone (`| head`).
        sys.stderr.close()
        raise SystemExit(1) from None
