"""Many images in one run: one that fails does not stop the others, and nothing is forgotten."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from uhrtranslate.engine import choose_devices
from uhrtranslate.errors import OptionError, UhrError
from uhrtranslate.io import Found, Missing, can_resume, suffix_of
from uhrtranslate.options import ImageOptions, TranslateOptions, make_options
from uhrtranslate.tasks.events import OnEvent, TranslatePlan, TranslateResult
from uhrtranslate.tasks.image_task import Recipe, process_file
from uhrtranslate.tasks.outputs import is_one_output, plan_outputs
from uhrtranslate.tasks.probe import Probe
from uhrtranslate.tasks.record import RunRecord
from uhrtranslate.tasks.side_by_side import side_by_side
from uhrtranslate.tasks.translate import Translator

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Item:
    """One input of a run.

    Attributes:
        input: what was found, or what is missing.
        output: as the user named it for this input alone; None: by the run's.
        options: that this input has of its own, as a row of a manifest gives them.
    """

    input: Found | Missing
    output: Path | None = None
    options: Mapping[str, Any] | None = None

    @property
    def name(self) -> str:
        """The input, for people."""
        return str(self.input.path) if isinstance(self.input, Found) else self.input.item


@dataclass(frozen=True)
class Task:
    """An item with all that is needed to work on it."""

    item: Item
    options: ImageOptions
    target: Path | None


def translate_many(
    items: Sequence[Item],
    output: Path | None,
    options: TranslateOptions,
    on_event: OnEvent = lambda event: None,
) -> list[TranslateResult]:
    """Translate several images; those that fail do not stop the others.

    Where `output` is a folder, `uhrt-run.json` in it says what became of each input; it is brought
    up to date after every one. Several images at once share the devices, each of which does one
    thing at a time; an image's bytes do not depend on what else is at work.

    Args:
        items: the inputs.
        output: a file for one input, else a folder; None writes beside the inputs.
        options: how, but for what an item says of its own.
        on_event: told of each start, progress, and each result, failures included.

    Raises:
        OptionError, CheckpointError: nothing can be translated with these options.
        OutputError: the folder cannot be written.
    """
    tasks = _tasks(items, output, options)
    translators = _Translators(tasks)
    at_once = options.at_once or len(choose_devices(options.device))
    return run_tasks(tasks, output, translators.get, on_event, at_once)


def recolour_many(
    items: Sequence[Item],
    output: Path | None,
    recipe: Recipe,
    on_event: OnEvent = lambda event: None,
) -> list[TranslateResult]:
    """The same with one recipe for all inputs.

    Args:
        items: the inputs, without options of their own.
        output: as `translate_many`.
        recipe: how.
        on_event: as `translate_many`.

    Raises:
        OptionError, OutputError: see `plan_outputs`.
    """
    found = [item.input for item in items if isinstance(item.input, Found)]
    suffix = f".{recipe.suffix}{suffix_of(recipe.options.format)}"
    targets = dict(zip(found, plan_outputs(found, output, [suffix] * len(found)), strict=True))
    tasks = [
        Task(item, recipe.options, targets[item.input] if isinstance(item.input, Found) else None)
        for item in items
    ]
    return run_tasks(tasks, output, lambda task: recipe, on_event)


def run_tasks(
    tasks: Sequence[Task],
    output: Path | None,
    recipe_of: Callable[[Task], Recipe],
    on_event: OnEvent,
    at_once: int = 1,
) -> list[TranslateResult]:
    """Work through tasks; failures are results, too.

    Args:
        tasks: what to do, in this order.
        output: as the user named it; if it is the folder of all outputs, a record is kept in it.
        recipe_of: how each is done; asked by several threads if several are done at once.
        on_event: told of everything.
        at_once: so many tasks at most.

    Returns:
        Results in the order of the tasks.

    Raises:
        OutputError: the record cannot be written.
    """
    folder = None if output is None or is_one_output(output) else output
    record = RunRecord(folder) if folder else None

    def work(task: Task, tell: OnEvent) -> TranslateResult:
        try:
            path, target = _needed(task)
            return process_file(recipe_of(task), path, target, tell)
        except Exception as error:
            _log.debug("%s failed", task.item.name, exc_info=True)
            sentence = _sentence(task, error)
            result = TranslateResult(task.item.name, output=None, status="failed", error=sentence)
            tell(result)
            return result

    results = {}
    for number, result in side_by_side(work, tasks, at_once, on_event):
        results[number] = result
        if record:
            record.add(result, tasks[number].options)
    return [results[number] for number in range(len(tasks))]


def plan_many(
    items: Sequence[Item],
    output: Path | None,
    options: TranslateOptions,
    on_event: OnEvent = lambda event: None,
) -> list[TranslatePlan]:
    """Say what `translate_many` would do and what it would take; nothing is written.

    Args and errors: as `translate_many`.
    """
    tasks = _tasks(items, output, options)
    translators = _Translators(tasks)
    probe = Probe()
    plans = []
    for task in tasks:
        try:
            path, target = _needed(task)
            plan = probe.plan(translators.get(task), path, target)
        except Exception as error:
            _log.debug("%s failed", task.item.name, exc_info=True)
            sentence = _sentence(task, error)
            plan = TranslatePlan(task.item.name, output=None, status="failed", error=sentence)
        on_event(plan)
        plans.append(plan)
    return plans


class _Translators:
    """One translator for each set of options that occurs, made when it is needed.

    Raises:
        OptionError, CheckpointError: the options that all inputs share do not work.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._made: dict[str, Translator] = {}
        self._lock = threading.Lock()
        shared = next((task for task in tasks if not task.item.options), None)
        if shared:
            self.get(shared)

    def get(self, task: Task) -> Translator:
        """The translator of a task; the last one is kept, as a manifest may name many models."""
        options = task.options
        if not isinstance(options, TranslateOptions):
            raise TypeError(f"{type(options).__name__} is no way to translate")
        key = options.model_dump_json(exclude={"level", "mpp", "region"})
        with self._lock:
            if key not in self._made:
                self._made.clear()
                self._made[key] = Translator(options)
            return self._made[key].with_view(options)


def _tasks(items: Sequence[Item], output: Path | None, options: TranslateOptions) -> list[Task]:
    """Options and targets of all items.

    Raises:
        OptionError, OutputError: see `plan_outputs`; two inputs have one output.
    """
    own = [make_options(options.model_dump() | dict(item.options or {})) for item in items]
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
    for item, chosen in zip(items, own, strict=True):
        target = item.output
        if isinstance(item.input, Found) and target is None:
            target = next(planned)
        if target is not None:
            other = taken.setdefault(target.absolute(), item.name)
            if other != item.name:
                raise OptionError(f"{target}: is the output of both {other} and {item.name}.")
        tasks.append(Task(item, chosen, target))
    return tasks


def _needed(task: Task) -> tuple[Path, Path]:
    """Input and output of a task.

    Raises:
        InputError: there is no such input.
    """
    if isinstance(task.item.input, Missing):
        raise task.item.input.error
    assert task.target is not None
    return task.item.input.path, task.target


def _sentence(task: Task, error: Exception) -> str:
    """What to tell a user of an error that ended one input of many."""
    sentence = in_a_sentence(task.item.name, error)
    if task.target and "--resume" not in sentence and can_resume(task.target):
        sentence = f"{sentence.rstrip('.')}; --resume goes on from where it was."
    return sentence


def in_a_sentence(name: str, error: Exception) -> str:
    """An error in words for a user.

    Args:
        name: of what failed.
        error: of any kind.
    """
    if isinstance(error, UhrError):
        return str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return f"{name}: memory is not enough; use a smaller --tile or --batch."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or name}: cannot be read or written ({error.strerror})."
    reason = f"{type(error).__name__}: {error}"
    return f"{name}: failed unexpectedly ({reason}); --debug tells more."
