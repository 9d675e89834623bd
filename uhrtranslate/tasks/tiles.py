"""Cut slides into patches once, for trainings that read them many times over."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

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
from uhrtranslate.options import SourceMpp, SourcePower, refuse_both
from uhrtranslate.replace import replace_file
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.tables import RESULT_SUFFIXES
from uhrtranslate.tissue import detect_tissue
from uhrtranslate.training.data.patches import partners_by_name
from uhrtranslate.training.data.pictures import find_pictures, window_share

MANIFEST = "tiles.csv"
THUMBNAIL = 1024
COLUMNS = ("file", "source", "x0", "y0", "w0", "h0", "size", "mpp", "tissue")


class TileOptions(BaseModel):
    """How slides are cut.

    Attributes:
        size: side of the patches in px.
        overlap: of neighbouring patches, in px.
        level, mpp: resolution, see `io.open_view`.
        source_mpp, source_power: what the slides are stated to have, see `io.stated_by`.
        tissue: smallest share of tissue in a patch; 0 keeps all patches.
        allow_sparse: accept TIFFs that lack nearly all of their tiles.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: Annotated[int, Field(ge=16, le=8192)] = 512
    overlap: Annotated[int, Field(ge=0)] = 0
    level: Annotated[int | None, Field(ge=0)] = None
    mpp: Annotated[float | None, Field(gt=0)] = None
    source_mpp: SourceMpp = None
    source_power: SourcePower = None
    tissue: Annotated[float, Field(ge=0, le=1)] = 0.25
    allow_sparse: bool = False

    @model_validator(mode="after")
    def _fit_together(self) -> "TileOptions":
        if self.overlap >= self.size:
            raise ValueError(f"overlap {self.overlap} must be smaller than size {self.size}")
        refuse_both(self, "level", "mpp")
        refuse_both(self, "source_mpp", "source_power")
        return self


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
    last. For SLIDE see `patch_names`.

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
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise OutputError(f"{output}: exists already; choose another folder with -o.")
    pairs = _pairs(source, partner)
    results, rows = [], []
    names = patch_names([Path("/") / Found.at(path).path for path, _ in pairs])
    for (path, other), name in zip(pairs, names, strict=True):
        made: list[dict[str, str]] = []
        skipped, error = 0, None
        try:
            skipped = _cut(path, other, output, name, options, made)
        except OutputError:
            raise
        except Exception as failure:
            error = in_a_sentence(shown(path), failure)
            for row in made:
                (output / row["file"]).unlink()
            made = []
        rows += made
        kept = sum(row["file"].startswith("B/") is False for row in made)
        results.append(TilesResult(shown(path), str(output), kept, skipped, error))
        on_result(results[-1])
    if not rows and any(result.error for result in results):
        for folder in (output / "A", output / "B", output):
            with suppress(OSError):  # it was never made
                folder.rmdir()
        return results
    with output_errors(output):
        output.mkdir(parents=True, exist_ok=True)
        replace_file(output / MANIFEST, csv_text(COLUMNS, rows))
    return results


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


def patch_names(paths: Sequence[Path]) -> list[str]:
    """The names that the patches of each slide begin with, all different even if case is ignored.

    Usually the file's name without its ending. Slides that would share it are told apart by their
    folder (`left_s1`), else by their ending (`s1.png`), else by both, with as many folders as it
    takes (`left_s1.png`). If even those are equal, they are numbered: `left_s1.png_2`.

    Args:
        paths: of the slides, absolute; the names depend on nothing else.
    """
    parts = [
        (
            path.stem,
            f"{path.parent.name}_{path.stem}",
            *("_".join(path.parts[-n:]) for n in range(1, len(path.parts))),
        )
        for path in paths
    ]
    names = [choices[0] for choices in parts]
    for length in range(1, max((len(choices) for choices in parts), default=0)):
        times = Counter(name.casefold() for name in names)
        names = [
            choices[min(length, len(choices) - 1)] if times[name.casefold()] > 1 else name
            for name, choices in zip(names, parts, strict=True)
        ]
    taken: set[str] = set()
    for index, name in enumerate(names):
        number = 1
        while names[index].casefold() in taken:
            number += 1
            names[index] = f"{name}_{number}"
        taken.add(names[index].casefold())
    return names


def _cut(
    path: Source,
    partner: Source | None,
    output: Path,
    name: str,
    options: TileOptions,
    rows: list[dict[str, str]],
) -> int:
    """Write a slide's patches, add their rows to the manifest, and return how many were skipped.

    Raises:
        UhrError: a slide cannot be read, is smaller than a patch, or has no such level or mpp.
    """
    with ExitStack() as opened:
        sparse, stated = options.allow_sparse, stated_by(options)
        slide = opened.enter_context(open_slide(path, sparse=sparse, stated=stated))
        view = open_view(slide, options.level, options.mpp)
        if min(view.width, view.height) < options.size:
            raise InputError(
                f"{shown(path)}: has {view.width} x {view.height} px at this resolution, less than "
                f"a patch of {options.size} px; choose a smaller --size or a finer resolution."
            )
        places = list(_places(view, options))
        kept = [place for place in places if place.tissue >= options.tissue]
        sources = [("A/" if partner else "", path, view)]
        if partner is not None:
            other = opened.enter_context(open_slide(partner, sparse=sparse))
            sources.append(("B/", partner, same_size(open_view(other), view.width, view.height)))
        for place in kept:
            x0 = round(place.x * slide.info.width / view.width)
            y0 = round(place.y * slide.info.height / view.height)
            for folder, source, pixels in sources:
                file = f"{folder}{name}_x{x0}_y{y0}.png"
                patch = pixels.read(place.x, place.y, options.size, options.size)
                write_png(output / file, patch, compress_level=3)
                rows.append(_row(file, source, (x0, y0), view, place, options.size))
    return len(places) - len(kept)


def _places(view: SlideView, options: TileOptions) -> Iterator[_Place]:
    """The grid of whole patches; what is left at the image's ends is not cut."""
    step, size = options.size - options.overlap, options.size
    share = None
    if options.tissue > 0:
        mask = detect_tissue(slide_thumbnail(view.slide, THUMBNAIL))
        share = window_share(mask, size * mask.shape[1] / view.width)
    for y in range(0, view.height - size + 1, step):
        for x in range(0, view.width - size + 1, step):
            tissue = 1.0
            if share is not None:
                rows, columns = share.shape
                row = int((y + size / 2) * rows / view.height)
                column = int((x + size / 2) * columns / view.width)
                tissue = float(share[min(row, rows - 1), min(column, columns - 1)])
            yield _Place(x, y, tissue)


def _row(
    file: str, source: Source, corner: tuple[int, int], view: SlideView, place: _Place, size: int
) -> dict[str, str]:
    info = view.info
    w0 = round(size * info.width / view.width)
    h0 = round(size * info.height / view.height)
    mpp = "" if view.mpp is None else f"{view.mpp[0]:.6g}"
    values = (file, shown(source), *corner, w0, h0, size, mpp, f"{place.tissue:.3f}")
    return dict(zip(COLUMNS, map(str, values), strict=True))
