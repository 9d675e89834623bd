"""A picture of source and result side by side."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from uhrtranslate.errors import OutputError
from uhrtranslate.io import (
    OutputSpec,
    Pixels,
    SlideView,
    compose,
    fitted_thumbnail,
    narrowed,
    open_slide,
    open_view,
    open_writer,
)
from uhrtranslate.io.files.inputs import PREVIEW

# Longer side of each half in px, and the white gap between them.
SIDE = 1024
GAP = 8


def preview_path(result: Path, overwrite: bool) -> Path:
    """Where the preview of a result goes, `NAME.preview.png` beside it.

    Raises:
        OutputError: it exists already.
    """
    target = result.with_name(f"{result.stem}{PREVIEW}")
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists already; use --overwrite to replace it.")
    return target


def write_preview(view: SlideView, result: Path, target: Path) -> None:
    """Write a PNG with the source on the left and the result on the right, replacing `target`.

    Channels are laid over each other in their colours.

    Raises:
        OutputError: it cannot be written.
    """
    with narrowed(open_slide(result, channels=True)) as slide:
        after = _picture(open_view(slide))
    before = _picture(replace(view, slide=narrowed(view.slide)))
    height = len(before)
    gap = np.full((height, GAP, 3), 255, np.uint8)
    pixels = np.concatenate([before, gap, after], axis=1)
    spec = OutputSpec(width=pixels.shape[1], height=height, icc_profile=view.info.icc_profile)
    with open_writer(target, spec, overwrite=True) as writer:
        writer.write(0, 0, pixels)


def _picture(view: SlideView) -> Pixels:
    pixels = fitted_thumbnail(view, SIDE)
    return compose(pixels, view.info.channels) if view.info.channels else pixels
