"""What generators take of source patches: planes, made with the histogram of the whole image."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from pathlib import Path

import numpy as np

from uhrtranslate.enhance import Stack, Tally, are_matched
from uhrtranslate.errors import InputError
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.threads import Workers, result_of
from uhrtranslate.training.data.augment import Floats, as_floats

# Images whose tables are kept: half a megabyte each if they have 16 bits.
KEPT = 512

Views = Callable[[Path], AbstractContextManager[SlideView]]
"""Opens the part of an image that patches are drawn from, by the image's path."""


class Planes:
    """Makes the planes of patches; safe from several threads.

    Args:
        names: of the planes, in `tables.PLANES`.
        views: opens images of A.
        histograms: of all images of each domain together (A, B), if a plane needs them.
    """

    def __init__(self, names: Sequence[str], views: Views, histograms: dict[str, Tally]) -> None:
        def stack_of(path: Path) -> Stack:
            if not are_matched(names):
                return Stack(names)
            with views(path) as view:
                return Stack(names, Tally.of_image(view), histograms["B"])

        self._stack_of = lru_cache(KEPT)(stack_of)

    def make(self, path: Path, pixels: Pixels, changed: Floats | None) -> Floats:
        """The planes of a patch.

        Args:
            path: of the image that it is from.
            pixels: of the patch, [h, w, 3] of 8 or 16 bits.
            changed: the same, [3, h, w] in -1..1, if its colours were changed. Matched planes do
                not follow, since the histogram of an image whose colours change does, too.

        Returns: [c, h, w] in -1..1.
        """
        stack = self._stack_of(path)
        if changed is None:
            return as_floats(stack(pixels))
        coloured = ((changed + 1) * 127.5 + 0.5).astype(np.uint8).transpose(1, 2, 0)
        matched = [t is not None for plane, t in stack.planes for _ in range(plane.channels)]
        return as_floats(np.where(matched, stack(pixels), stack(coloured)))


def count_levels(
    domains: Mapping[str, tuple[Views, Sequence[Path]]], workers: int
) -> dict[str, Tally]:
    """The histogram of all images of each domain, read once.

    Args:
        domains: how to open images, and which, by domain.
        workers: threads.

    Raises:
        InputError: an image is damaged.
    """

    def count(views: Views, path: Path) -> Tally:
        with views(path) as view:
            return Tally.of_image(view)

    with Workers(workers, "uhrt-count") as pool:
        counting = {
            name: [pool.submit(count, views, path) for path in paths]
            for name, (views, paths) in domains.items()
        }
        totals = {name: Tally.nothing() for name in domains}
        for name, ones in counting.items():
            while ones:  # each is forgotten, as those of 16 bits take half a megabyte
                totals[name] += result_of(ones.pop(0))
        return totals


def check_dark(histograms: dict[str, Tally], source: Path, target: Path | None) -> None:
    """Refuse sources that are no dark fields, as enhanced planes would be wrong for them.

    Raises:
        InputError: they are not darker than the stained images.
    """
    if histograms["A"].mean >= histograms["B"].mean:
        raise InputError(
            f"{source}: its images are as bright as the stained ones ({target or source}), so they "
            "are no dark fields, which enhanced planes are made for; give dark fields as data.a, "
            "or set generator.inputs: [rgb]."
        )
