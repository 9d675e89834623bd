"""Methods on slides with seeds, measured in one way, in one table; what was done is kept."""

import hashlib
import json
import logging
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from uhrtranslate.errors import InputError, OptionError, OutputError, UhrError
from uhrtranslate.evaluation.benchmark import Outcome, summarised
from uhrtranslate.evaluation.benchmark_page import write_benchmark
from uhrtranslate.evaluation.benchmark_pictures import side_by_side
from uhrtranslate.evaluation.images import PARTNERS, find_partner
from uhrtranslate.evaluation.result import finite_metrics
from uhrtranslate.evaluation.suite import Method, Suite, evaluation_options, placed, read_suite
from uhrtranslate.io import Found, Missing, Source, expand_inputs, open_slide
from uhrtranslate.io.files.disk import output_errors, write_text
from uhrtranslate.options import Region, StainOptions, validated
from uhrtranslate.runs.events import ImageResult
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.runs.items import Item
from uhrtranslate.runs.peak import peak_memory
from uhrtranslate.tasks.evaluate import evaluate
from uhrtranslate.tasks.stain_normalize import stain_normalize
from uhrtranslate.tasks.translate import translate
from uhrtranslate.version import __version__

_log = logging.getLogger(__name__)
RESULTS, RECORDS = "results", "records"
# Lossless, so that what is measured is the method and not JPEG.
_LOSSLESS = "deflate"

OnOutcome = Callable[[Outcome], None]


@dataclass(frozen=True)
class Benchmark:
    """What was done, and the page about it."""

    page: str
    outcomes: tuple[Outcome, ...]


def benchmark(
    suite_file: Path, folder: Path, on_outcome: OnOutcome = lambda outcome: None
) -> Benchmark:
    """Run a suite, or what is left of it, and write its page.

    Results are in `folder/results`, and figures in `folder/records`; the same method on the same
    slide is not computed twice, and a run that was stopped goes on. What failed is tried again.

    Args:
        suite_file: see `Suite`.
        folder: for results and the page.
        on_outcome: called with each outcome as it is known.

    Raises:
        OptionError: the suite cannot be used.
        InputError: it names no slide that is there.
        OutputError: the folder is not one of a benchmark, or cannot be written.
    """
    suite = read_suite(suite_file)
    slides = _slides(suite)
    if folder.exists() and any(folder.iterdir()) and not (folder / RECORDS).is_dir():
        raise OutputError(f"{folder}: is no folder of a benchmark; choose another with -o.")
    for name in (RESULTS, RECORDS):
        with output_errors(folder):
            (folder / name).mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    for outcome in _outcomes(suite, slides, folder):
        outcomes.append(outcome)
        on_outcome(outcome)
    methods = list(suite.methods)
    places = {slide.path.name: slide.source for slide in slides}
    page = write_benchmark(
        outcomes, summarised(outcomes, methods), methods, suite.against, suite_file.stem, folder,
        side_by_side(outcomes, methods, places),
    )  # fmt: skip
    return Benchmark(str(page), tuple(outcomes))


def _slides(suite: Suite) -> list[Found]:
    found = expand_inputs([_beside(suite, item) for item in suite.slides])
    for one in found:
        if isinstance(one, Missing):
            raise InputError(str(one.error))
    slides = [one for one in found if isinstance(one, Found)]
    names = [one.path.name for one in slides]
    for name in names:
        if names.count(name) > 1:
            raise OptionError(f"{name}: is there twice among the slides; rename one of them.")
    return slides


def _beside(suite: Suite, item: str) -> str:
    """A path relative to the suite; a pattern may name what does not exist as it stands."""
    if "://" in item or Path(item).is_absolute():
        return item
    return str(suite.base / item)


def _outcomes(suite: Suite, slides: list[Found], folder: Path) -> Iterator[Outcome]:
    for slide in slides:
        for seed in suite.seeds:
            for name, method in suite.methods.items():
                unit = slide.path.name + (f"#{seed}" if suite.crop else "")
                outcome = Outcome(name, slide.path.name, seed, unit)
                try:
                    yield _one(suite, outcome, method, slide, folder)
                except Exception as error:
                    _log.debug("%s failed", name, exc_info=True)
                    sentence = in_a_sentence(f"{name}, {slide.path.name}", error)
                    yield replace(outcome, status="failed", error=sentence)


def _one(suite: Suite, outcome: Outcome, method: Method, slide: Found, folder: Path) -> Outcome:
    """Make a result and evaluate it, unless that was done before."""
    region = _region(suite, slide, outcome.seed)
    spec = placed(method.model_dump(exclude_none=True), suite.base, outcome.seed)
    result, costs = _result(spec, slide, region, folder / RESULTS / outcome.method)
    options = evaluation_options(suite, outcome.seed, source=slide.source)
    part = region if method.folder is not None else None
    if part is not None:
        options = evaluation_options(suite, outcome.seed, source=slide.source, region=part)
    partners: dict[str, Any] = {
        name: find_partner(getattr(options, name), slide.source, slide.root)
        for name in PARTNERS
        if name != "source"
    }
    options = options.model_copy(update=partners)
    key = _key([options.model_dump(mode="json"), _stamp(result), *map(_stamp, partners.values())])
    record = folder / RECORDS / f"{key}.json"
    truth = None if options.transform or not options.truth else str(options.truth)
    done = replace(outcome, output=str(result), part=part, truth=truth)
    if record.is_file():
        return replace(done, cached=True, metrics=json.loads(record.read_text(encoding="utf-8")))
    evaluation = evaluate(result, options)
    metrics = finite_metrics(evaluation) | ({"run": costs} if costs else {})
    write_text(record, json.dumps(metrics))
    return replace(done, metrics=metrics)


def _region(suite: Suite, slide: Found, seed: int) -> Region | None:
    """The crop that a seed draws, x, y, w and h; smaller slides are taken whole."""
    if suite.crop is None:
        return None
    with open_slide(slide.source) as opened:
        size = opened.info.width, opened.info.height
    random = np.random.default_rng([seed, zlib.crc32(slide.path.name.encode())])
    w, h = (min(suite.crop, side) for side in size)
    x, y = (int(random.integers(0, side - n + 1)) for side, n in zip(size, (w, h), strict=True))
    return x, y, w, h


def _result(
    spec: dict[str, Any], slide: Found, region: Region | None, folder: Path
) -> tuple[Path, dict[str, float]]:
    """The image to evaluate, and what it cost; made only if it is not there."""
    if "folder" in spec:
        found = find_partner(Path(spec["folder"]), slide.source, slide.root, results=True)
        if not isinstance(found, Path):
            raise InputError(f"{spec['folder']}: has no result of {slide.path.name}.")
        return found, {}
    key = _key([spec, region, _stamp(slide.source), *_stamps(spec)])
    target = folder / f"{slide.path.stem}.{key}.tif"
    told = target.with_suffix(".json")
    if target.is_file() and told.is_file():
        return target, json.loads(told.read_text(encoding="utf-8"))
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    fixed: dict[str, Any] = {"compression": _LOSSLESS, "overwrite": True}
    fixed |= {"region": region} if region else {}
    with peak_memory() as peak:
        if "translate" in spec:
            result = translate(slide.source, target, **{**fixed, **spec["translate"]})
        else:
            result = _stained(slide, target, {**fixed, **spec["stain"]})
    if result.status == "failed" or not target.is_file():
        raise UhrError(result.error or f"{slide.path.name}: no result was written.")
    costs: dict[str, float] = {"seconds": round(result.seconds or 0.0, 3)}
    if result.seconds and result.width and result.height:
        pixels = result.width * result.height
        costs["megapixels_per_second"] = round(pixels / 1e6 / result.seconds, 4)
    if peak.process is not None:
        costs["peak_mb"] = round(peak.process / 1e6)
    if peak.gpu is not None:
        costs["gpu_mb"] = round(peak.gpu / 1e6)
    write_text(told, json.dumps(costs))
    return target, costs


def _stained(slide: Found, target: Path, given: dict[str, Any]) -> ImageResult:
    reference = given.pop("target", None)
    options = validated(StainOptions, given)
    (result,) = stain_normalize([Item(slide)], target, options, reference)
    return result


def _key(facts: list[Any]) -> str:
    """A name for what follows from these facts, and from this version."""
    text = json.dumps([__version__, *facts], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _stamp(place: Source | None) -> list[Any]:
    """What changes if a file changes; of folders, also if one of their files does."""
    if not isinstance(place, Path) or not place.exists():
        return [str(place)]
    files = sorted(place.rglob("*")) if place.is_dir() else [place]
    return [[str(one), one.stat().st_size, one.stat().st_mtime_ns] for one in files]


def _stamps(spec: dict[str, Any]) -> list[Any]:
    """Of all files that a method names, such as weights."""
    (options,) = spec.values()
    texts = [value for value in options.values() if isinstance(value, str)]
    return [_stamp(Path(text)) for text in texts if Path(text).exists()]
