"""What all methods made of a slide, side by side, for the page of a benchmark."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from uhrtranslate.evaluation.benchmark import Outcome
from uhrtranslate.evaluation.images import matching_view
from uhrtranslate.evaluation.made import read_made
from uhrtranslate.evaluation.pictures import PIXELS
from uhrtranslate.io import (
    SlideView,
    Source,
    in_colours,
    open_slide,
    open_view,
    thumbnail,
)
from uhrtranslate.io.files.remote import is_url
from uhrtranslate.report import Picture, Scene

# Slides that are shown, and the longest side of a picture.
MOST_SCENES, LARGEST = 6, 512


def side_by_side(
    outcomes: Sequence[Outcome], methods: Sequence[str], slides: Mapping[str, Source]
) -> tuple[Scene, ...]:
    """A scene for each of the first slides: source, truth, and the results of its first seed.

    Args:
        outcomes: of all methods; failed ones are left out.
        methods: in their order.
        slides: where they are, by name.

    Raises:
        InputError: an image has disappeared since it was evaluated.
    """
    found = []
    for name, place in list(slides.items())[:MOST_SCENES]:
        done = [one for one in outcomes if one.slide == name and one.output is not None]
        first = {
            method: next(one for one in done if one.method == method)
            for method in methods
            if any(one.method == method for one in done)
        }
        if first:
            found.append(_scene(name, place, first))
    return tuple(found)


def _scene(name: str, place: Source, results: Mapping[str, Outcome]) -> Scene:
    any_of = next(iter(results.values()))
    shown: dict[str, Callable[[], AbstractContextManager[SlideView]]] = {
        "source": lambda: _beside(place, any_of)
    }
    if (truth := any_of.truth) is not None:
        shown["truth"] = lambda: _beside(truth if is_url(truth) else Path(truth), any_of)
    for method, one in results.items():
        shown[method] = lambda one=one: _result(one)  # type: ignore[misc]
    with _result(any_of) as view:
        longest = max(view.width, view.height)
        side = min(LARGEST, math.isqrt(PIXELS // MOST_SCENES // len(shown)))
        scale = min(1.0, side / longest)
        size = max(1, round(view.width * scale)), max(1, round(view.height * scale))
        note = f"{view.width:,} x {view.height:,} px, seed {any_of.seed}"
    pictures = []
    for title, opened in shown.items():
        with opened() as view:
            pictures.append(Picture(title, thumbnail(view, *size)))
    if scale < 1:
        note += f", at {scale:.1%} of its size"
    return Scene(name, note, scale, tuple(pictures))


@contextmanager
def _result(one: Outcome) -> Iterator[SlideView]:
    with in_colours(open_slide(Path(str(one.output)))) as slide:
        yield open_view(slide, None, None, one.part)


@contextmanager
def _beside(place: Source, one: Outcome) -> Iterator[SlideView]:
    """The same area of another image."""
    with _result(one) as view, in_colours(open_slide(place)) as slide:
        yield matching_view(slide, view, read_made(Path(str(one.output))))
