"""Bring a slide, or annotations, into the frame of another slide."""

from pathlib import Path

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.errors import OutputError
from uhrtranslate.io import open_slide
from uhrtranslate.options import ImageOptions, Sampling
from uhrtranslate.recipes.moved_points import Side
from uhrtranslate.recipes.moved_points import move_points as _move_points
from uhrtranslate.recipes.transform_file import read_transform
from uhrtranslate.recipes.warped import Warped
from uhrtranslate.runs.events import ImageResult, OnEvent
from uhrtranslate.runs.one_image import process_slide


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
    found = read_transform(transform)
    if output.exists() and isinstance(moving, Path) and output.samefile(moving):
        raise OutputError(f"{output}: is the input itself; choose another output with -o.")
    recipe = Warped(options, found, transform.name, sampling)
    with open_slide(moving, sparse=options.allow_sparse) as slide:
        return process_slide(recipe, WarpedSlide(slide, found, sampling), output, on_event)


def warp_points(
    source: Path, transform: Path, output: Path, to: Side = "fixed", overwrite: bool = False
) -> tuple[int, int]:
    """Move annotations from one slide to the other; see `move_points`."""
    return _move_points(source, output, read_transform(transform), to, overwrite)
