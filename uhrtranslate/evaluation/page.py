"""The files of a report: `index.html` for people, JSON and CSV for programs."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uhrtranslate.errors import OutputError
from uhrtranslate.evaluation.pictures import backdrop, border_crops, scenes
from uhrtranslate.evaluation.result import Evaluation, heat_record, record
from uhrtranslate.evaluation.verdict import seams_in_words
from uhrtranslate.io.files.disk import csv_text, output_errors
from uhrtranslate.io.files.remote import is_url
from uhrtranslate.replace import replace_file
from uhrtranslate.report import Candidate, Page, Scene, render
from uhrtranslate.report.measures import flatten
from uhrtranslate.tables import FIGURES
from uhrtranslate.version import __version__

PAGE = "index.html"
STEM = "evaluation"
TOGETHER = "all together"
# Most images shown with pictures (of others, only figures are), and most groups of one source.
MOST_SHOWN = 12
MOST_GROUPS = 6
# Images that the command for looking at them names; the page of `uhrt view` has six panes.
MOST_PANES = 5


def write_report(
    evaluations: Sequence[Evaluation],
    folder: Path,
    overwrite: bool = False,
    together: Evaluation | None = None,
) -> Path:
    """Write `index.html`, `evaluation.json` and `evaluation.csv` about any number of images.

    Args:
        evaluations: at least one.
        folder: of the files; made if it does not exist.
        overwrite: replace existing files.
        together: figures of all images together.

    Returns:
        The page.

    Raises:
        OutputError: a file exists already or cannot be written.
        InputError: an image has changed or disappeared since it was evaluated.
    """
    check_free(folder, STEM, overwrite)
    names = short_names([evaluation.input for evaluation in evaluations])
    named = list(zip(names, evaluations, strict=True))
    shown = {name for name, _ in _worst_first(named)[:MOST_SHOWN]}
    page = Page(
        title="How good a translation is" if len(named) > 1 else f"How good {names[0]} is",
        lead=seams_in_words({name: seam_of(one) for name, one in named}),
        candidates=(
            *(candidate(name, one, shown=name in shown) for name, one in named),
            *([candidate(TOGETHER, together, shown=False, yardstick=True)] if together else []),
        ),
        scenes=_all_scenes([pair for pair in named if pair[0] in shown]),
        settings=_settings(evaluations, len(shown), folder),
        files=(f"{STEM}.json", f"{STEM}.csv"),
    )
    records = [{"name": name} | record(evaluation) for name, evaluation in named]
    heats = [{"heat": heat_record(evaluation)} for _, evaluation in named]
    images = [one | heat for one, heat in zip(records, heats, strict=True)]
    content: dict[str, Any] = {"uhrt": __version__, "images": images}
    if together:
        content["together"] = record(together)
    return write_files(page, content, records, folder, STEM)


def candidate(
    name: str, evaluation: Evaluation, shown: bool = True, yardstick: bool = False
) -> Candidate:
    """What a page says about an evaluation.

    Args:
        name: on the page.
        evaluation: its figures and worst borders.
        shown: whether with pictures, which are read from the image.
        yardstick: see `Candidate`.
    """
    if not shown:
        return Candidate(
            name, evaluation.metrics, warnings=evaluation.warnings, yardstick=yardstick
        )
    seam = evaluation.metrics.get("seam", {})
    period = seam.get("period") or seam.get("grid")
    period = period if isinstance(period, int) else 1
    return Candidate(
        name,
        evaluation.metrics,
        border_crops(evaluation),
        evaluation.heat,
        period,
        ((seam.get("x") or period) - period, (seam.get("y") or period) - period),
        backdrop=backdrop(evaluation),
        size=(evaluation.width, evaluation.height),
        warnings=evaluation.warnings,
        yardstick=yardstick,
    )


def short_names(paths: Sequence[str]) -> list[str]:
    """File names; if some are equal, with the folders in which they differ."""
    names = [Path(path).name for path in paths]
    if len(set(names)) == len(names):
        return names
    whole = [str(Path(path).absolute()) for path in paths]
    common = os.path.commonpath([str(Path(path).parent) for path in whole])
    names = [str(Path(path).relative_to(common)) for path in whole]
    # The same image twice.
    return [name if names.index(name) == i else f"{name} #{i + 1}" for i, name in enumerate(names)]


def seam_of(evaluation: Evaluation) -> Mapping[str, Any]:
    """The figures of seams; empty without any."""
    return evaluation.metrics.get("seam", {})


def check_free(folder: Path, stem: str, overwrite: bool) -> None:
    """Check before the work that its results can be written.

    Raises:
        OutputError: one of them exists already, or the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: is a file; choose another folder with -o.")
    for name in (PAGE, f"{stem}.json", f"{stem}.csv"):
        if (folder / name).exists() and not overwrite:
            raise OutputError(
                f"{folder / name}: exists already; use --overwrite or choose another folder "
                "with -o."
            )


def write_files(
    page: Page, content: Mapping[str, Any], records: Sequence[Mapping[str, Any]], folder: Path,
    stem: str,
) -> Path:  # fmt: skip
    """Write page, JSON and CSV; each is complete at any moment.

    Args:
        page: for `index.html`.
        content: of the JSON.
        records: rows of the CSV; their `metrics` become columns, such as `seam.ratio`.
        folder: of the files.
        stem: of the names of JSON and CSV.

    Raises:
        OutputError: they cannot be written.
    """
    files = {
        f"{stem}.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n",
        f"{stem}.csv": _csv(records),
        PAGE: render(page, {name: figure.group for name, figure in FIGURES.items()}),
    }
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        with output_errors(folder / name):
            replace_file(folder / name, text)
    return folder / PAGE


def view_command(places: Sequence[str | Path | None]) -> str:
    """The command that shows images of a report at full resolution."""
    return shlex.join(["uhrt", "view", *(str(place) for place in places if place)])


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    left_out = ("metrics", "borders", "warnings")
    rows = [
        {name: value for name, value in record.items() if name not in left_out}
        | flatten(record["metrics"])
        for record in records
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return csv_text(columns, rows)


def _worst_first(named: Sequence[tuple[str, Evaluation]]) -> list[tuple[str, Evaluation]]:
    """By what seams there are over the source's, the largest first."""

    def seams(pair: tuple[str, Evaluation]) -> float:
        seam = seam_of(pair[1])
        return float(seam.get("excess") or seam.get("ratio") or 0.0)

    return sorted(named, key=seams, reverse=True)


def _all_scenes(named: Sequence[tuple[str, Evaluation]]) -> tuple[Scene, ...]:
    """Scenes of the images; those of one source and size share scenes."""
    groups: dict[tuple[Any, ...], list[tuple[str, Evaluation]]] = {}
    for name, one in named:
        key = (one.source or name, one.width, one.height)
        groups.setdefault(key, []).append((name, one))
    if len(groups) == 1:
        return scenes(named)
    found = []
    for group in list(groups.values())[:MOST_GROUPS]:
        title = group[0][0] if len(group) == 1 else Path(str(group[0][1].source)).name
        for scene in scenes(group, places=1):
            found.append(Scene(f"{title}: {scene.name}", scene.note, scene.scale, scene.pictures))
    return tuple(found)


def _settings(evaluations: Sequence[Evaluation], shown: int, folder: Path) -> dict[str, str]:
    settings = {"uhrt": __version__, "images": f"{len(evaluations):,}"}
    if shown < len(evaluations):
        settings["shown"] = f"the {shown} with the highest seam ratio; the table has all"
    for name in ("source", "reference"):
        paths = {getattr(one, name) for one in evaluations if getattr(one, name)}
        if paths:
            settings[name] = paths.pop() if len(paths) == 1 else f"{len(paths)} images"
    mpps = {one.mpp for one in evaluations if one.mpp}
    if len(mpps) == 1:
        settings["mpp"] = f"{mpps.pop():.4g} µm"
    first = evaluations[0]
    if not any(is_url(one) for one in (first.input, first.source or "")):
        places = [first.source, *(one.input for one in evaluations[:MOST_PANES])]
        settings["all of it in a browser"] = view_command([*places, folder / f"{STEM}.json"])
    settings["time"] = f"{sum(one.seconds for one in evaluations):.1f} s"
    return settings
