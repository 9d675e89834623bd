"""`uhrt view`."""

import getpass
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.printing import print_error, print_line
from uhrtranslate.cli.report import errors_as_sentences
from uhrtranslate.errors import OptionError
from uhrtranslate.options import InfoOptions, validated

EXAMPLES = """[bold]Examples[/bold]

uhrt view slide.svs result.tif

uhrt view results/ --no-browser

uhrt view he/real.tif ihc/real.tif --transform transform.json

uhrt view slide.svs result.tif --export page/
"""


@takes(InfoOptions)
def view(
    given: Given,
    places: Annotated[
        list[str],
        typer.Argument(
            metavar="PLACE...",
            show_default=False,
            help="Slides, photos, folders, URLs; also JSON of uhrt evaluate and compare, and "
            "GeoJSON annotations of the first image.",
        ),
    ],
    transform: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="JSON", help="Of uhrt register: lays its moving slide on its fixed one."
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option(metavar="N", help="Of the server.", show_default="a free one"),
    ] = 0,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address, open nothing.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write the page with all tiles for any web server, and end."
        ),
    ] = None,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Look at slides, results and their seams side by side in a browser.

    Serves a page on this machine alone until Ctrl-C. Nothing but what is named can be looked at,
    and nothing is changed.
    """
    with errors_as_sentences(debug):
        options = validated(InfoOptions, given)
        if not 0 <= port <= 65535:
            raise OptionError("--port: must be 0 to 65535; leave it out for a free one.")

        from uhrtranslate.tasks.view import open_server, routes

        told = _silent if quiet else _tell
        found = routes(places, transform or (), options, told)
        if export is not None:
            from uhrtranslate.tasks.view import export_page

            made = export_page(found, export, told)
            print(made, flush=True)
            return
        server = open_server(found, port)
        _announce(server.address, server.server_port, quiet)
        if not no_browser:
            _open_browser(server.address)
        server.serve_forever(0.2)


def _announce(address: str, port: int, quiet: bool) -> None:
    """Where the page is, for people here and at the other end of a line."""
    print_line(address)
    if not quiet:
        login = f"{getpass.getuser()}@{socket.gethostname()}"
        print_line(
            f"uhrt: from another machine first: ssh -L {port}:127.0.0.1:{port} {login}; "
            "Ctrl-C ends this."
        )


def _open_browser(address: str) -> None:
    import webbrowser

    # Where nothing can show a window, a browser of text may take the terminal, and runs no pages.
    shown = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    dark = sys.platform.startswith("linux") and not any(map(os.environ.get, shown))
    try:
        opened = not dark and webbrowser.open(address)
    except webbrowser.Error:
        opened = False
    if not opened:
        print_error("no browser was found here; open the address in one.")


def _silent(sentence: str) -> None:
    pass


def _tell(sentence: str) -> None:
    print_error(sentence)
