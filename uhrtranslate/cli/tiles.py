"""`uhrt tiles`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from uhrtranslate.cli import params as p
from uhrtranslate.cli.from_options import Given, takes
from uhrtranslate.cli.printing import print_error, print_json, print_line
from uhrtranslate.cli.report import errors_as_sentences
from uhrtranslate.errors import OptionError
from uhrtranslate.flag import METHOD
from uhrtranslate.options import PairTileOptions, TileOptions, validated

if TYPE_CHECKING:
    from uhrtranslate.runs.pairs import Pair
    from uhrtranslate.tasks.pair_tiles import PairTilesResult
    from uhrtranslate.tasks.tiles import TilesResult

EXAMPLES = """[bold]Examples[/bold]

uhrt tiles slides/ -o patches/ --size 256 --tissue 0.5

uhrt tiles slide.svs -o pairs/ --paired photo.jpg --size 256

uhrt tiles he/real.tif --paired ihc/real.tif --transform transform.json -o aligned/ --size 256
"""
# Exit codes: something failed, or only doubtful registrations were left out.
FAILED, DOUBTFUL = 1, 3


@takes(PairTileOptions, shown={"size": "512, or 1024 with a transform"})
def tiles(
    given: Given,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder.")],
    source: Annotated[
        str | None,
        typer.Argument(metavar="[INPUT]", help="Slide or its URL, folder or pattern."),
    ] = None,
    paired: Annotated[
        str | None,
        typer.Option(
            metavar="INPUT",
            help="The same sections in another stain, with equal names; registered, or with "
            "--transform.",
            rich_help_panel=METHOD,
        ),
    ] = None,
    transform: Annotated[
        Path | None,
        typer.Option(
            metavar="JSON",
            help="What uhrt register found for INPUT and --paired, in either order; the moving one "
            "is cut in the fixed one's frame.",
            rich_help_panel=METHOD,
        ),
    ] = None,
    manifest: Annotated[
        Path | None,
        typer.Option(
            metavar="CSV",
            help="Table of pairs instead: moving, fixed, transform, as uhrt register writes it.",
            rich_help_panel=METHOD,
        ),
    ] = None,
    as_json: p.AsJson = False,
    quiet: p.Quiet = False,
    debug: p.Debug = False,
) -> None:
    """Cut slides into patches for training, named by position and listed in a table.

    Writes SLIDE_x<X>_y<Y>.png (level-0 pixels) and tiles.csv; with pairs into A/ and B/. With a
    transform, places that are blank, outside or badly aligned are dropped, and listed with the
    reason. Exit code 3: doubtful registrations of a table were left out.
    """
    with errors_as_sentences(debug):
        from uhrtranslate.tasks.tiles import MANIFEST, cut_tiles

        show = PairLines(as_json, quiet)
        pairs = find_pairs(source, paired, transform, manifest)
        if pairs is None:
            assert source is not None
            for name in ("ncc", "tissue_overlap", "doubtful"):
                if given.pop(name, None) is not None:
                    flag = f"--{name.replace('_', '-')}"
                    raise OptionError(f"{flag}: is about pairs with a transform; add --transform.")
            options = validated(TileOptions, given)
            results = cut_tiles(source, output, options, paired, show.slide)
            code = FAILED if any(result.error for result in results) else 0
        else:
            from uhrtranslate.tasks.pair_tiles import cut_pairs

            found = cut_pairs(pairs, output, validated(PairTileOptions, given), show.pair)
            code = exit_code(found)
        if not as_json and (output / MANIFEST).exists():
            print(output / MANIFEST)
    if code:
        raise typer.Exit(code)


def find_pairs(
    source: str | None, paired: str | None, transform: Path | None, manifest: Path | None
) -> "list[Pair] | None":
    """The pairs with transforms that the user named; None if it is about single slides."""
    from dataclasses import replace

    from uhrtranslate.io.files.remote import is_url
    from uhrtranslate.runs.pairs import pairs_by_name, read_pairs

    if manifest is not None:
        if source or paired or transform:
            raise OptionError("--manifest names all pairs; leave out INPUT and other slides.")
        return read_pairs(manifest)
    if source is None:
        raise OptionError("no input: name a slide or folder, or a table of pairs by --manifest.")
    if transform is None:
        return None
    if paired is None:
        raise OptionError(f"--transform {transform}: is between two slides; add --paired.")
    sources = [one if is_url(one) else Path(one) for one in (source, paired)]
    pairs = pairs_by_name(*sources)
    if len(pairs) > 1:
        raise OptionError(
            f"--transform {transform}: is of one pair, and {source} has {len(pairs)}; name each "
            "with its transform in a table (--manifest)."
        )
    return [replace(pairs[0], transform=transform)]


def exit_code(results: "list[PairTilesResult]") -> int:
    """1 if something failed, 3 if only pairs were left out, else 0."""
    if any(result.error for result in results):
        return FAILED
    return DOUBTFUL if any(result.left_out for result in results) else 0


class PairLines:
    """Results as lines: JSON on stdout, or words on stderr."""

    def __init__(self, as_json: bool, quiet: bool) -> None:
        self._as_json, self._quiet = as_json, quiet

    def slide(self, result: "TilesResult") -> None:
        """A slide by itself, or one whose partner lies on it."""
        self._tell(
            result, result.error,
            f"{result.input}: {result.patches} patches, {result.skipped} with less tissue",
        )  # fmt: skip

    def pair(self, result: "PairTilesResult") -> None:
        """A pair with a transform."""
        dropped = ", ".join(f"{count} {reason}" for reason, count in result.dropped.items())
        self._tell(
            result, result.error or result.left_out,
            f"{result.input}: {result.patches} pairs; dropped: {dropped or 'none'}",
        )  # fmt: skip

    def _tell(self, result: "TilesResult | PairTilesResult", wrong: str | None, line: str) -> None:
        if self._as_json:
            print_json(result)
        if wrong is not None:
            print_error(wrong)
        elif not self._quiet:
            print_line(line)
