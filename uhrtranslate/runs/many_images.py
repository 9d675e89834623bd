"""Many images in one run: one that fails does not stop the others, and each is accounted for."""

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path

from uhrtranslate.io import Found, Missing, can_resume, suffix_of
from uhrtranslate.recipes.recipe import Recipe
from uhrtranslate.runs.events import ImageResult, OnEvent
from uhrtranslate.runs.failures import in_a_sentence
from uhrtranslate.runs.items import Item, Task
from uhrtranslate.runs.one_image import process_file
from uhrtranslate.runs.outputs import is_one_output, plan_outputs
from uhrtranslate.runs.record import RunRecord
from uhrtranslate.runs.side_by_side import side_by_side

_log = logging.getLogger(__name__)


def run_recipe(
    items: Sequence[Item],
    output: Path | None,
    recipe: Recipe,
    on_event: OnEvent = lambda event: None,
) -> list[ImageResult]:
    """Work on all inputs with one recipe; failures are results, too.

    Args:
        items: the inputs, without options of their own.
        output: a file for one input, else a folder; None writes beside the inputs.
        recipe: how.
        on_event: told of each start, progress, and each result, failures included.

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
) -> list[ImageResult]:
    """Work through tasks; failures are results, too.

    Args:
        tasks: what to do, in this order.
        output: as the user named it; if it is a folder for all outputs, a record is kept in it.
        recipe_of: how each is done; called from several threads if several are done at once.
        on_event: called with every event.
        at_once: how many tasks may be under way at once.

    Returns:
        Results in the order of the tasks.

    Raises:
        OutputError: the record cannot be written.
    """
    folder = None if output is None or is_one_output(output) else output

    def work(task: Task, tell: OnEvent) -> ImageResult:
        try:
            path, target = needed(task)
            return process_file(recipe_of(task), path, target, tell)
        except Exception as error:
            _log.debug("%s failed", task.item.name, exc_info=True)
            sentence = sentence_of(task, error)
            result = ImageResult(task.item.name, output=None, status="failed", error=sentence)
            tell(result)
            return result

    results = {}
    with RunRecord(folder) if folder else nullcontext() as record:
        for number, result in side_by_side(work, tasks, at_once, on_event):
            results[number] = result
            if record:
                record.add(result, tasks[number].options)
    return [results[number] for number in range(len(tasks))]


def needed(task: Task) -> tuple[Path, Path]:
    """Input and output of a task.

    Raises:
        InputError: there is no such input.
    """
    if isinstance(task.item.input, Missing):
        raise task.item.input.error
    assert task.target is not None
    return task.item.input.path, task.target


def sentence_of(task: Task, error: Exception) -> str:
    """What to tell a user about the error that ended one of many inputs."""
    sentence = in_a_sentence(task.item.name, error)
    if task.target and "--resume" not in sentence and can_resume(task.target):
        sentence = f"{sentence.rstrip('.')}; --resume goes on from where it was."
    return sentence
