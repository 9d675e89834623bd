"""Many images in one run, each through a recipe."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from uhrtranslate.io import Found, Missing, kept_suffix
from uhrtranslate.options import ImageOptions
from uhrtranslate.recipes.recipe import Recipe
from uhrtranslate.runs.events import ImageResult, OnComputed, OnEvent
from uhrtranslate.runs.items import Item, Task
from uhrtranslate.runs.one_image import process_file
from uhrtranslate.runs.orders import Order, made, recorded
from uhrtranslate.runs.outputs import plan_outputs

Execute = Callable[[Sequence[Task], OnEvent], Iterator[tuple[int, ImageResult]]]
"""Works through tasks; yields number and result of each as it is done. Failures are results too."""


def run_recipe(
    items: Sequence[Item],
    output: Path | None,
    recipe: Recipe,
    on_event: OnEvent = lambda event: None,
    execute: Execute | None = None,
) -> list[ImageResult]:
    """Work on all inputs with one recipe; failures are results too. Photos stay photos.

    Args:
        items: the inputs, without options of their own.
        output: a file for one input, else a folder; None writes next to the inputs.
        recipe: for all of them.
        on_event: called with each start, progress, and each result, including failures.
        execute: does the work; None does it in this process.

    Raises:
        OptionError, OutputError: see `plan_outputs`.
    """
    options = recipe.options

    def suffix(path: Path) -> str:
        return f".{recipe.suffix}{kept_suffix(path, options.format, recipe.bits_out)}"

    tasks = planned(items, output, options, suffix)
    return run_tasks(tasks, output, execute or here(lambda task: recipe), on_event)


def planned(
    items: Sequence[Item],
    output: Path | None,
    options: ImageOptions,
    suffix: Callable[[Path], str],
) -> list[Task]:
    """Where each input's result is written, with the same options for all.

    Args:
        items: the inputs, without options of their own.
        output: a file for one input, else a folder; None writes next to the inputs.
        options: of all.
        suffix: that the result of a path is named with.

    Raises:
        OptionError, OutputError: see `plan_outputs`.
    """
    found = [item.input for item in items if isinstance(item.input, Found)]
    suffixes = [suffix(one.path) for one in found]
    targets = dict(zip(found, plan_outputs(found, output, suffixes), strict=True))
    return [
        Task(item, options, targets[item.input] if isinstance(item.input, Found) else None)
        for item in items
    ]


def run_tasks(
    tasks: Sequence[Task], output: Path | None, execute: Execute, on_event: OnEvent
) -> list[ImageResult]:
    """Work through tasks; failures are results too.

    Args:
        tasks: in the order in which they are begun.
        output: as the user named it; if it is a folder for all outputs, a record is kept in it.
        execute: does the work.
        on_event: called with every event.

    Returns:
        Results in the order of the tasks.

    Raises:
        OutputError: the record cannot be written.
        Exception: what `execute` raises.
    """
    return recorded([task.options for task in tasks], output, execute(tasks, on_event))


def here(recipe_of: Callable[[Task], Recipe], at_once: int | None = None) -> Execute:
    """Do the work in this process.

    Args:
        recipe_of: gives a task's recipe; several threads call it if `at_once` is above 1.
        at_once: how many tasks may be in progress at once; see `made`.
    """

    def order(task: Task) -> Order:
        def make(tell: OnEvent, computed: OnComputed) -> ImageResult:
            path, target = needed(task)
            return process_file(recipe_of(task), path, target, tell, computed)

        return Order(task.item.name, task.target, task.options, make)

    return lambda tasks, on_event: made([order(task) for task in tasks], on_event, at_once)


def needed(task: Task) -> tuple[Path | str, Path]:
    """Path or URL of a task's input, and path of its output.

    Raises:
        InputError: the input is missing.
    """
    if isinstance(task.item.input, Missing):
        raise task.item.input.error
    assert task.target is not None
    return task.item.input.source, task.target
