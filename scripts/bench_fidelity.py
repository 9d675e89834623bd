#!/usr/bin/env python3
"""Which field of statistics gives the right picture? Translations whose right answer is known.

    python scripts/bench_fidelity.py --data images --cache fidelity --json fidelity.json

Small generators are trained for each task and seed (see fidelity_tasks.py and
fidelity_training.py), then translate pictures that they were not trained on, by every normalizer,
with cells of several sizes. Networks and figures are kept in the cache, so that a run that was
stopped goes on where it was; after a change of a field's code, remove figures.jsonl. Without
--data, only the photos that come with scikit-image are used. Figures: PSNR (dB) against the answer
on all pixels, on tissue and on what is plain; Spearman's rank correlation of the means of 32 px;
the colour distance (CIE76) of these means; seam ratios. Intervals (95%) are by bootstrap over seeds
and pictures together.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import cache, partial
from itertools import product
from pathlib import Path

import numpy as np
import torch
from bench import parser, save, table
from fidelity_candidates import CANDIDATES, by_candidate, pooled_moments
from fidelity_fields import Remembering, by_normalizer, untiled
from fidelity_tasks import TASKS, Judged, Picture, Task
from fidelity_training import Settings, draw, trained
from scipy.stats import spearmanr
from skimage.color import rgb2lab

from uhrtranslate.engine import measure_halo
from uhrtranslate.metrics.seams.measure import measure_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles
from uhrtranslate.normalizers import Normalizer
from uhrtranslate.options import TranslateOptions
from uhrtranslate.tables import NORMALIZERS

FIVE = "abcde"
CELLS = (128, 256, 512)
BLOCK = 32
# Fewer pixels than this share of a picture say little of it.
LEAST = 0.01
UNTILED = "untiled"
# What is compared with dense normalization, and how often pictures are drawn for an interval.
BASE, DRAWS = "dn", 2000
QUICK = Settings(ngf=4, blocks=1, patch=64, steps=2, unpaired_patch=64)
FIGURES = ("all", "tissue", "plain", "rank", "colour", "seam")
Rows = list[dict[str, object]]


def normalizers() -> dict[str, Normalizer]:
    """Every normalizer of the package, some of them in several ways."""
    ways: dict[str, list[dict[str, object]]] = {
        "kin": [{"kernel": 3}, {"kernel": 5}],
        "pooled": [{}, {"bandwidth": "1"}, {"bandwidth": "inf"}],
    }
    return {
        " ".join([name, *map(str, way.values())]): kind.chosen(TranslateOptions(norm=name, **way))
        for name, kind in NORMALIZERS.items()
        for way in ways.get(name, [{}])
    }


def psnr(result: Picture, answer: Picture, where: np.ndarray | None = None) -> float | None:
    """Decibels; None of too few pixels."""
    error = (result.astype(float) - answer) ** 2
    if where is not None:
        if where.mean() < LEAST:
            return None
        error = error[where]
    return float(10 * np.log10(255**2 / max(error.mean(), 1e-4)))


def block_means(pixels: Picture) -> np.ndarray:
    """Means of squares of 32 px, [rows, cols, 3]."""
    rows, cols = (side // BLOCK for side in pixels.shape[:2])
    cut = pixels[: rows * BLOCK, : cols * BLOCK].reshape(rows, BLOCK, cols, BLOCK, 3)
    return cut.mean(axis=(1, 3))


def seam(pixels: Picture, cell: int) -> float | None:
    """The seam ratio at the borders of cells; None without borders."""
    h, w = pixels.shape[:2]
    found = measure_seams(
        measure_profiles(lambda x, y, w, h: pixels[y : y + h, x : x + w], w, h), cell
    )
    return found.ratio if found.borders else None


def judge(translate: Callable[[], Picture], picture: Judged, cell: int) -> dict[str, float | None]:
    """All figures of a translation."""
    result = translate()
    answer, plain = picture.answer, picture.plain
    made, right = block_means(result), block_means(answer)
    rank = spearmanr(made.mean(axis=2).ravel(), right.mean(axis=2).ravel()).statistic
    away = np.linalg.norm(rgb2lab(made / 255) - rgb2lab(right / 255), axis=2)
    return {
        "all": psnr(result, answer),
        "tissue": psnr(result, answer, ~plain),
        "plain": psnr(result, answer, plain),
        "rank": float(rank),
        "colour": float(away.mean()),
        "seam": seam(result, cell),
    }


def corner(picture: Judged, side: int = 192) -> Judged:
    """A part of a picture, for quick trials."""
    parts = (part[:side, :side] for part in (picture.source, picture.answer, picture.plain))
    return Judged(picture.name, *parts)


def marked(picture: Judged) -> str:
    """What tells a picture and its answer from others, in the cache."""
    return hashlib.sha256(picture.source.tobytes() + picture.answer.tobytes()).hexdigest()[:8]


class Cache:
    """Figures that are known, one JSON object a line.

    Args:
        folder: which has the file; made if need be.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "figures.jsonl"
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        self._known = {entry["key"]: entry["figures"] for entry in map(json.loads, lines)}

    def get(self, key: str, compute: Callable[[], dict[str, float | None]]):
        """The figures of a key, computed if they are not known."""
        if key not in self._known:
            self._known[key] = compute()
            with self._path.open("a") as file:
                print(json.dumps({"key": key, "figures": self._known[key]}), file=file)
        return self._known[key]


def fields_of(names: list[str]) -> dict[str, tuple[str, Callable[..., Picture]]]:
    """By name: what identifies a field in the cache, and how it makes a picture."""
    ours, made = normalizers(), {}
    for name in names or [UNTILED, *ours]:
        if name == UNTILED:
            made[name] = (name, lambda runner, pixels, *_: untiled(runner, pixels))
        elif name in ours:

            def engine(runner, pixels, cell, halo, usual, one=ours[name]):
                return by_normalizer(runner, one, pixels, cell, halo)

            made[name] = (repr(ours[name]), engine)
        else:

            def tried(runner, pixels, cell, halo, usual, one=CANDIDATES[name]):
                return by_candidate(runner, one, pixels, cell, halo, usual)

            made[name] = (repr(CANDIDATES[name]), tried)
    return made


def usual_moments(task: Task, runner: Remembering, settings: Settings, seed: int):
    """The statistics of patches as they are trained on."""
    random = np.random.default_rng(seed)
    patches = [draw([task.sources], settings.patch, settings.tissue, random)[0] for _ in range(48)]
    return pooled_moments(runner, patches)


def measure(given, settings: Settings, cells: list[int]) -> Iterator[dict[str, object]]:
    """The figures of every task, seed, picture, size of cell and field."""
    known, fields = Cache(given.cache), fields_of(given.fields)
    for seed in given.seeds:
        for name in given.tasks:
            task = TASKS[name](given.data, seed)
            generator = trained(task.like or name, task, seed, settings, given.cache)
            runner = Remembering(generator)
            halo = measure_halo(runner)
            usual = cache(partial(usual_moments, task, runner, settings, seed))
            for picture in task.judged:
                shown = corner(picture) if given.quick else picture
                mark = marked(shown)
                runner.forget()
                for cell, field in product(cells, fields):
                    identity, translate = fields[field]
                    made = partial(translate, runner, shown.source, cell, halo, usual)
                    figures = known.get(
                        f"{generator.digest[:12]} {mark} {cell} {identity}",
                        partial(judge, made, shown, cell),
                    )
                    yield {
                        "task": name, "seed": seed, "picture": picture.name, "cell": cell,
                        "field": field, **figures,
                    }  # fmt: skip
            print(f"task {name}, seed {seed}: done", flush=True)


def grid_of(rows: Rows, field: str, figure: str) -> np.ndarray:
    """A figure by seed and picture, averaged over cells; NaN where there is none."""
    seeds = sorted({row["seed"] for row in rows})
    pictures = sorted({row["picture"] for row in rows})
    found = np.full((len(seeds), len(pictures)), np.nan)
    for i, seed in enumerate(seeds):
        for j, picture in enumerate(pictures):
            values = [
                row[figure] for row in rows
                if (row["seed"], row["picture"], row["field"]) == (seed, picture, field)
                and row[figure] is not None
            ]  # fmt: skip
            if values:
                found[i, j] = np.mean(values)
    return found


def interval(grids: list[np.ndarray], random: np.random.Generator) -> tuple[float, float, float]:
    """Mean over grids of their means, and its 95% interval: seeds and pictures drawn anew."""
    means = []
    for grid in grids:
        rows, cols = (random.integers(0, n, (DRAWS, n)) for n in grid.shape)
        drawn = grid[rows[:, :, None], cols[:, None, :]].reshape(DRAWS, -1)
        known = np.isfinite(drawn)
        totals = np.where(known, drawn, 0).sum(axis=1)
        means.append(np.divide(totals, known.sum(axis=1), out=totals * np.nan, where=known.any(1)))
    low, high = np.nanpercentile(np.mean(means, axis=0), [2.5, 97.5])
    return float(np.mean([np.nanmean(grid) for grid in grids])), float(low), float(high)


def summary(rows: Rows, base: str) -> dict[str, dict[str, dict[str, object]]]:
    """For each task, and for the mean of all: every field's figures, and what it gains on DN."""
    tasks = sorted({row["task"] for row in rows})
    fields = list(dict.fromkeys(row["field"] for row in rows))
    report: dict[str, dict[str, dict[str, object]]] = {}
    for label, members in [*((task, [task]) for task in tasks), ("mean", tasks)]:
        parts = [[row for row in rows if row["task"] == task] for task in members]
        report[label] = {}
        for field in fields:
            entry: dict[str, object] = {}
            for figure in FIGURES:
                grids = [grid_of(part, field, figure) for part in parts]
                grids = [grid for grid in grids if np.isfinite(grid).any()]
                if not grids:
                    continue
                entry[figure] = float(np.mean([np.nanmean(grid) for grid in grids]))
                if base in fields and figure in ("all", "tissue"):
                    gains = [
                        grid_of(part, field, figure) - grid_of(part, base, figure) for part in parts
                    ]
                    entry[f"{figure} gain"] = interval(gains, np.random.default_rng(0))
            report[label][field] = entry
    return report


def show(report: dict[str, dict[str, dict[str, object]]]) -> None:
    """Print the tables."""
    columns = [
        ("all", "all", "8.2f"), ("tissue", "tissue", "8.2f"), ("plain", "plain", "8.2f"),
        ("rank", "rank", "7.3f"), ("colour", "colour", "8.2f"), ("seam", "seam", "7.3f"),
        ("all - dn", "gained", ">24"), ("tissue - dn", "tissue gained", ">24"),
    ]  # fmt: skip
    for label, fields in report.items():
        print(f"\n{'mean of the tasks' if label == 'mean' else f'task {label}'}")
        shown = {}
        for field, entry in fields.items():
            row = dict(entry)
            for figure, key in (("all", "gained"), ("tissue", "tissue gained")):
                if f"{figure} gain" in entry:
                    gain, low, high = entry[f"{figure} gain"]
                    row[key] = f"{gain:+.2f} ({low:+.2f} to {high:+.2f})"
            shown[field] = row
        width = max(map(len, shown)) + 2
        table(shown, width, columns)


def main() -> None:
    options = parser(__doc__, seeds=([0, 1, 2]), cells=[*CELLS])
    options.add_argument("--data", type=Path, help="folder of sections, scans and a painting")
    options.add_argument("--cache", type=Path, default=Path("fidelity"), help="networks, figures")
    options.add_argument("--tasks", nargs="*", default=[*FIVE], choices=[*TASKS])
    options.add_argument(
        "--fields", nargs="*", default=[],
        help="untiled, normalizers as named in the tables, or of fidelity_candidates.py; "
        "all but the latter by default",
    )  # fmt: skip
    options.add_argument("--quick", action="store_true", help="tiny networks, to try this script")
    given = options.parse_args()
    torch.set_num_threads(1)
    if given.data is None:
        given.tasks = [name for name in given.tasks if name == "e"]
    settings, cells = (QUICK, [64]) if given.quick else (Settings(), given.cells)
    rows = list(measure(given, settings, cells))
    report = summary(rows, BASE)
    show(report)
    save(given.json, {"settings": asdict(settings), "summary": report, "rows": rows})


main()
