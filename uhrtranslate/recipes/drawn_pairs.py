"""Tables of registered slides as a training draws patches from them."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.errors import InputError
from uhrtranslate.io import (
    Slide,
    SlideView,
    Stated,
    fingerprint,
    open_slide,
    open_view,
    same_size,
    stated_by,
)
from uhrtranslate.recipes.aligned import open_aligned
from uhrtranslate.recipes.transform_file import read_transform
from uhrtranslate.registration import Transform
from uhrtranslate.training.data.drawn import Drawn
from uhrtranslate.training.options import DataOptions

View = tuple[SlideView, Callable[[], None]]


def drawn_pairs(slides: Sequence[tuple[Path, Path, Path]], options: DataOptions) -> Drawn:
    """Open all pairs once, and remember where patches can be drawn from them.

    Args:
        slides: paths of A, B and the transform between them, in either direction.
        options: of the training, for the resolution.

    Raises:
        InputError: a file cannot be read, a transform is of other slides, or a slide is in two
            pairs.
        OptionError: a slide has no such level or mpp.
    """
    stated = stated_by(options)
    openings: tuple[dict[Path, Callable[[bool], View]], ...] = ({}, {})
    tissue, inside, signs, records, pairs = {}, {}, {}, [], []
    for a, b, file in slides:
        a, b = a.resolve(), b.resolve()
        for path, known in zip((a, b), openings, strict=True):
            if path in known:
                raise InputError(f"{path}: is in two pairs, so it would count twice; remove one.")
        transform = read_transform(file)
        with open_aligned(
            a, b, transform, str(file), options.level, options.mpp, stated
        ) as aligned:
            frame = aligned.frame_view
            size = frame.width, frame.height
            moves, masks = aligned.moves, aligned.masks
            tissue[a], inside[a] = masks[0] & masks[1], aligned.inside
            signs[a] = aligned.sign
        for path, known, warped in zip((a, b), openings, (moves, not moves), strict=True):
            if warped:
                known[path] = partial(_seen, path, partial(_warped, transform, size), None)
            else:
                plain = partial(open_view, level=options.level, mpp=options.mpp)
                known[path] = partial(_seen, path, plain, stated)
        pairs.append((a, b))
        records.append(_record(file))
    open_a, open_b = (partial(_open, known) for known in openings)
    return Drawn(pairs, open_a, open_b, tissue, inside, signs, records)


def _open(openings: dict[Path, Callable[[bool], View]], path: Path, deep: bool) -> View:
    return openings[path](deep)


def _seen(
    path: Path, view: Callable[[Slide], SlideView], stated: Stated | None, deep: bool
) -> View:
    slide = open_slide(path, deep, stated=stated)
    try:
        return view(slide), slide.close
    except BaseException:
        slide.close()
        raise


def _warped(transform: Transform, size: tuple[int, int], slide: Slide) -> SlideView:
    return same_size(open_view(WarpedSlide(slide, transform)), *size)


def _record(file: Path) -> dict[str, Any]:
    try:
        mark = fingerprint(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be read ({error.strerror}).") from error
    return {"path": str(file.resolve()), "bytes": mark.size, "quickhash": mark.quickhash}
