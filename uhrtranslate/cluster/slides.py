"""Slides on a cluster: the run's tasks become orders, and what workers report becomes events."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from uhrtranslate.cluster.crew import Crew, Crowd, Done, Heard, Ordered
from uhrtranslate.cluster.orders import Maker, SlideOrder
from uhrtranslate.errors import ClusterError
from uhrtranslate.runs.events import Advanced, ImageResult, OnEvent, Started, Workers
from uhrtranslate.runs.items import Task
from uhrtranslate.runs.many_images import failure, needed

# Options that are the client's business.
_CLIENTS = {"cluster": None, "split": None, "without_tls": False}


def work_on_slides(
    crew: Crew, tasks: Sequence[Task], maker: Maker, on_event: OnEvent
) -> Iterator[tuple[int, ImageResult]]:
    """Have slides done by workers; yield number and result of each task as it is done.

    Raises:
        ClusterError: the scheduler has gone, or no worker can do anything.
    """
    for number, task in enumerate(tasks):
        try:
            source, target = needed(task)
        except Exception as error:
            result = failure(task, error)
            on_event(result)
            yield number, result
            continue
        options = task.options.model_copy(update=_CLIENTS)
        crew.add([Ordered(SlideOrder(source, target, options, maker), number)])
    for news in crew.work():
        if isinstance(news, Crowd):
            on_event(Workers(news.workers))
        elif isinstance(news, Heard):
            _pass_on(news, on_event)
        else:
            result = _result(tasks[news.ordered.about], news)
            on_event(result)
            yield news.ordered.about, result


def _pass_on(news: Heard, on_event: OnEvent) -> None:
    """Tell of a slide's start and progress; its result comes with the receipt."""
    if news.kind == "Started":
        on_event(replace(Started(**news.fields), worker=news.host))
    elif news.kind == "Advanced":
        on_event(Advanced(**news.fields))


def _result(task: Task, done: Done) -> ImageResult:
    """The result of a task, from the receipt of its worker."""
    if done.receipt is None:
        error = ClusterError(
            f"{task.item.name}: given up, as {done.ordered.deaths} workers died while they worked "
            f"on it ({done.host or 'before they began'}); try it alone, on a machine with more "
            "memory."
        )
        return replace(failure(task, error), host=done.host)
    if done.receipt.error is not None:
        return replace(failure(task, done.receipt.error), host=done.receipt.host)
    result: ImageResult = done.receipt.answer
    return replace(result, host=done.receipt.host)
