"""Bring a slide, or annotations, into the frame of another slide."""

from pathlib import Path

from uhrtranslate.cluster.execute import on_cluster
from uhrtranslate.cluster.orders import Made
from uhrtranslate.errors import ClusterError
from uhrtranslate.io import Found
from uhrtranslate.options import ImageOptions, Sampling
from uhrtranslate.recipes.moved_points import Side
from uhrtranslate.recipes.moved_points import move_points as _move_points
from uhrtranslate.recipes.transform_file import read_transform
from uhrtranslate.recipes.warped import Warped
from uhrtranslate.runs.events import ImageResult, OnEvent
from uhrtranslate.runs.items import Item, Task
from uhrtranslate.runs.many_images import run_tasks
from uhrtranslate.runs.one_image import process_file


def warp(
    moving: Path | str,
    transform: Path,
    output: Path,
    options: ImageOptions,
    on_event: OnEvent = lambda event: None,
    sampling: Sampling = "cubic",
) -> ImageResult:
    """Write the moving slide as it is seen in the fixed slide's frame.

    Args:
        moving: the slide or its URL.
        transform: file that `uhrt register` wrote for it.
        output: the file to write.
        options: region and resolution are those of the fixed slide.
        on_event: called with the start, with progress and with the result.
        sampling: how pixels are interpolated.

    Raises:
        UhrError: one sentence that says what is wrong with which file or option.
    """
    recipe = Warped(options, read_transform(transform), transform.name, sampling)
    if options.cluster is None:
        return process_file(recipe, moving, output, on_event)
    task = Task(Item(Found.at(moving)), options, output)
    (result,) = run_tasks([task], output, on_cluster(options, Made(recipe)), on_event)
    if result.status == "failed":
        raise ClusterError(result.error or f"{moving}: failed.")
    return result


def warp_points(
    source: Path, transform: Path, output: Path, to: Side = "fixed", overwrite: bool = False
) -> tuple[int, int]:
    """Move annotations from one slide to the other; see `move_points`."""
    return _move_points(source, output, read_transform(transform), to, overwrite)
