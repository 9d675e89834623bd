"""Cut slides into patches once, for trainings that read them many times over."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uhrtranslate.cluster.execute import carried_out
from uhrtranslate.errors import InputError, OutputError
from uhrtranslate.io import (
    Found,
    SlideView,
    Source,
    find_sources,
    open_slide,
    open_view,
    same_size,
    shown,
    slide_thumbnail,
    stated_by,
)
from uhrtranslate.io.files.disk import csv_text, output_errors, write_png
from uhrtranslate.io.files.remote import is_url
from uhrtranslate.options import TileOptions
from uhrtranslate.replace import replace_file
from uhrtranslate.runs.events import Advanced, OnEvent
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.runs.outputs import unique_names
from uhrtranslate.tables import RESULT_SUFFIXES
from uhrtranslate.tissue import detect_tissue
from uhrtranslate.training.data.pictures import find_pictures, partners_by_name, window_share

MANIFEST = "tiles.csv"
THUMBNAIL = 1024
COLUMNS = ("file", "source", "x0", "y0", "w0", "h0", "size", "mpp", "tissue")


@dataclass(frozen=True)
class TilesResult:
    """The result of one slide; a line of `uhrt tiles --json`.

    Attributes:
        input: path of the slide.
        folder: where its patches are.
        patches: how many were written.
        skipped: how many had too little tissue.
        error: a sentence, if it failed; then none of its patches are there.
    """

    input: str
    folder: str
    patches: int
    skipped: int
    error: str | None = None


@dataclass(frozen=True)
class _Place:
    x: int
    y: int
    tissue: float


def cut_tiles(
    source: Source,
    output: str | Path,
    options: TileOptions | None = None,
    partner: Source | None = None,
    on_result: Callable[[TilesResult], None] = lambda result: None,
) -> list[TilesResult]:
    """Cut slides into PNG patches on a grid; one that fails does not stop the others.

    All are written to the output folder as `SLIDE_x<X>_y<Y>.png`, where X and Y are level-0 px of
    the first pixel; with a partner to `A` and `B` in it, with equal names. `tiles.csv` is written
    last. For SLIDE see `unique_names`.

    Args:
        source: a slide or its URL, or a folder or pattern of slides.
        output: the folder to make.
        options: how to cut.
        partner: the same sections in another stain, registered, with equal names; scaled to the
            size of the first. Tissue is detected in the first only.
        on_result: called with each result.

    Returns: the result of each slide, in the order of their paths.

    Raises:
        InputError: there are no slides, or one has no partner.
        OutputError: the folder is not empty, or cannot be written.
    """
    options = options or TileOptions()
    output = Path(output)
    check_new(output)
    pairs = _pairs(source, partner)
    results: list[TilesResult] = []
    rows: list[dict[str, str]] = []
    names = unique_names([Path("/") / Found.at(path).path for path, _ in pairs])
    orders = [
        CutOrder(path, other, output, name, options)
        for (path, other), name in zip(pairs, names, strict=True)
    ]
    done: dict[int, tuple[list[dict[str, str]], TilesResult]] = {}
    for number, answer in _answers(orders, options):
        if isinstance(answer, OutputError):
            raise answer
        order, error = orders[number], None
        made, skipped = ([], 0) if isinstance(answer, Exception) else answer
        if isinstance(answer, Exception):
            source = shown(order.path)
            error = in_a_sentence(source, answer)
            error = error if Path(source).name in error else f"{source}: {error}"
            order.undo()
        kept = sum(row["file"].startswith("B/") is False for row in made)
        done[number] = made, TilesResult(shown(order.path), str(output), kept, skipped, error)
        on_result(done[number][1])
    for number in range(len(orders)):
        rows += done[number][0]
        results.append(done[number][1])
    if not rows and any(result.error for result in results):
        for folder in (output / "A", output / "B", output):
            with suppress(OSError):  # it was never made
                folder.rmdir()
        return results
    with output_errors(output):
        output.mkdir(parents=True, exist_ok=True)
        replace_file(output / MANIFEST, csv_text(COLUMNS, rows))
    return results


@dataclass(frozen=True)
class CutOrder:
    """A slide is to be cut, here or by a worker of a cluster."""

    path: Source
    partner: Source | None
    output: Path
    name: str
    options: TileOptions

    def repeated(self) -> "CutOrder":
        """See `cluster.orders.Order`; patches that are there are written again."""
        return self

    def carry_out(self, tell: OnEvent) -> tuple[list[dict[str, str]], int]:
        """Rows of the patches, and how many were skipped.

        Raises:
            UhrError: see `cut_tiles`.
        """
        rows: list[dict[str, str]] = []
        skipped = _cut(
            self.path, self.partner, self.output, self.name, self.options, rows,
            lambda: tell(Advanced(str(self.path), 0)),
        )  # fmt: skip
        return rows, skipped

    def undo(self) -> None:
        """Remove the patches that were written."""
        name = re.compile(rf"{re.escape(self.name)}_x-?\d+_y-?\d+\.png")
        for folder in ("A", "B") if self.partner else ("",):
            for path in list((self.output / folder).glob("*.png")):
                if name.fullmatch(path.name):
                    path.unlink()


def _answers(orders: Sequence[CutOrder], options: TileOptions) -> Iterator[tuple[int, Any]]:
    """Number and answer of each order as it is carried out, or its error."""
    if options.cluster is not None:
        yield from carried_out(options.cluster, options.without_tls, orders)
        return
    for number, order in enumerate(orders):
        try:
            yield number, order.carry_out(lambda event: None)
        except Exception as error:
            yield number, error


def _pairs(source: Source, partner: Source | None) -> list[tuple[Source, Source | None]]:
    """The slides, each with its partner in the other stain if one is asked for.

    Raises:
        InputError: there are none, or one has no partner.
    """
    if is_url(source) or is_url(partner):
        found, others = (
            [] if place is None else find_sources(place, RESULT_SUFFIXES)
            for place in (source, partner)
        )
        if len(found) > 1 or len(others) > 1:
            raise InputError(
                f"{shown(source)}: a URL is one slide, and --paired {shown(partner or '')} "
                "is to be one, too; name single slides, or download the others."
            )
        return [(found[0], others[0] if others else None)]
    paths = find_pictures(Path(source))
    if partner is None:
        return [(path, None) for path in paths]
    return [*partners_by_name(paths, find_pictures(Path(partner)))]


def _cut(
    path: Source,
    partner: Source | None,
    output: Path,
    name: str,
    options: TileOptions,
    rows: list[dict[str, str]],
    on_patch: Callable[[], None],
) -> int:
    """Write a slide's patches, add their rows to the manifest, and return how many were skipped.

    Raises:
        UhrError: a slide cannot be read, is smaller than a patch, or has no such level or mpp.
    """
    with ExitStack() as opened:
        sparse, stated = options.allow_sparse, stated_by(options)
        slide = opened.enter_context(open_slide(path, sparse=sparse, stated=stated))
        view = open_view(slide, options.level, options.mpp)
        check_size(shown(path), view, options.size)
        places = list(_places(view, options))
        kept = [place for place in places if place.tissue >= options.tissue]
        sources = [("A/" if partner else "", path, view)]
        if partner is not None:
            other = opened.enter_context(open_slide(partner, sparse=sparse))
            sources.append(("B/", partner, same_size(open_view(other), view.width, view.height)))
        for place in kept:
            on_patch()
            x0, y0 = corner(view, place.x, place.y)
            for folder, source, pixels in sources:
                file = f"{folder}{name}_x{x0}_y{y0}.png"
                patch = pixels.read(place.x, place.y, options.size, options.size)
                write_png(output / file, patch, compress_level=3)
                rows.append(_row(file, source, (x0, y0), view, place, options.size))
    return len(places) - len(kept)


def _places(view: SlideView, options: TileOptions) -> Iterator[_Place]:
    """The grid of whole patches, each with its tissue."""
    share = None
    if options.tissue > 0:
        mask = detect_tissue(slide_thumbnail(view.slide, THUMBNAIL))
        share = window_share(mask, options.size * mask.shape[1] / view.width)
    for x, y in grid(view, options):
        tissue = 1.0
        if share is not None:
            rows, columns = share.shape
            row = int((y + options.size / 2) * rows / view.height)
            column = int((x + options.size / 2) * columns / view.width)
            tissue = float(share[min(row, rows - 1), min(column, columns - 1)])
        yield _Place(x, y, tissue)


def grid(view: SlideView, options: TileOptions) -> Iterator[tuple[int, int]]:
    """First pixels of whole patches, row by row; what is left at the view's ends is not cut."""
    step, size = options.size - options.overlap, options.size
    for y in range(0, view.height - size + 1, step):
        for x in range(0, view.width - size + 1, step):
            yield x, y


def check_size(name: str, view: SlideView, size: int) -> None:
    """Check that a patch fits into a view.

    Raises:
        InputError: it does not.
    """
    if min(view.width, view.height) < size:
        raise InputError(
            f"{name}: has {view.width} x {view.height} px at this resolution, less than "
            f"a patch of {size} px; choose a smaller --size or a finer resolution."
        )


def check_new(output: Path) -> None:
    """Check that a folder has nothing in it.

    Raises:
        OutputError: it has, or is a file.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(f"{output}: exists already; choose another folder with -o.")


def _row(
    file: str, source: Source, corner: tuple[int, int], view: SlideView, place: _Place, size: int
) -> dict[str, str]:
    values = (file, shown(source), *corner, *sides(view, size), f"{place.tissue:.3f}")
    return dict(zip(COLUMNS, map(str, values), strict=True))


def sides(view: SlideView, size: int) -> tuple[int, int, int, str]:
    """Of a patch: width and height in level-0 px, side in px, and mpp as text."""
    w0, h0 = (
        round(size * whole / part)
        for whole, part in ((view.info.width, view.width), (view.info.height, view.height))
    )
    return w0, h0, size, "" if view.mpp is None else f"{view.mpp[0]:.6g}"


def corner(view: SlideView, x: int, y: int) -> tuple[int, int]:
    """A pixel of a view in level-0 px."""
    return round(x * view.info.width / view.width), round(y * view.info.height / view.height)
