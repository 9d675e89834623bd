"""The pictures of a report, read from evaluated images of any size."""

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from uhrtranslate.errors import InputError
from uhrtranslate.evaluation.images import matching_view, read8
from uhrtranslate.evaluation.made import read_made
from uhrtranslate.evaluation.result import Evaluation
from uhrtranslate.geometry import Box
from uhrtranslate.io import (
    SlideView,
    fitted_thumbnail,
    in_colours,
    open_slide,
    open_view,
    same_size,
    thumbnail,
)
from uhrtranslate.metrics.seams.borders import Border
from uhrtranslate.report import BorderCrop, Picture, Scene
from uhrtranslate.report.facts import Pixels

# Sides in px: of the crop around a border, of the picture under a heat map, of a scene.
CROP = 64
BACKDROP = 480
LARGEST_SCENE, SMALLEST_SCENE = 1024, 192
# Scenes of true pixels besides the overview, and px of all scenes together: about 8 MB as JPEG.
PLACES = 3
PIXELS = 10_000_000


@contextmanager
def open_evaluated(evaluation: Evaluation) -> Iterator[SlideView]:
    """An image as it was evaluated.

    Raises:
        InputError: it cannot be read.
    """
    with in_colours(open_slide(evaluation.places[0], channels=True)) as slide:
        view = open_view(slide, None, None, evaluation.region)
        yield same_size(view, evaluation.width, evaluation.height)


@contextmanager
def open_source(evaluation: Evaluation) -> Iterator[SlideView]:
    """The same area of an evaluation's source, at the same size.

    Raises:
        InputError: one of the two cannot be read, or there is no source.
    """
    place = evaluation.places[1]
    if place is None:
        raise InputError(f"{evaluation.input}: has no source.")
    with (
        open_evaluated(evaluation) as view,
        in_colours(open_slide(place, sparse=True, channels=True)) as slide,
    ):
        yield matching_view(slide, view, read_made(evaluation.places[0]))


def border_crops(evaluation: Evaluation) -> tuple[BorderCrop, ...]:
    """True pixels around the worst borders, also of the source."""
    if not evaluation.borders:
        return ()
    with ExitStack() as stack:
        after = stack.enter_context(open_evaluated(evaluation))
        before = None
        if evaluation.source:
            before = stack.enter_context(open_source(evaluation))
        return tuple(_crop(border, after, before) for border in evaluation.borders)


def backdrop(evaluation: Evaluation) -> Pixels:
    """A small picture of the whole image."""
    with open_evaluated(evaluation) as view:
        return fitted_thumbnail(view, BACKDROP)


def scenes(named: Sequence[tuple[str, Evaluation]], places: int = PLACES) -> tuple[Scene, ...]:
    """An overview and some places in true pixels, of several images of one size.

    Args:
        named: names and evaluations of images of one source; at least one.
        places: most places in true pixels; none if the overview has true pixels.
    """
    first = named[0][1]
    width, height = first.width, first.height
    images = [(name, open_evaluated, evaluation) for name, evaluation in named]
    if first.source:
        images.insert(0, ("source", open_source, first))
    each = PIXELS // len(images)
    whole = min(LARGEST_SCENE, math.isqrt(each // 2))
    scale = min(1.0, whole / max(width, height))
    overview = max(1, round(width * scale)), max(1, round(height * scale))
    left = max(each - overview[0] * overview[1], 0)
    side = min(max(math.isqrt(left // PLACES), SMALLEST_SCENE), LARGEST_SCENE)
    boxes = choose_boxes([evaluation for _, evaluation in named], side) if scale < 1 else []
    pictures: list[list[Picture]] = [[] for _ in range(1 + len(boxes[:places]))]
    for name, opened, evaluation in images:
        with opened(evaluation) as view:
            pictures[0].append(Picture(name, thumbnail(view, *overview)))
            for found, (box, _) in zip(pictures[1:], boxes, strict=False):
                found.append(Picture(name, read8(view, box.x, box.y, box.w, box.h)))
    note = f"the whole image, {width:,} x {height:,} px"
    if scale < 1:
        note += f", at {scale:.1%} of its size"
    found_scenes = [Scene("Overview", note, scale, tuple(pictures[0]))]
    for number, ((box, why), found) in enumerate(zip(boxes, pictures[1:], strict=False), 1):
        where = f"true pixels, {box.w} x {box.h} from {box.x:,}, {box.y:,}: {why}"
        found_scenes.append(Scene(f"Place {number}", where, 1.0, tuple(found)))
    return tuple(found_scenes)


def choose_boxes(evaluations: Sequence[Evaluation], side: int) -> list[tuple[Box, str]]:
    """Places of `side` px around the worst borders of all images of one size, each with its reason.

    They do not overlap. Without any border: the middle of the image.
    """
    width, height = evaluations[0].width, evaluations[0].height
    w, h = min(side, width), min(side, height)
    worst = sorted(
        (border for evaluation in evaluations for border in evaluation.borders),
        key=lambda border: -border.step,
    )
    boxes: list[tuple[Box, str]] = []
    for border in worst:
        x, y = _inside(border.x, w, width), _inside(border.y, h, height)
        if all(abs(x - box.x) >= w or abs(y - box.y) >= h for box, _ in boxes):
            why = f"a border that shows by {border.step:.1f} grey levels"
            boxes.append((Box(x, y, w, h), why))
    middle = Box((width - w) // 2, (height - h) // 2, w, h)
    return boxes[:PLACES] or [(middle, "the middle")]


def _crop(border: Border, after: SlideView, before: SlideView | None) -> BorderCrop:
    w, h = min(CROP, after.width), min(CROP, after.height)
    x, y = _inside(border.x, w, after.width), _inside(border.y, h, after.height)
    return BorderCrop(
        border.axis,
        border.x,
        border.y,
        border.step,
        read8(after, x, y, w, h),
        None if before is None else read8(before, x, y, w, h),
    )


def _inside(centre: int, side: int, whole: int) -> int:
    """Start of a span of `side` around a centre, moved inside `0 <= p < whole`."""
    return min(max(centre - side // 2, 0), whole - side)
