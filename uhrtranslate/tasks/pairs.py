"""From slides in two stains to a data set of aligned patches: register, check, split, cut."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uhrtranslate.errors import OutputError
from uhrtranslate.io import fingerprint, shown
from uhrtranslate.io.files.disk import csv_text, output_errors
from uhrtranslate.options import PairsOptions
from uhrtranslate.replace import remove_unreplaced, replace_file
from uhrtranslate.runs.pairs import COLUMNS, SPLITS, Pair, pair_row, read_rows
from uhrtranslate.runs.splits import split_pairs
from uhrtranslate.tasks.pair_tiles import PairTilesResult, cut_pairs
from uhrtranslate.tasks.register import OnStage, RegisterOptions
from uhrtranslate.tasks.register_many import (
    TABLE,
    PairRegistration,
    register_pairs,
    slide_mark,
)
from uhrtranslate.tasks.tiles import check_new
from uhrtranslate.version import __version__

RECORD = "dataset.json"
TRANSFORMS, PAGES = "transforms", "pages"
# What is known of unfinished work; removed when all of it is done.
STATE = ".uhrt-pairs"


@dataclass(frozen=True)
class Told:
    """Whom to tell what happens.

    Attributes:
        registered: called with each registration.
        cut: called with the patches of each pair.
        note: called with a sentence that may matter.
        stage: called with the stage that a registration is in.
    """

    registered: Callable[[PairRegistration], None] = lambda result: None
    cut: Callable[[PairTilesResult], None] = lambda result: None
    note: Callable[[str], None] = lambda sentence: None
    stage: OnStage = lambda stage: None


def make_pairs(
    pairs: Sequence[Pair],
    output: Path,
    options: PairsOptions | None = None,
    resume: bool = False,
    told: Told | None = None,
) -> list[PairTilesResult]:
    """Make a data set of pairs of patches in a folder.

    Pairs without a transform are registered (`transforms/`, with a page about each in `pages/`).
    All are split by slide into `train`, `validation` and `test`, so that no slide, and no group of
    a table, is in two of them. Those that are good are cut into `SPLIT/A` and `SPLIT/B`; others are
    left out, and told. `tiles.csv` lists all places, `pairs.csv` all pairs, and `dataset.json` how
    they were made. A run that was stopped goes on from where it was, to the same bytes.

    Args:
        pairs: of slides; see `read_pairs`.
        output: folder of the data set.
        options: for all pairs.
        resume: go on with what is in the folder.
        told: whom to tell what happens.

    Returns: what was cut of each pair, in their order.

    Raises:
        OptionError: a table puts into two splits what belongs together.
        OutputError: the folder has something else in it, was begun with other slides or options, or
            cannot be written.
    """
    options, told = options or PairsOptions(), told or Told()
    marks = _begin(pairs, output, options, resume)
    if not (output / STATE).exists():
        return [*_finished(output, told)]
    splits = split_pairs(pairs, marks, options.split, options.seed)
    errors: dict[str, str] = {}

    def registered(result: PairRegistration) -> None:
        if result.error is not None:
            errors[result.name] = result.error
        told.registered(result)

    registering = RegisterOptions(options.engine, options.mirror, options.rounds, options.seed)
    found = register_pairs(
        pairs, output / TRANSFORMS, registering, output / PAGES if options.pages else None,
        resume=True, on_result=registered, on_stage=told.stage,
    )  # fmt: skip
    results = [
        replace(result, error=result.error or errors.get(pair.name))
        for pair, result in zip(
            found, cut_pairs(found, output, options, told.cut, splits, output / STATE), strict=True
        )
    ]
    rows = []
    for pair, split, result in zip(found, splits, results, strict=True):
        row = pair_row(replace(pair, split=split), output)
        row["patches"] = str(result.patches)
        row["left_out"] = result.error or result.left_out or ""
        rows.append(row)
    with output_errors(output / TABLE):
        replace_file(output / TABLE, csv_text((*COLUMNS, "patches", "left_out"), rows))
    for split, share in zip(SPLITS, options.split, strict=True):
        count = sum(
            result.patches for result, own in zip(results, splits, strict=True) if own == split
        )
        if share > 0 and count == 0:
            told.note(f"{output}: has no patches for {split}; more slides are needed.")
    if not any(result.error for result in results):
        shutil.rmtree(output / STATE, ignore_errors=True)
    return results


def _begin(
    pairs: Sequence[Pair], output: Path, options: PairsOptions, resume: bool
) -> list[list[str]]:
    """Begin a data set, or find the one to go on with.

    Returns: of each pair, what identified its slides when it was begun.

    Raises:
        OutputError: see `make_pairs`.
    """
    path = output / RECORD
    now = [_marks(pair) for pair in pairs]
    record = {
        "format": "uhrt-pairs",
        "uhrt": __version__,
        "options": options.model_dump(mode="json"),
        "pairs": [
            {"name": pair.name, "moving": shown(pair.moving), "fixed": shown(pair.fixed),
             "group": pair.group, "split": pair.split, "made_of": marks}
            for pair, marks in zip(pairs, now, strict=True)
        ],
    }  # fmt: skip
    if not (resume and path.exists()):
        if path.exists():
            raise OutputError(
                f"{output}: has a data set already; use --resume to go on, or choose another "
                "folder with -o."
            )
        check_new(output)
        with output_errors(path):
            (output / STATE).mkdir(parents=True)
            replace_file(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        return [marks[:2] for marks in now]
    before = _record(path)
    if _plain(before) != _plain(record):
        raise OutputError(
            f"{output}: was begun with other slides, options or version of uhrt; use those, or "
            "choose another folder with -o."
        )
    with output_errors(output):
        remove_unreplaced(output)
    old = [list(one["made_of"]) for one in before["pairs"]]
    for pair, was, marks in zip(pairs, old, now, strict=True):
        used = pair.transform or output / TRANSFORMS / f"{pair.name}.json"
        if was != marks and used.exists():
            raise OutputError(
                f"{output}: the slides, points or transform of {pair.name} have changed since it "
                "was begun; choose another folder with -o."
            )
    return [marks[:2] for marks in old]


def _finished(output: Path, told: Told) -> Iterator[PairTilesResult]:
    """What a finished data set says of its pairs."""
    for _, row in read_rows(output / TABLE):
        left_out = row.get("left_out") or None
        count = int(row.get("patches") or 0)
        result = PairTilesResult(row["moving"], row["fixed"], str(output), count, {}, left_out)
        told.cut(result)
        yield result


def _record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for pair in record["pairs"]:
            pair["made_of"][:]
        return dict(record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path}: cannot be read; choose another folder with -o.") from error


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what identifies the content of files."""
    pairs = [{name: one[name] for name in one if name != "made_of"} for one in record["pairs"]]
    return record | {"pairs": pairs}


def _marks(pair: Pair) -> list[str]:
    """What identifies a pair's slides, transform and points; paths where they cannot be read."""
    marks = []
    for slide in (pair.moving, pair.fixed):
        try:
            marks.append(slide_mark(slide))
        except OSError:
            marks.append(shown(slide))
    for file in (pair.transform, pair.points):
        try:
            marks.append("" if file is None else fingerprint(file).quickhash)
        except OSError:
            marks.append(str(file))
    return marks
