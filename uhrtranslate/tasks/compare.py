"""One image translated with several normalizers, measured and shown side by side."""

import dataclasses
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uhrtranslate.engine import memory_needed
from uhrtranslate.errors import OptionError, UhrError
from uhrtranslate.evaluation.images import read8
from uhrtranslate.evaluation.options import SMALLEST_GRID, EvaluateOptions
from uhrtranslate.evaluation.page import (
    candidate,
    check_free,
    seam_of,
    view_command,
    write_files,
)
from uhrtranslate.evaluation.pictures import scenes
from uhrtranslate.evaluation.result import Evaluation, heat_record, record
from uhrtranslate.evaluation.verdict import seams_in_words
from uhrtranslate.io import (
    Found,
    OutputSpec,
    SlideView,
    Source,
    open_slide,
    open_view,
    open_writer,
    shown,
    stated_by,
)
from uhrtranslate.io.files.memory import available_memory
from uhrtranslate.models import Generator
from uhrtranslate.options import TranslateOptions, make_options, validated
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.report import Candidate, Page
from uhrtranslate.runs.events import ImageResult, OnEvent
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.runs.one_image import process_file
from uhrtranslate.runs.peak import Peak, peak_memory
from uhrtranslate.tasks.evaluate import evaluate
from uhrtranslate.version import __version__

_log = logging.getLogger(__name__)

STEM = "compare"
UNTILED = "untiled"
# The colours of the others are compared with this one's, if it comes before them and succeeds.
BASELINE = "in"


@dataclass(frozen=True)
class Contestant:
    """One way to translate.

    Attributes:
        name: unique; also the stem of its output's name.
        options: of the translation.
        yardstick: the others are measured against it; it does not compete.
    """

    name: str
    options: TranslateOptions
    yardstick: bool = False


@dataclass(frozen=True)
class Compared:
    """What became of one contestant; a line of `uhrt compare --json`.

    Attributes:
        name: of the contestant.
        status: done, or failed.
        error: a sentence, if it failed.
        output: path of the translation, if there is one.
        metrics: by group and name; the group `run` has seconds and memory.
        borders: the worst ones.
        warnings: from the evaluation.
    """

    name: str
    status: str
    error: str | None = None
    output: str | None = None
    metrics: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    borders: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    warnings: list[str] = dataclasses.field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """What was compared, and where the page is."""

    page: str
    compared: tuple[Compared, ...]


def compare(
    slide: Source,
    folder: Path,
    norms: Sequence[str],
    options: TranslateOptions,
    untiled: bool = False,
    generator: Generator | None = None,
    on_event: OnEvent = lambda event: None,
) -> Comparison:
    """Translate an image in several ways, and write a page that compares the results.

    Writes `index.html`, `compare.json`, `compare.csv`, `source.tif` (what was translated) and one
    translation per contestant, such as `dn.tif`. A contestant that fails does not stop the others.

    Args:
        slide: the image to translate, or its URL.
        folder: for everything that is written.
        norms: normalizers, each with its own geometry if needed: `dn`, `dn:reflect`.
        options: shared by all, including region and resolution.
        untiled: add a yardstick: the statistics of the whole region from a single forward, so
            that nothing is tiled.
        generator: a loaded one, used instead of the option `model`.
        on_event: called with starts, progress and each translation, including failures.

    Raises:
        OptionError: options or norms do not fit each other, or the slide.
        InputError: the slide cannot be read.
        CheckpointError: the generator cannot be loaded.
        OutputError: an output exists already or cannot be written.
    """
    # Everything that is timed and shown must be made in this run.
    afresh = {"resume": False, "skip_existing": False}
    options = options.model_copy(update={"keep_associated": False, "preview": False, **afresh})
    ways = contestants(norms, options)
    check_free(folder, STEM, options.overwrite)
    pool = GeneratorPool(options, generator)
    translator = Translator(ways[0].options, pool)
    source = folder / "source.tif"
    with open_slide(slide, sparse=options.allow_sparse, stated=stated_by(options)) as opened:
        view = open_view(opened, options.level, options.mpp, options.region)
        write_source(view, source, options)
        size = view.width, view.height
    if untiled:
        ways = [*ways, yardstick(options, pool.generator.info.stride, size)]
    runs: list[_Run] = []
    for one in ways:
        outputs = [run.compared.output for run in runs if run.name == BASELINE]
        baseline = next(filter(None, outputs), None)
        runs.append(
            _run(one, slide, source, folder, baseline, pool, translator.cell, size, on_event)
        )
    named = [(run.name, run.evaluation) for run in runs if run.evaluation is not None]
    settings = _settings(slide, folder, options, translator, size, view.mpp)
    page = Page(
        title=f"{Found.at(slide).path.name}: {', '.join(one.name for one in ways)}",
        lead=_lead(named),
        candidates=tuple(run.candidate for run in runs),
        scenes=scenes(named) if named else (),
        settings=settings,
        files=(f"{STEM}.json", f"{STEM}.csv"),
    )
    records = [dataclasses.asdict(run.compared) for run in runs]
    content = {"uhrt": __version__, "slide": shown(slide), "settings": settings}
    heats = [{"heat": run.evaluation and heat_record(run.evaluation)} for run in runs]
    seen = [one | heat for one, heat in zip(records, heats, strict=True)]
    path = write_files(page, content | {"candidates": seen}, records, folder, STEM)
    return Comparison(str(path), tuple(run.compared for run in runs))


def contestants(norms: Sequence[str], options: TranslateOptions) -> list[Contestant]:
    """Turn names of normalizers into contestants.

    Raises:
        OptionError: a name is unknown or given twice, or there is none.
    """
    found: list[Contestant] = []
    for text in norms:
        norm, _, pad = text.strip().partition(":")
        values = options.model_dump() | {"norm": norm} | ({"pad": pad} if pad else {})
        name = f"{norm}-{pad}" if pad else norm
        if any(other.name == name for other in found):
            raise OptionError(f"--norms: {text} is there twice.")
        found.append(Contestant(name, make_options(values)))
    if not found:
        raise OptionError("--norms: names none; give some of in, tin, kin, dn, pooled.")
    return found


def yardstick(options: TranslateOptions, stride: int, size: tuple[int, int]) -> Contestant:
    """Plain instance norm over a whole region: TIN with the region itself as its thumbnail.

    Raises:
        OptionError: the region is larger than a cell can be.
    """
    cell = -(-max(size) // stride) * stride
    values = options.model_dump() | {
        "norm": "tin", "thumbnail": "aspect", "cell": cell, "pad": "context", "halo": None
    }  # fmt: skip
    try:
        return Contestant(UNTILED, make_options(values), yardstick=True)
    except OptionError as error:
        raise OptionError(
            f"--untiled: {size[0]:,} x {size[1]:,} px are too many at once; choose a --region."
        ) from error


def write_source(view: SlideView, target: Path, options: TranslateOptions) -> None:
    """Write the part that is translated as a lossless image of its own, with 8 bits.

    Raises:
        OutputError: it exists already or cannot be written.
    """
    spec = OutputSpec(
        width=view.width,
        height=view.height,
        mpp=view.mpp,
        icc_profile=view.info.icc_profile,
        description=json.dumps({"software": f"uhrtranslate {__version__}", "of": "the source"}),
        compression="deflate",
    )
    with open_writer(target, spec, options.overwrite, options.workers) as writer:
        for y in range(0, view.height, view.strip_height):
            rows = min(view.strip_height, view.height - y)
            writer.write(0, y, read8(view, 0, y, view.width, rows))
            writer.reached(y + rows)


@dataclass(frozen=True, eq=False)
class _Run:
    """What became of a contestant, and what the page shows of it."""

    compared: Compared
    candidate: Candidate
    evaluation: Evaluation | None = None

    @property
    def name(self) -> str:
        return self.compared.name


def _run(
    one: Contestant,
    slide: Source,
    source: Path,
    folder: Path,
    baseline: str | None,
    pool: GeneratorPool,
    cell: int,
    size: tuple[int, int],
    on_event: OnEvent,
) -> _Run:
    """Translate and evaluate; a failure is returned, not raised."""
    target = folder / f"{one.name}.tif"
    translated = False
    try:
        translator = Translator(one.options, pool)
        if translator.blending is None:
            # If the halo has to be measured, measure it before the clock starts.
            known = one.options.model_copy(update={"halo": translator.halo})
            translator = Translator(known, pool)
        if one.yardstick:
            _check_memory(translator, size)
        with peak_memory() as peak:
            result = process_file(translator, slide, target, on_event)
        translated = True
        # Seams at the borders of cells, and colours against plain IN.
        grid = cell if cell >= SMALLEST_GRID else "auto"
        measured = {"source": source, "grid": grid, "baseline": baseline}
        evaluation = evaluate(target, validated(EvaluateOptions, measured))
        evaluation = _with_costs(evaluation, result, peak)
        on_page = candidate(one.name, evaluation, yardstick=one.yardstick)
    except Exception as error:
        _log.debug("%s failed", one.name, exc_info=True)
        sentence = in_a_sentence(one.name, error)
        output = str(target) if translated else None
        on_event(ImageResult(shown(slide), None, "failed", sentence))
        return _Run(
            Compared(one.name, "failed", sentence, output), Candidate(one.name, {}, error=sentence)
        )
    facts = record(evaluation)
    found = {name: facts[name] for name in ("metrics", "borders", "warnings")}
    return _Run(Compared(one.name, "done", None, str(target), **found), on_page, evaluation)


def _check_memory(translator: Translator, size: tuple[int, int]) -> None:
    """Refuse a forward that needs more memory than there is and would kill the process."""
    needed = translator.pool.ask(memory_needed, size[0] * size[1])
    there = available_memory()
    if translator.pool.devices[0].type == "cpu" and there is not None and needed > there:
        raise UhrError(
            f"{UNTILED}: needs about {needed / 1e9:,.1f} GB at once, and {there / 1e9:,.1f} are "
            "free; choose a smaller --region."
        )


def _with_costs(evaluation: Evaluation, result: ImageResult, peak: Peak) -> Evaluation:
    """Add the group `run`: time and memory of the translation."""
    seconds = result.seconds or 0.0
    run: dict[str, Any] = {"seconds": seconds}
    if seconds:
        megapixels = evaluation.width * evaluation.height / 1e6
        run["megapixels_per_second"] = round(megapixels / seconds, 4)
    if peak.process is not None:
        run["peak_mb"] = round(peak.process / 1e6)
    if peak.gpu is not None:
        run["gpu_mb"] = round(peak.gpu / 1e6)
    run["evaluation_seconds"] = round(evaluation.seconds, 3)
    return dataclasses.replace(evaluation, metrics=evaluation.metrics | {"run": run})


def _lead(named: Sequence[tuple[str, Evaluation]]) -> str:
    seams = {name: seam_of(one) for name, one in named}
    untiled = seams.pop(UNTILED, {}).get("ratio")
    return seams_in_words(seams, untiled)


def _settings(
    slide: Source,
    folder: Path,
    options: TranslateOptions,
    translator: Translator,
    size: tuple[int, int],
    mpp: tuple[float, float] | None,
) -> dict[str, str]:
    """The settings shown on the page."""
    settings = {
        "slide": shown(slide),
        "region": ",".join(map(str, options.region)) if options.region else "all",
        "size": f"{size[0]:,} x {size[1]:,} px",
        "mpp": "unknown" if mpp is None else f"{mpp[0]:.4g} µm",
        "generator": translator.generator.name,
        "generator's SHA-256": translator.generator.digest,
        "cells": f"{translator.cell} px",
        "tiles": f"{options.tile} px" if options.tile else "as large as memory allows",
        "overlap" if translator.blending else "halo": translator.surroundings,
        "padding": options.pad,
        "device": ", ".join(map(str, translator.pool.devices)),
        "precision": options.precision,
        "compression": options.compression,
        "uhrt": __version__,
        "all of it in a browser": view_command([folder]),
    }
    if options.mask != "none":
        settings["mask"] = options.mask
    return settings
