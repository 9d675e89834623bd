"""The images that an evaluation compares: finding those that belong together, at one size."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from uhrtranslate.errors import InputError
from uhrtranslate.evaluation.made import Made
from uhrtranslate.io import (
    Found,
    Pixels,
    Slide,
    SlideView,
    Source,
    Stated,
    find_sources,
    narrowed,
    open_slide,
    open_view,
    result_stem,
    same_size,
    to_bits,
)
from uhrtranslate.options import Region
from uhrtranslate.tables import RESULT_SUFFIXES

# What an image can be compared with, each an option of the evaluation.
Partner = Literal["source", "truth", "baseline", "retiled"]
PARTNERS: tuple[Partner, ...] = ("source", "truth", "baseline", "retiled")
# Largest difference in aspect between two images of the same area.
_ASPECT = 0.01


@contextmanager
def opened(
    image: Source,
    level: int | None,
    mpp: float | None,
    region: Region | None = None,
    stated: Stated | None = None,
    channels: bool = False,
) -> Iterator[SlideView]:
    """A view of an image of colours, or if they are wanted of channels, in 8 bits.

    Args:
        image: its path.
        level, mpp, region: see `open_view`.
        stated: its resolution.
        channels: whether one of channels is opened, too.

    Raises:
        InputError: it cannot be read.
    """
    with narrowed(open_slide(image, channels=channels, stated=stated)) as slide:
        yield open_view(slide, level, mpp, region)


def read8(view: SlideView, x: int, y: int, w: int, h: int) -> Pixels:
    """Pixels of a view in 8 bits."""
    return to_bits(view.read(x, y, w, h), view.info.bits)


def images_in(place: Source, results: bool = False) -> list[Source]:
    """All images of a folder, or the one that is named; our own results only if asked for.

    Raises:
        InputError: there are none, or one is missing.
    """
    return find_sources(place, () if results else RESULT_SUFFIXES)


def find_partner(
    place: Source | None, image: Source, root: Path | None, results: bool = False
) -> Source | None:
    """The image that belongs to another: `place` itself, or the one of the same name in it.

    Endings, and what a translation adds to a name, do not count (`slide.pooled.tif` belongs to
    `slide.svs`). An image in the same subfolder is preferred.

    Raises:
        InputError: the folder has no such image, or several.
    """
    if not isinstance(place, Path) or not place.is_dir():
        return place
    named = Found.at(image)
    stem = result_stem(named.path.name, RESULT_SUFFIXES)
    of_name = [
        path
        for path in images_in(place, results)
        if isinstance(path, Path) and result_stem(path.name, RESULT_SUFFIXES) == stem
    ]
    if root is not None and len(of_name) > 1:
        below = named.path.relative_to(root).parent
        of_name = [path for path in of_name if path.parent == place / below] or of_name
    if len(of_name) != 1:
        what = "has no image" if not of_name else f"has {len(of_name)} images"
        raise InputError(
            f"{place}: {what} named {stem}, to go with {named.name}; names must be equal but for "
            "their endings."
        )
    return of_name[0]


def matching_view(slide: Slide, view: SlideView, made: Made) -> SlideView:
    """The part of another image that shows the same area as a view, at the view's size.

    Args:
        slide: the other image, at any resolution.
        view: of the evaluated image.
        made: how that was made: perhaps of a part of the other image.

    Raises:
        InputError: the two images have different shapes.
    """
    if part := made.same_part(slide, view):
        return part
    other, info = slide.info, view.info
    across, down = other.width / info.width, other.height / info.height
    if abs(across / down - 1) > _ASPECT:
        raise InputError(
            f"{other.path}: is {other.width} x {other.height} px, which is another shape than the "
            f"{info.width} x {info.height} px of {info.path}, and that does not say in its tags "
            "that it is a part of it; give images of the same area."
        )
    x, y, w, h = view.region
    left, top = int(x * across), int(y * down)
    region = (
        left,
        top,
        max(1, min(round(w * across), other.width - left)),
        max(1, min(round(h * down), other.height - top)),
    )
    return same_size(open_view(slide, None, None, region), view.width, view.height)
