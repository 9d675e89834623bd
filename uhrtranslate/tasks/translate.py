"""Translate images through a generator, without seams."""

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from uhrtranslate.cluster.execute import on_cluster
from uhrtranslate.cluster.makers import CLIENTS_OWN, TranslatorMaker
from uhrtranslate.engine import choose_devices
from uhrtranslate.errors import OptionError, UhrError
from uhrtranslate.io import Found, suffix_of
from uhrtranslate.models import Generator
from uhrtranslate.options import TranslateOptions, make_options
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.events import Forecast, ImageResult, OnEvent
from uhrtranslate.runs.items import Item, Task
from uhrtranslate.runs.many_images import here, needed, run_tasks
from uhrtranslate.runs.one_image import process_file
from uhrtranslate.runs.orders import sentence_of
from uhrtranslate.runs.outputs import is_one_output, plan_outputs
from uhrtranslate.runs.probe import Probe

_log = logging.getLogger(__name__)


def translate(
    source: str | Path,
    output: str | Path | None = None,
    *,
    generator: Generator | None = None,
    on_event: OnEvent = lambda event: None,
    **options: Any,
) -> ImageResult:
    """Translate one slide or photo.

    Args:
        source: path or URL of the image.
        output: path of the result (.tif, .png, .jpg, ...) or a folder; None writes next to the
            source, `slide.svs` to `slide.pooled.tif`.
        generator: a loaded generator, used instead of the option `model`.
        on_event: called with the start, progress and the result.
        **options: fields of `TranslateOptions`, such as `norm="dn"`, `model="latest_net_G.pth"`.

    Returns:
        What was made and how.

    Raises:
        UhrError: one sentence that says what is wrong with which file or option.
    """
    chosen = make_options(options)
    if chosen.cluster is not None:
        raise OptionError("cluster: is for several images; use translate_many.")
    found = Found.at(source)
    suffix = f".{chosen.norm}{suffix_of(chosen.format)}"
    (target,) = plan_outputs([found], Path(output) if output else None, [suffix])
    return process_file(
        Translator(chosen, GeneratorPool(chosen, generator)), found.source, target, on_event
    )


def translate_many(
    items: Sequence[Item],
    output: Path | None,
    options: TranslateOptions,
    on_event: OnEvent = lambda event: None,
) -> list[ImageResult]:
    """Translate several images; those that fail do not stop the others.

    If `output` is a folder, `uhrt-run.json` in it records the result of each input, and is updated
    after each one. Images that are translated at once share the devices, each of which does one
    thing at a time. The bytes of a result do not depend on what else is being translated.

    Args:
        items: the inputs.
        output: a file for one input, else a folder; None writes next to the inputs.
        options: for all items; an item's own options override them.
        on_event: called with each start, progress, and each result, including failures.

    Raises:
        OptionError, CheckpointError: nothing can be translated with these options.
        OutputError: the folder cannot be written.
    """
    tasks = _tasks(items, output, options)
    if options.cluster is not None:
        execute = on_cluster(options, TranslatorMaker(_digests(tasks)))
        return run_tasks(tasks, output, execute, on_event)
    translators = _Translators(tasks)
    devices = len(choose_devices(options.device))
    at_once = options.at_once or (devices if devices > 1 else None)
    return run_tasks(tasks, output, here(translators.get, at_once), on_event)


def plan_many(
    items: Sequence[Item],
    output: Path | None,
    options: TranslateOptions,
    on_event: OnEvent = lambda event: None,
) -> list[Forecast]:
    """Say what `translate_many` would do and what it would cost; nothing is written.

    Args and errors: as `translate_many`.
    """
    tasks = _tasks(items, output, options)
    translators = _Translators(tasks)
    probe = Probe()
    plans = []
    for task in tasks:
        try:
            path, target = needed(task)
            plan = probe.plan(translators.get(task), path, target)
        except Exception as error:
            _log.debug("%s failed", task.item.name, exc_info=True)
            sentence = sentence_of(task.item.name, task.target, error)
            plan = Forecast(task.item.name, output=None, status="failed", error=sentence)
        on_event(plan)
        plans.append(plan)
    return plans


class _Translators:
    """Makes a translator for each task; tasks with the same generator share it.

    Raises:
        OptionError, CheckpointError: the options shared by all inputs do not work.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._pools: dict[str, GeneratorPool] = {}
        self._lock = threading.Lock()
        shared = next((task for task in tasks if not task.item.options), None)
        if shared:
            self.get(shared)

    def get(self, task: Task) -> Translator:
        """The translator of a task; only one generator is kept, as a manifest may name many."""
        options = task.options
        if not isinstance(options, TranslateOptions):
            raise TypeError(f"{type(options).__name__} cannot be used to translate")
        key = options.model_dump_json(include=set(GeneratorPool.IDENTITY))
        with self._lock:
            if key not in self._pools:
                self._pools.clear()
                self._pools[key] = GeneratorPool(options)
            pool = self._pools[key]
        return Translator(options, pool)


def _digests(tasks: Sequence[Task]) -> dict[str, str]:
    """Digests of the generators of some tasks, by the names of their files.

    Raises:
        OptionError, CheckpointError: the options shared by all inputs do not work.
    """
    digests: dict[str, str] = {}
    for task in sorted(tasks, key=lambda task: bool(task.item.options)):
        options = task.options
        assert isinstance(options, TranslateOptions)
        if options.model in digests:
            continue
        try:
            recipe = Translator(options.model_copy(update=CLIENTS_OWN))
        except UhrError:
            if not task.item.options:
                raise
            continue  # the worker says what is wrong with it
        digests[options.model] = recipe.generator.digest
    return digests


def _replaced(shared: dict[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Options of all items, replaced by an item's own and without what these exclude."""
    stated = {"source_mpp", "source_power"}
    excluded = stated - own.keys() if stated & own.keys() else set()
    return {name: value for name, value in shared.items() if name not in excluded} | dict(own)


def _tasks(items: Sequence[Item], output: Path | None, options: TranslateOptions) -> list[Task]:
    """Options and targets of all items.

    Raises:
        OptionError, OutputError: see `plan_outputs`; two inputs have one output.
    """
    own = [make_options(_replaced(options.model_dump(), item.options or {})) for item in items]
    places = [
        (item.input, chosen)
        for item, chosen in zip(items, own, strict=True)
        if isinstance(item.input, Found) and item.output is None
    ]
    found = [place for place, _ in places]
    suffixes = [f".{chosen.norm}{suffix_of(chosen.format)}" for _, chosen in places]
    planned = iter(plan_outputs(found, output, suffixes))
    tasks = []
    taken: dict[Path, str] = {}
    folder = None if output is None or is_one_output(output) else output
    for item, chosen in zip(items, own, strict=True):
        target = item.target(folder)
        if isinstance(item.input, Found) and target is None:
            target = next(planned)
        if target is not None:
            other = taken.setdefault(target.absolute(), item.name)
            if other != item.name:
                raise OptionError(f"{target}: is the output of both {other} and {item.name}.")
        tasks.append(Task(item, chosen, target))
    return tasks
