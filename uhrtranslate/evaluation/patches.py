"""Patches for figures: where they are cut, and populations drawn from many images."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.errors import InputError, UhrError
from uhrtranslate.evaluation.images import images_in, opened, read8
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.extractors import CellposeFinder, Lpips
from uhrtranslate.io import SlideView, Source, stated_by
from uhrtranslate.metrics.masks import MaskRecipe
from uhrtranslate.metrics.patches import Box, patches_across_borders, random_patches

Patches = NDArray[np.uint8]

# Pairs of patches for LPIPS and alignment, and how many are cut at a time.
PAIRS, _AT_ONCE = 64, 8
# Unless their number is chosen, patches of a draw cover the images of the smaller population this
# often: more of them show the same pixels again. Of tiny images, there are at least the second.
_COVERED, _LEAST = 4, 8


class Setup:
    """What all figures of an evaluation share.

    Attributes:
        options: of the evaluation.
        real: the real images of the target domain; empty without a reference.
        lpips: the network, if the user has its weights.
        finder: of nuclei, if the user has its weights; else they are found classically.
        warnings: sentences about the figures of all images together; figures add to them.

    Raises:
        UhrError: weights or real images cannot be read.
    """

    def __init__(self, options: EvaluateOptions) -> None:
        self.options = options
        self.lpips = Lpips(*options.lpips) if options.lpips else None
        self.finder = CellposeFinder(options.nuclei_model) if options.nuclei_model else None
        self.real = images_in(options.reference) if options.reference else []
        self.warnings: list[str] = []

    @property
    def mask_recipe(self) -> MaskRecipe:
        """How masks of what is stained brown are made."""
        options = self.options
        return MaskRecipe(options.dab_threshold, options.dab_close, options.dab_median)


@dataclass(frozen=True)
class Seen:
    """An evaluated image: where it and its source are, and px between its borders."""

    image: Source
    source: Source | None
    period: int | None


class Draw(NamedTuple):
    """Patches [n, h, w, 3] uint8, and the number of the image each is from."""

    patches: Patches
    images: list[int]


class Pool:
    """Images that patches are drawn from.

    Images that no patch can be cut from are left out, with a warning.

    Args:
        setup: of the evaluation.
        images: paths, and px between the borders of each.
        count: gives the number of patches in a draw.
        whole: draw from whole images; region and level apply to the evaluated images only.

    Attributes:
        area: of all images, in patches.

    Raises:
        UhrError: no patch can be cut from any of them; says why.
    """

    def __init__(
        self,
        setup: Setup,
        images: Sequence[tuple[Source, int | None]],
        count: Callable[[], int],
        whole: bool = True,
    ) -> None:
        self._count = count
        self.area = 0.0
        self._options = setup.options
        self._whole = whole
        self._images: list[tuple[Source, int | None]] = []
        errors: list[UhrError] = []
        for image, period in images:
            try:
                with self._view(image) as view:
                    boxes_of(view, period, self._options, 1)
                    self.area += view.width * view.height / self._options.patch**2
                self._images.append((image, period))
            except UhrError as error:
                errors.append(error)
        if errors and not self._images:
            raise errors[0]
        setup.warnings += [f"left out of the populations: {one}".rstrip(".") for one in errors]

    def draw(self, draw: int) -> Draw:
        """One draw of patches, about equally many from each image."""
        count, parts = self._count(), len(self._images)
        found: list[Patches] = []
        owners: list[int] = []
        for i, (image, period) in enumerate(self._images):
            share = (i + 1) * count // parts - i * count // parts
            if share:
                with self._view(image) as view:
                    boxes = boxes_of(view, period, self._options, share, draw)
                    found.append(cut(view, boxes))
                    owners += [i] * len(boxes)
        return Draw(np.concatenate(found), owners)

    def _view(self, image: Source) -> AbstractContextManager[SlideView]:
        o = self._options
        level, region = (None, None) if self._whole else (o.level, o.region)
        return opened(image, level, o.mpp, region, stated_by(o, if_unknown=self._whole))


class Populations:
    """The pools of an evaluation, each made when it is first asked for."""

    def __init__(self, setup: Setup, seen: Sequence[Seen]) -> None:
        self._setup = setup
        self._seen = seen

    @cached_property
    def outputs(self) -> Pool:
        """The evaluated images; patches lie across the borders of their tiles."""
        images = [(one.image, one.period) for one in self._seen]
        return Pool(self._setup, images, self._count, whole=False)

    @cached_property
    def real(self) -> Pool:
        """The real images of the target domain."""
        return Pool(self._setup, [(image, None) for image in self._setup.real], self._count)

    @cached_property
    def sources(self) -> Pool:
        """The sources of the evaluated images."""
        images = [(one.source, None) for one in self._seen if one.source]
        return Pool(self._setup, images, self._count)

    def _count(self) -> int:
        """Patches in a draw: as chosen, or as many as the images have room for."""
        options = self._setup.options
        if "patches" in options.model_fields_set:
            return options.patches
        area = min(self.outputs.area, self.real.area)
        return max(_LEAST, min(options.patches, round(_COVERED * area)))


def cut(view: SlideView, boxes: Sequence[Box]) -> Patches:
    """Patches of equal size, [n, h, w, 3]."""
    return np.stack([read8(view, *box) for box in boxes])


def boxes_of(
    view: SlideView, period: int | None, options: EvaluateOptions, count: int, draw: int = 0
) -> list[Box]:
    """Boxes of patches: across borders if there is a grid, else anywhere.

    Args:
        view: in which they lie.
        period: px between its borders, if any.
        options: patch size and seed.
        count: how many at most.
        draw: number of the draw; each has different boxes.

    Raises:
        InputError: the image is smaller than a patch.
    """
    seed, size = options.seed + draw, options.patch
    found: list[Box] = []
    if period is not None:
        found = patches_across_borders(view.width, view.height, period, size, count, seed)
    found = found or random_patches(view.width, view.height, size, count, seed)
    if not found:
        raise InputError(
            f"{view.info.path}: is {view.width} x {view.height} px, smaller than a patch; choose a "
            f"--patch below {size}."
        )
    return found


def mean_over_pairs(
    view: SlideView,
    other: SlideView,
    options: EvaluateOptions,
    distance: Callable[[Patches, Patches], list[float]],
) -> float:
    """Mean distance between patches of two views of the same size."""
    boxes = boxes_of(view, None, options, PAIRS)
    found: list[float] = []
    for first in range(0, len(boxes), _AT_ONCE):
        some = boxes[first : first + _AT_ONCE]
        found += distance(cut(view, some), cut(other, some))
    return float(np.mean(found))
