"""Register many pairs of slides; what is done already is not done again."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uhrtranslate.errors import MissingExtraError, OptionError, OutputError
from uhrtranslate.io import Source, fingerprint, shown
from uhrtranslate.io.files.disk import csv_text, output_errors
from uhrtranslate.replace import replace_file
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.runs.pairs import COLUMNS, Pair, pair_row, read_rows
from uhrtranslate.tasks.register import OnStage, RegisterOptions, register
from uhrtranslate.version import __version__

Row = dict[str, str]

TABLE = "pairs.csv"
# What was measured, for people; and what a pair's result was made of, by which a run goes on.
FIGURES = ("reasons", "ncc_before", "ncc", "confirmed", "covered", "folds", "rtre", "robustness")
MADE_OF = "made_of"


@dataclass(frozen=True)
class PairRegistration:
    """The result of one pair; a line of `uhrt register --json` of several.

    Attributes:
        name: of the pair.
        moving, fixed: paths of the slides.
        output: the transform's path; None if there is none.
        verdict: `good`, `doubtful` or `failed`.
        reasons: for a verdict that is not good, in words.
        quality: what was measured; empty if it was done before.
        done: whether it was done before.
        error: a sentence, if the slides could not be registered at all.
    """

    name: str
    moving: str
    fixed: str
    output: str | None
    verdict: str
    reasons: str
    quality: Mapping[str, Any]
    done: bool = False
    error: str | None = None


def register_pairs(
    pairs: Sequence[Pair],
    output: Path,
    options: RegisterOptions,
    pages: Path | None = None,
    resume: bool = False,
    on_result: Callable[[PairRegistration], None] = lambda result: None,
    on_stage: OnStage = lambda stage: None,
) -> list[Pair]:
    """Register pairs; one that fails does not stop the others.

    Writes `NAME.json`, and `pairs.csv`, which names all pairs with their transforms and is complete
    after each pair. Pairs that have a transform keep it.

    Args:
        pairs: of any slides.
        output: folder of the transforms.
        options: for all; points and landmarks are those of the pairs.
        pages: folder of a page for people about each, if wanted.
        resume: go on with what the folder has: pairs whose slides and options are as before are
            not registered again.
        on_result: called with each result.
        on_stage: called with the stage that a pair is in.

    Returns: the pairs with what is known now; no transform where registration failed.

    Raises:
        OutputError: the folder has results already, or cannot be written.
    """
    table = output / TABLE
    if table.exists() and not (resume or options.overwrite):
        raise OutputError(
            f"{table}: exists already; use --resume to go on, --overwrite, or choose another "
            "folder with -o."
        )
    work = _Work(output, options, pages, _rows(table) if resume else {}, on_stage)
    found = []
    for number, pair in enumerate(pairs):
        result = None if pair.transform is not None else work.result(pair)
        if result is not None:
            transform = None if result.output is None else Path(result.output)
            pair = replace(pair, transform=transform, verdict=result.verdict)
        found.append(pair)
        work.note(pair, result)
        work.write(pairs[number + 1 :])
        if result is not None:
            on_result(result)
    return found


class _Work:
    """The table of a run, and how each pair gets its row."""

    def __init__(
        self,
        output: Path,
        options: RegisterOptions,
        pages: Path | None,
        before: dict[str, Row],
        on_stage: OnStage,
    ) -> None:
        self._output, self._options, self._pages = output, options, pages
        self._before, self._on_stage = before, on_stage
        self._rows: list[Row] = []
        self._made_of = ""

    def result(self, pair: Pair) -> PairRegistration:
        """Of a pair without a transform: what is known of it, or what is found now."""
        target = self._output / f"{pair.name}.json"
        page = None if self._pages is None else self._pages / f"{pair.name}.html"
        self._made_of = _made_of(pair, self._options)
        row = self._before.get(pair.name, {})
        verdict = row.get("verdict", "")
        files = [] if verdict == "failed" else [target]
        files += [page] if page is not None else []
        if row.get(MADE_OF) == self._made_of != "" and all(file.exists() for file in files):
            path = None if verdict == "failed" else str(target)
            names = shown(pair.moving), shown(pair.fixed)
            return PairRegistration(
                pair.name, *names, path, verdict, row.get("reasons", ""), {}, done=True
            )
        return _registered(pair, target, page, self._options, self._on_stage)

    def note(self, pair: Pair, result: PairRegistration | None) -> None:
        """Add a pair's row."""
        row = dict.fromkeys((*FIGURES, MADE_OF), "")
        if result is not None and result.done:
            row |= {name: self._before[pair.name].get(name, "") for name in row}
        elif result is not None:
            row |= {"reasons": result.error or result.reasons, **_figures(result.quality)}
            row[MADE_OF] = "" if result.error else self._made_of
        self._rows.append(pair_row(pair, self._output) | row)

    def write(self, left: Sequence[Pair]) -> None:
        """Write the table, with what is known of the pairs that are left."""
        known = [self._before[pair.name] for pair in left if pair.name in self._before]
        columns = (*COLUMNS, *FIGURES, MADE_OF)
        rows = [{name: row.get(name, "") for name in columns} for row in (*self._rows, *known)]
        with output_errors(self._output / TABLE):
            self._output.mkdir(parents=True, exist_ok=True)
            replace_file(self._output / TABLE, csv_text(columns, rows))


def _rows(table: Path) -> dict[str, Row]:
    """The rows of a table that an earlier run left, by name; none if there is no table."""
    if not table.exists():
        return {}
    return {row["name"]: row for _, row in read_rows(table) if row.get("name")}


def _registered(
    pair: Pair, target: Path, page: Path | None, options: RegisterOptions, on_stage: OnStage
) -> PairRegistration:
    names = shown(pair.moving), shown(pair.fixed)
    own = replace(
        options, points=pair.points, landmarks=pair.landmarks, report=page, overwrite=True
    )
    try:
        found = register(pair.moving, pair.fixed, target, own, on_stage)
    except (OutputError, OptionError, MissingExtraError):
        raise
    except Exception as failure:
        error = in_a_sentence(names[0], failure)
        return PairRegistration(pair.name, *names, None, "failed", "", {}, error=error)
    if found.output is None:  # of an earlier run, which found something
        target.unlink(missing_ok=True)
    reasons = "; ".join(found.reasons)
    return PairRegistration(pair.name, *names, found.output, found.verdict, reasons, found.quality)


def _figures(quality: Mapping[str, Any]) -> Row:
    places = {
        "ncc_before": ("before", "ncc"), "ncc": ("after", "ncc"),
        "confirmed": ("after", "confirmed"), "covered": ("covered",), "folds": ("folds",),
        "rtre": ("landmarks", "rtre_median"), "robustness": ("landmarks", "robustness"),
    }  # fmt: skip
    row = {}
    for name, keys in places.items():
        value: Any = quality
        for key in keys:
            value = value.get(key) if isinstance(value, Mapping) else None
        row[name] = "" if value is None else str(value)
    return row


def _made_of(pair: Pair, options: RegisterOptions) -> str:
    """What a result depends on, as a hash; empty if a file cannot be read."""
    files = [pair.points, *(pair.landmarks or ())]
    try:
        marks = [slide_mark(one) for one in (pair.moving, pair.fixed)]
        marks += ["" if file is None else fingerprint(file).quickhash for file in files]
    except OSError:
        return ""
    chosen = (options.engine, options.mirror, options.rounds, options.seed)
    return hashlib.sha256(json.dumps([marks, chosen, __version__]).encode()).hexdigest()[:16]


def slide_mark(slide: Source) -> str:
    """What identifies a slide's content; of a URL, the URL.

    Raises:
        OSError: it cannot be read.
    """
    return fingerprint(slide).quickhash if isinstance(slide, Path) else shown(slide)
