"""Cut pairs of slides that transforms lay on each other into aligned patches."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uhrtranslate.cluster.execute import carried_out
from uhrtranslate.errors import OutputError
from uhrtranslate.io import Pixels, shown, stated_by
from uhrtranslate.io.files.disk import csv_text, output_errors, write_png
from uhrtranslate.options import PairTileOptions
from uhrtranslate.recipes.aligned import Limits, open_aligned
from uhrtranslate.recipes.transform_file import read_transform
from uhrtranslate.replace import replace_file
from uhrtranslate.runs.events import Advanced, OnEvent
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
    whether = [_left_out(pair, options) for pair in pairs]
    orders = {
        number: PairOrder(
            pair, output, splits[number] if splits else pair.split, options,
            state and state / f"{pair.name}.jsonl",
        )
        for number, pair in enumerate(pairs)
        if whether[number] is None
    }  # fmt: skip
    results: dict[int, PairTilesResult] = {}
    rows: dict[int, list[Rows]] = {}
    for number, answer in _answers(orders, options, len(pairs)):
        pair, error = pairs[number], None
        if isinstance(answer, OutputError):
            raise answer
        if isinstance(answer, Exception):
            error = in_a_sentence(shown(pair.moving), answer)
            orders[number].undo()
            answer = []
        rows[number] = answer
        counts = Counter(place[0]["dropped"] for place in answer)
        results[number] = PairTilesResult(
            shown(pair.moving), shown(pair.fixed), str(output), counts.pop("", 0),
            dict(sorted(counts.items())), whether[number], error,
        )  # fmt: skip
        on_result(results[number])
    listed = [row for number in sorted(rows) for place in rows[number] for row in place]
    if listed:
        with output_errors(output):
            output.mkdir(parents=True, exist_ok=True)
            replace_file(output / MANIFEST, csv_text(PAIR_COLUMNS, listed))
    return [results[number] for number in range(len(pairs))]


@dataclass(frozen=True)
class PairOrder:
    """A pair is to be cut, here or by a worker of a cluster."""

    pair: Pair
    output: Path
    split: str
    options: PairTileOptions
    journal: Path | None = None

    def repeated(self) -> "PairOrder":
        """See `cluster.orders.Order`; patches that are there are written again."""
        return self

    def carry_out(self, tell: OnEvent) -> list[Rows]:
        """Rows of each place of the grid.

        Raises:
            UhrError: see `_cut`.
        """
        made = _done(self.journal)
        told = Advanced(shown(self.pair.moving), 0)
        _cut(
            self.pair, self.output, self.split, self.options, self.journal, made,
            lambda: tell(told),
        )  # fmt: skip
        return made

    def undo(self) -> None:
        """Remove the patches that were written, and folders that are empty then."""
        name = re.compile(rf"{re.escape(self.pair.name)}_x-?\d+_y-?\d+\.png")
        folder = self.output / self.split if self.split else self.output
        for side in "AB":
            for path in list((folder / side).glob("*.png")):
                if name.fullmatch(path.name):
                    path.unlink()
        if self.journal is not None:
            self.journal.unlink(missing_ok=True)
        for empty in dict.fromkeys((folder / "A", folder / "B", folder, self.output)):
            with suppress(OSError):  # others' patches are in it, or it was never made
                empty.rmdir()


def _answers(
    orders: dict[int, PairOrder], options: PairTileOptions, pairs: int
) -> Iterator[tuple[int, Any]]:
    """Number and answer of each pair as it is cut, or its error; nothing if it is left out."""
    if options.cluster is None:
        for number in range(pairs):
            try:
                order = orders.get(number)
                yield number, order.carry_out(lambda event: None) if order else []
            except Exception as error:
                yield number, error
        return
    yield from ((number, []) for number in range(pairs) if number not in orders)
    if orders:
        numbers = list(orders)
        cut = carried_out(options.cluster, options.without_tls, list(orders.values()))
        yield from ((numbers[place], answer) for place, answer in cut)


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
    on_place: Callable[[], None],
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
            on_place()
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
