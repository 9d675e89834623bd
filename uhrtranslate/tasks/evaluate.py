"""Measure how good a translation is: seams, structure, colours, truth, populations."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError
from uhrtranslate.evaluation import patches, pixels
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.evaluation.patches import Patches, Sampling
from uhrtranslate.evaluation.result import Evaluation
from uhrtranslate.evaluation.seams import evaluate_seams
from uhrtranslate.extractors import Extractor, InceptionExtractor, Lpips, PlainExtractor
from uhrtranslate.io import (
    Found,
    Missing,
    SlideView,
    expand_inputs,
    open_slide,
    open_view,
    result_stem,
)
from uhrtranslate.io.files.disk import write_text
from uhrtranslate.metrics import NiqeModel, dump_niqe, fit_niqe, load_niqe
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.tables import RESULT_SUFFIXES

# Side of the areas whose colours are compared where no grid is known: the cell of most generators.
CELL = 512
ALL = "*"

Metrics = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Failed:
    """An input that could not be evaluated, and why."""

    input: str
    error: str


OnResult = Callable[[Evaluation | Failed], None]


def evaluate(image: str | Path, options: EvaluateOptions) -> Evaluation:
    """Evaluate one image.

    Args:
        image: path of it.
        options: see there; `source`, `truth` and `baseline` may be images or folders.

    Raises:
        UhrError: one sentence that says what is wrong with which file.
    """
    evaluator = Evaluator(options)
    found = evaluator.evaluate(Path(image))
    groups, warnings = evaluator.together()
    return replace(found, metrics=found.metrics | groups, warnings=(*found.warnings, *warnings))


def evaluate_many(
    inputs: Sequence[Found | Missing], options: EvaluateOptions, on_result: OnResult
) -> list[Evaluation]:
    """Evaluate images one after the other; those that fail do not stop the others.

    Args:
        inputs: the images.
        options: see `EvaluateOptions`.
        on_result: told of each; where several images are compared with a real population, also of
            all together (`"*"`): figures of populations, and means of all others.

    Returns:
        The evaluations.

    Raises:
        UhrError: weights, models or real images cannot be read.
    """
    evaluator = Evaluator(options)
    found: list[Evaluation] = []
    for item in inputs:
        if isinstance(item, Missing):
            on_result(Failed(item.item, str(item.error)))
            continue
        try:
            found.append(evaluator.evaluate(item.path, item.root))
        except Exception as error:
            on_result(Failed(str(item.path), in_a_sentence(str(item.path), error)))
            continue
        if len(inputs) > 1:
            on_result(found[-1])
    if not found:
        return found
    groups, warnings = evaluator.together()
    if len(inputs) == 1:
        only = replace(
            found[0], metrics=found[0].metrics | groups, warnings=(*found[0].warnings, *warnings)
        )
        on_result(only)
        return [only]
    if groups:
        found.append(_mean(found, groups, warnings, options))
        on_result(found[-1])
    return found


class Evaluator:
    """Measures one image after the other; networks and real images are read once.

    Args:
        options: what to measure.

    Raises:
        UhrError: weights, models or real images cannot be read.
    """

    def __init__(self, options: EvaluateOptions) -> None:
        self.options = options
        self._sampling = Sampling(options.patch, options.patches, options.seeds, options.seed)
        self._lpips = Lpips(*options.lpips) if options.lpips else None
        self._real = _images(options.reference) if options.reference else []
        self._extractor: Extractor = (
            InceptionExtractor(options.weights) if options.weights else PlainExtractor()
        )
        self._niqe = load_niqe(patches.read_text(options.niqe)) if options.niqe else None
        self._warnings: list[str] = []
        # What figures over all images are made of: where each one's patches are cut.
        self._seen: list[tuple[Path, Path | None, int | None]] = []

    def evaluate(self, image: Path, root: Path | None = None) -> Evaluation:
        """Evaluate one image, but for figures over populations.

        Args:
            image: path of it.
            root: the folder below which it was found; partners are looked for likewise.

        Raises:
            UhrError: it, or one of its partners, cannot be read.
        """
        began, o = time.perf_counter(), self.options
        places = {
            "source": _partner(o.source, image, root),
            "truth": _partner(o.truth, image, root),
            "baseline": _partner(o.baseline, image, root, results=True),
        }
        with ExitStack() as opened:
            view = opened.enter_context(_opened(image, o.level, o.mpp, o.region))
            others = {
                name: pixels.matching_view(
                    opened.enter_context(open_slide(place, sparse=True)), view
                )
                for name, place in places.items()
                if place is not None
            }
            grid = None if o.grid == "auto" else o.grid
            seams = evaluate_seams(view, others.get("source"), grid, o.seed)
            metrics: Metrics = {"seam": seams.figures}
            cell = grid or seams.period or CELL
            if "source" in others:
                metrics["structure"] = pixels.structure(view, others["source"])
                metrics["colour"] = pixels.preservation(view, others["source"], cell)
                if self._lpips:
                    metrics["structure"]["lpips_c"] = patches.content(
                        self._lpips, view, others["source"], self._sampling
                    )
            if "baseline" in others:
                metrics["baseline"] = pixels.preservation(view, others["baseline"], cell)
            if "truth" in others:
                metrics["paired"] = self._paired(view, others["truth"])
            model = self._niqe_model()
            if model is not None:
                metrics["quality"] = patches.quality(view, model, o.seed)
            self._seen.append((image, places["source"], grid or seams.period))
            return Evaluation(
                str(image),
                _text(places["source"]),
                _text(places["truth"]),
                _text(o.reference),
                view.width,
                view.height,
                view.mpp[0] if view.mpp else None,
                o.region,
                metrics,
                seams.borders,
                seams.heat,
                (),
                time.perf_counter() - began,
            )

    def together(self) -> tuple[Metrics, tuple[str, ...]]:
        """Figures over the patches of all images that were evaluated, and warnings."""
        if not self._real or not self._seen:
            return {}, ()
        outputs = [(image, period) for image, _, period in self._seen]
        real = [(image, None) for image in self._real]
        o, metrics, warnings = self.options, {}, [*self._warnings]
        draws = [
            (self._draw(real, draw, whole=True)[0], self._draw(outputs, draw)[0])
            for draw in range(o.seeds)
        ]
        metrics["population"], warning = patches.population(
            self._extractor, [a for a, _ in draws], [b for _, b in draws]
        )
        if warning:
            warnings.append(warning)
        if o.domain:
            sources = [(place, None) for _, place, _ in self._seen if place is not None]
            source, source_of = self._draw(sources, 0, whole=True)
            target, target_of = self._draw(real, 0, whole=True)
            metrics["domain"] = patches.domains(
                source, target, draws[0][1], (source_of, target_of), o.seed
            )
        return metrics, tuple(warnings)

    def _paired(self, view: SlideView, truth: SlideView) -> dict[str, Any]:
        figures = pixels.paired(view, truth)
        if self._lpips:
            figures["lpips"] = patches.perceptual(self._lpips, view, truth, self._sampling)
            figures["lpips_name"] = self._lpips.name
        if self.options.shift:
            figures |= patches.aligned(view, truth, self.options.shift, self._sampling)
        return figures

    def _niqe_model(self) -> NiqeModel | None:
        """That of a file, or fitted once to the real images; None without either."""

        def blocks() -> Iterator[Patches]:
            for image in self._real:
                with _opened(image, None, self.options.mpp) as view:
                    yield from patches.quality_blocks(view, self.options.seed)

        if self._niqe is None and self._real and not self._warnings:
            try:
                self._niqe = fit_niqe(blocks())
                if self.options.save_niqe is not None:
                    write_text(self.options.save_niqe, dump_niqe(self._niqe) + "\n")
            except InputError as error:  # too few sharp patches: the other figures are still there
                self._warnings.append(f"no NIQE: {error}")
        return self._niqe

    def _draw(
        self, images: Sequence[tuple[Path, int | None]], draw: int, whole: bool = False
    ) -> tuple[Patches, list[int]]:
        """Patches of one draw, about as many of each image, and which image each is of.

        Args:
            images: paths, and px between borders of each.
            draw: number of the draw.
            whole: of all of the image, as real images have no region.
        """
        o = self.options
        found: list[NDArray[np.uint8]] = []
        owners: list[int] = []
        for i, (image, period) in enumerate(images):
            count = (i + 1) * o.patches // len(images) - i * o.patches // len(images)
            if not count:
                continue
            region = None if whole else o.region
            with _opened(image, None if whole else o.level, o.mpp, region) as view:
                boxes = patches.boxes_of(view, period, self._sampling, count, draw)
                found.append(patches.cut(view, boxes))
                owners += [i] * len(boxes)
        return np.concatenate(found), owners


@contextmanager
def _opened(
    image: Path, level: int | None, mpp: float | None, region: Any = None
) -> Iterator[SlideView]:
    with open_slide(image) as slide:
        yield open_view(slide, level, mpp, region)


def _images(place: Path, results: bool = False) -> list[Path]:
    """All images of a folder, or the one that is named; results of ours only if asked for.

    Raises:
        InputError: there are none, or one is missing.
    """
    found = []
    for item in expand_inputs([str(place)], results=() if results else RESULT_SUFFIXES):
        if isinstance(item, Missing):
            raise item.error
        found.append(item.path)
    return found


def _partner(
    place: Path | None, image: Path, root: Path | None, results: bool = False
) -> Path | None:
    """The image that belongs to another one: itself, or that of its name in a folder.

    Names are equal without endings and without what a translation adds to them (`slide.dn.tif` is
    of `slide.svs`). The same subfolder goes before others.

    Raises:
        InputError: the folder has none, or several.
    """
    if place is None or not place.is_dir():
        return place
    stem = result_stem(image.name, RESULT_SUFFIXES)
    of_name = [
        path for path in _images(place, results) if result_stem(path.name, RESULT_SUFFIXES) == stem
    ]
    if root is not None and len(of_name) > 1:
        below = image.relative_to(root).parent
        of_name = [path for path in of_name if path.parent == place / below] or of_name
    if len(of_name) != 1:
        what = "has no image" if not of_name else f"has {len(of_name)} images"
        raise InputError(
            f"{place}: {what} named {stem}, to go with {image}; names must be equal but for "
            "their endings."
        )
    return of_name[0]


def _mean(
    found: Sequence[Evaluation],
    groups: Metrics,
    warnings: tuple[str, ...],
    options: EvaluateOptions,
) -> Evaluation:
    """All images together: means of what is a number in each of them."""
    metrics: Metrics = {}
    for group in found[0].metrics:
        for name in found[0].metrics[group]:
            values = [one.metrics.get(group, {}).get(name) for one in found]
            if all(_is_number(value) for value in values):
                metrics.setdefault(group, {})[name] = float(np.mean([float(v) for v in values]))  # type: ignore[arg-type]
    worst = max((one.metrics["seam"]["ratio"] for one in found), default=None)
    metrics["seam"] |= {"worst_ratio": worst}
    return Evaluation(
        ALL,
        _text(options.source),
        _text(options.truth),
        _text(options.reference),
        0,
        0,
        None,
        None,
        {"images": {"count": len(found)}} | metrics | groups,
        (),
        None,
        warnings,
        sum(one.seconds for one in found),
    )


def _text(place: Path | None) -> str | None:
    return None if place is None else str(place)


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))
    )
