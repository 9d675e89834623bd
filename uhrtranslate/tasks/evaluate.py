"""Measure how good a translation is: seams, structure, colours, truth, populations."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from uhrtranslate.cluster.execute import carried_out
from uhrtranslate.evaluation.evaluator import Evaluator, text_of
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.evaluation.patches import Seen
from uhrtranslate.evaluation.result import Evaluation, Metrics
from uhrtranslate.io import Found, Missing, Source
from uhrtranslate.recipes.transform_file import read_transform
from uhrtranslate.report.measures import number
from uhrtranslate.runs.events import OnEvent
from uhrtranslate.runs.failures import in_a_sentence

ALL = "*"


@dataclass(frozen=True)
class Failed:
    """An input that could not be evaluated, and why."""

    input: str
    error: str


OnResult = Callable[[Evaluation | Failed], None]


def evaluate(image: str | Path, options: EvaluateOptions) -> Evaluation:
    """Evaluate one image.

    Args:
        image: its path or URL.
        options: `source`, `truth` and `baseline` in them may be images, URLs or folders.

    Raises:
        UhrError: one sentence that says what is wrong with which file.
    """
    evaluator = _made(options)
    return _with(evaluator.evaluate(Found.at(image).source), *evaluator.together())


def evaluate_many(
    inputs: Sequence[Found | Missing], options: EvaluateOptions, on_result: OnResult
) -> list[Evaluation]:
    """Evaluate images, here one after the other; those that fail do not stop the others.

    Args:
        inputs: the images.
        options: see `EvaluateOptions`.
        on_result: called with each result; if several images are compared with a real population,
            also with that of all together (`"*"`): figures of populations, and means of all others.

    Returns:
        The evaluations.

    Raises:
        UhrError: weights or models cannot be read, or there are no real images.
    """
    evaluator = _made(options)
    by_place: dict[int, Evaluation] = {}
    for index, one in _each(inputs, evaluator):
        if isinstance(one, Failed):
            on_result(one)
            continue
        by_place[index] = one
        if len(inputs) > 1:
            on_result(one)
    found = [by_place[index] for index in sorted(by_place)]
    if not found:
        return found
    groups: Metrics = {}
    warnings: tuple[str, ...] = ()
    try:
        groups, warnings = evaluator.together()
    except Exception as error:  # the results of single images are kept
        place = str(options.reference)
        on_result(Failed(place, in_a_sentence(place, error)))
    if len(inputs) == 1:
        only = _with(found[0], groups, warnings)
        on_result(only)
        return [only]
    if groups:
        found.append(_mean(found, groups, warnings, options))
        on_result(found[-1])
    return found


def _each(
    inputs: Sequence[Found | Missing], evaluator: Evaluator
) -> Iterator[tuple[int, Evaluation | Failed]]:
    """Number and evaluation of each input, as it is done; here, or by the workers of a cluster."""
    orders: dict[int, EvaluateOrder] = {}
    for place, item in enumerate(inputs):
        if isinstance(item, Missing):
            yield place, Failed(item.item, str(item.error))
            continue
        order = EvaluateOrder(evaluator.options, item.source, None if item.url else item.root)
        if evaluator.options.cluster is not None:
            orders[place] = order
            continue
        try:
            yield place, evaluator.evaluate(order.source, order.root)
        except Exception as error:
            yield place, Failed(item.name, in_a_sentence(item.name, error))
    if not orders:
        return
    options, places = evaluator.options, list(orders)
    assert options.cluster is not None
    seen: dict[int, list[Seen]] = {}
    answers = carried_out(options.cluster, options.without_tls, list(orders.values()), "auto")
    for index, answer in answers:
        place = places[index]
        if isinstance(answer, Exception):
            name = inputs[place].name  # type: ignore[union-attr]
            sentence = in_a_sentence(name, answer)
            yield place, Failed(name, sentence if name in sentence else f"{name}: {sentence}")
            continue
        one, seen[place] = answer
        yield place, one
    evaluator.seen += [one for place in sorted(seen) for one in seen[place]]


@dataclass(frozen=True)
class EvaluateOrder:
    """An image is to be evaluated by a worker of a cluster."""

    options: EvaluateOptions
    source: Source
    root: Path | None

    def repeated(self) -> "EvaluateOrder":
        """See `cluster.orders.Order`."""
        return self

    def carry_out(self, tell: OnEvent) -> tuple[Evaluation, list[Seen]]:
        """The evaluation, and what all images together are measured by."""
        own = self.options.model_copy(update={"cluster": None, "save_niqe": None})
        evaluator = _evaluator(own)
        evaluator.seen.clear()
        return evaluator.evaluate(self.source, self.root), list(evaluator.seen)


@lru_cache(maxsize=1)
def _evaluator(options: EvaluateOptions) -> Evaluator:
    """A worker's; networks and models are read once."""
    return _made(options)


def _made(options: EvaluateOptions) -> Evaluator:
    path = options.transform
    return Evaluator(options, None if path is None else read_transform(path))


def _with(one: Evaluation, groups: Metrics, warnings: tuple[str, ...]) -> Evaluation:
    """Add the figures of all images together to those of the only image."""
    metrics = _merged(one.metrics, groups)
    return replace(one, metrics=metrics, warnings=(*one.warnings, *warnings))


def _mean(
    found: Sequence[Evaluation],
    groups: Metrics,
    warnings: tuple[str, ...],
    options: EvaluateOptions,
) -> Evaluation:
    """All images together: means of figures that are numbers for every image."""
    metrics: Metrics = {"images": {"count": len(found)}}
    for group in found[0].metrics:
        for name in found[0].metrics[group]:
            values = [number(one.metrics.get(group, {}).get(name)) for one in found]
            if None not in values:
                metrics.setdefault(group, {})[name] = float(np.mean(values))  # type: ignore[arg-type]
    ratios = [number(one.metrics["seam"]["ratio"]) for one in found]
    measured = [ratio for ratio in ratios if ratio is not None]
    metrics["images"]["seams_measured"] = len(measured)
    # As many as have borders; the figure of one image would not be that of all.
    worst = {"ratio": float(np.mean(measured)), "worst_ratio": max(measured)} if measured else {}
    metrics["seam"] = metrics.get("seam", {}) | worst
    return Evaluation(
        input=ALL,
        source=text_of(options.source),
        truth=text_of(options.truth),
        reference=text_of(options.reference),
        metrics=_merged(metrics, groups),
        warnings=warnings,
        seconds=sum(one.seconds for one in found),
    )


def _merged(metrics: Metrics, more: Metrics) -> Metrics:
    return metrics | {name: metrics.get(name, {}) | figures for name, figures in more.items()}
