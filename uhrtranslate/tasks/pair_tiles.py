"""Cut pairs of slides that transforms lay on each other into aligned patches."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from uhrtranslate.errors import OutputError
from uhrtranslate.io import Pixels, shown, stated_by
from uhrtranslate.io.files.disk import csv_text, output_errors, write_png
from uhrtranslate.options import PairTileOptions
from uhrtranslate.recipes.aligned import Limits, open_aligned
from uhrtranslate.recipes.transform_file import read_transform
from uhrtranslate.replace import replace_file
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.runs.pairs import Pair
from uhrtranslate.tasks.tiles import COLUMNS, MANIFEST, check_new, check_size, corner, grid, sides

PAIR_COLUMNS = (*COLUMNS, "side", "pair", "split", "overlap", "ncc", "dropped")
# Rows of the manifest, by the place of a pair's grid.
Rows = list[dict[str, str]]


@dataclass(frozen=True)
class PairTilesResult:
    """The result of one pair; a line of `uhrt tiles --json`.

    Attributes:
        input: path of the slide that became A.
        paired: path of the slide that became B.
        folder: where its patches are.
        patches: how many pairs of patches were written.
        dropped: how many places were not, by reason.
        left_out: why the pair was not cut at all, in a sentence; None if it was.
        error: a sentence, if it failed; then none of its patches are there.
    """

    input: str
    paired: str
    folder: str
    patches: int
    dropped: dict[str, int]
    left_out: str | None = None
    error: str | None = None


def cut_pairs(
    pairs: Sequence[Pair],
    output: Path,
    options: PairTileOptions | None = None,
    on_result: Callable[[PairTilesResult], None] = lambda result: None,
    splits: Sequence[str] = (),
    state: Path | None = None,
) -> list[PairTilesResult]:
    """Cut pairs of slides into PNG patches of the same places; one that fails stops no others.

    The grid is that of the transform's fixed slide. Patches go to `A` (of the pair's moving slide)
    and `B` under equal names; places that are blank, outside of a slide or doubtful are dropped.
    `tiles.csv`, written last, lists all places with their scores, and why they were dropped.

    Args:
        pairs: each with a transform.
        output: the folder to make.
        options: how to cut.
        on_result: called with each result.
        splits: of each pair, the folder in the output that has its `A` and `B`; empty: none.
        state: folder in which unfinished work is kept, from which it goes on; the output may then
            have something in it.

    Raises:
        OutputError: the folder is not empty, or cannot be written.
    """
    options = options or PairTileOptions()
    if state is None:
        check_new(output)
    results: list[PairTilesResult] = []
    rows: Rows = []
    for number, pair in enumerate(pairs):
        split = splits[number] if splits else pair.split
        left_out, error = _left_out(pair, options), None
        journal = state and state / f"{pair.name}.jsonl"
        made = [] if left_out is not None else _done(journal)
        if left_out is None:
            try:
                _cut(pair, output, split, options, journal, made)
            except OutputError:
                raise
            except Exception as failure:
                error = in_a_sentence(shown(pair.moving), failure)
                _remove(output, made, journal)
                made = []
        rows += [row for place in made for row in place]
        counts = Counter(place[0]["dropped"] for place in made)
        results.append(
            PairTilesResult(
                shown(pair.moving), shown(pair.fixed), str(output), counts.pop("", 0),
                dict(sorted(counts.items())), left_out, error,
            )
        )  # fmt: skip
        on_result(results[-1])
    if rows:
        with output_errors(output):
            output.mkdir(parents=True, exist_ok=True)
            replace_file(output / MANIFEST, csv_text(PAIR_COLUMNS, rows))
    return results


def _left_out(pair: Pair, options: PairTileOptions) -> str | None:
    """Why a pair of a table is not cut; None if it is."""
    name = shown(pair.moving)
    if pair.verdict == "failed":
        return f"{name}: its registration failed, so it is left out."
    if pair.transform is None:
        return f"{name}: has no transform, so it is left out; uhrt register makes one."
    if pair.verdict == "doubtful" and not options.doubtful:
        return f"{name}: its registration is doubtful, so it is left out; --doubtful takes it."
    return None


def _cut(
    pair: Pair,
    output: Path,
    split: str,
    options: PairTileOptions,
    journal: Path | None,
    made: list[Rows],
) -> None:
    """Write a pair's patches, and add the rows of each place after those that are there already.

    Raises:
        UhrError: a slide or the transform cannot be read, or there is no such level or mpp.
    """
    assert pair.transform is not None
    transform = read_transform(pair.transform)
    limits = Limits(options.tissue, options.tissue_overlap, options.ncc)
    folder = f"{split}/" if split else ""
    with open_aligned(
        pair.moving, pair.fixed, transform, str(pair.transform), options.level, options.mpp,
        stated_by(options), options.allow_sparse,
    ) as aligned:  # fmt: skip
        view = aligned.frame_view
        check_size(shown(pair.fixed), view, options.size)
        for number, (x, y) in enumerate(grid(view, options)):
            if number < len(made):
                continue
            place = aligned.look(x, y, options.size)
            patches: tuple[Pixels, ...] = ()
            if not place.doubt(limits):
                place, patches = aligned.read(place, options.size)
            doubt = place.doubt(limits)
            x0, y0 = corner(view, x, y)
            here: Rows = []
            for side, path, tissue in zip("AB", aligned.paths, place.tissue, strict=True):
                file = f"{folder}{side}/{pair.name}_x{x0}_y{y0}.png"
                ncc = "" if place.ncc is None else f"{place.ncc:.4f}"
                values = (
                    "" if doubt else file, path, x0, y0, *sides(view, options.size),
                    f"{tissue:.4f}", side, pair.name, split, f"{place.overlap:.4f}", ncc, doubt,
                )  # fmt: skip
                here.append(dict(zip(PAIR_COLUMNS, map(str, values), strict=True)))
            if not doubt:
                for row, patch in zip(here, patches, strict=True):
                    write_png(output / row["file"], patch, compress_level=3)
            made.append(here)
            if journal is not None:
                _note(journal, here)


def _done(journal: Path | None) -> list[Rows]:
    """Rows of the places that were finished before; what was torn off in writing is dropped."""
    if journal is None or not journal.exists():
        return []
    lines = journal.read_bytes().split(b"\n")
    if lines[-1]:  # the run was killed in the middle of it
        with journal.open("r+b") as file:
            file.truncate(sum(len(line) + 1 for line in lines[:-1]))
    return [json.loads(line) for line in lines[:-1]]


def _note(journal: Path, rows: Rows) -> None:
    with output_errors(journal):
        journal.parent.mkdir(parents=True, exist_ok=True)
        with journal.open("ab") as file:
            file.write(json.dumps(rows).encode() + b"\n")


def _remove(output: Path, made: list[Rows], journal: Path | None) -> None:
    """Remove the patches of a pair that failed, and folders that are empty then."""
    files = [output / row["file"] for place in made for row in place if row["file"]]
    for file in files:
        file.unlink(missing_ok=True)
    if journal is not None:
        journal.unlink(missing_ok=True)
    made_for = {parent for file in files for parent in file.parents if parent != output}
    inside = [folder for folder in made_for if folder.is_relative_to(output)]
    for folder in (*sorted(inside, key=lambda folder: -len(folder.parts)), output):
        with suppress(OSError):  # others' patches are in it, or it was never made
            folder.rmdir()
