"""Two slides in one frame, place by place: what both show there, and how well they agree."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.errors import InputError
from uhrtranslate.io import (
    Pixels,
    SlideView,
    Source,
    Stated,
    open_slide,
    open_view,
    same_size,
    shown,
)
from uhrtranslate.io.slide import SlideInfo
from uhrtranslate.recipes.pictures_of_pairs import SlidePair
from uhrtranslate.registration import Frame, Transform
from uhrtranslate.registration.agreement import agreement
from uhrtranslate.tissue import detect_tissue, is_dark_field

# Points a side of a patch that must lie inside of the moving slide.
POINTS = 9
# Px that they may lie outside: half a pixel shows nothing invented.
SLACK = 0.5


@dataclass(frozen=True)
class Limits:
    """What is asked of a pair of patches.

    Attributes:
        tissue: least share of tissue of either; 0 skips this and the next.
        overlap: least share of the tissue of either that both have.
        ncc: least local normalized cross-correlation, see `agreement`.
    """

    tissue: float = 0.25
    overlap: float = 0.5
    ncc: float = 0.2


@dataclass(frozen=True)
class Place:
    """A place of a pair.

    Attributes:
        x, y: of its first pixel, in px of the views.
        tissue: share of tissue, of A and B.
        overlap: share of the tissue of either that both have; 0 without any.
        inside: whether the moving slide covers all of it.
        ncc: see `agreement`; None if it was not asked for.
    """

    x: int
    y: int
    tissue: tuple[float, float]
    overlap: float
    inside: bool
    ncc: float | None = None

    def doubt(self, limits: Limits) -> str:
        """Why the place is no pair of patches, in a word; empty if it is one."""
        if not self.inside:
            return "outside"
        if limits.tissue > 0 and min(self.tissue) < limits.tissue:
            return "blank"
        if limits.tissue > 0 and self.overlap < limits.overlap:
            return "overlap"
        if self.ncc is not None and self.ncc < limits.ncc:
            return "ncc"
        return ""


@dataclass(frozen=True, eq=False)
class Aligned:
    """Two slides in the frame of the fixed one.

    Attributes:
        views: of A and B, of one size; one of the two is warped.
        paths: of both.
        transform: by which one is warped.
        moves: whether that is A.
        masks: of the tissue of A and B, [h, w] each, of one size.
        inside: what the moving slide covers, of the same size.
        sign: -1 if one of the two is a dark field, whose tissue is bright; else 1.
    """

    views: tuple[SlideView, SlideView]
    paths: tuple[str, str]
    transform: Transform
    moves: bool
    masks: tuple[NDArray[np.bool_], NDArray[np.bool_]] = field(repr=False)
    inside: NDArray[np.bool_] = field(repr=False)
    sign: int = 1

    @property
    def frame(self) -> Frame:
        """The fixed slide's, in whose level-0 px places are told."""
        return self.transform.fixed

    def look(self, x: int, y: int, size: int) -> Place:
        """What is known of a patch of `size` px before it is read."""
        width, height = self.views[0].width, self.views[0].height
        h, w = self.masks[0].shape
        top, bottom = y * h / height, (y + size) * h / height
        left, right = x * w / width, (x + size) * w / width
        window = (slice(int(top), max(round(bottom), int(top) + 1)),
                  slice(int(left), max(round(right), int(left) + 1)))  # fmt: skip
        one, other = (mask[window] for mask in self.masks)
        either, both = int((one | other).sum()), int((one & other).sum())
        shares = round(float(one.mean()), 4), round(float(other.mean()), 4)
        overlap = round(both / either, 4) if either else 0.0
        return Place(x, y, shares, overlap, self._inside(x, y, size))

    @property
    def frame_view(self) -> SlideView:
        """The view of the fixed slide, which says the mpp of both."""
        return self.views[1 if self.moves else 0]

    def read(self, place: Place, size: int) -> tuple[Place, tuple[Pixels, Pixels]]:
        """Both patches of a place, [size, size, 3] uint8, and the place with its `ncc`."""
        one, other = (view.read(place.x, place.y, size, size) for view in self.views)
        return replace(place, ncc=round(self.sign * agreement(one, other), 4)), (one, other)

    def _inside(self, x: int, y: int, size: int) -> bool:
        frame, moving = self.frame, self.transform.moving
        steps = np.linspace(0, size, POINTS)
        xs = (x + steps) * frame.width / self.views[0].width
        ys = (y + steps) * frame.height / self.views[0].height
        points = self.transform.lattice(xs, ys)
        size_of = np.array([moving.width, moving.height])
        return bool(((points >= -SLACK) & (points <= size_of + SLACK)).all())


@contextmanager
def open_aligned(
    a: Source,
    b: Source,
    transform: Transform,
    name: str,
    level: int | None = None,
    mpp: float | None = None,
    stated: Stated | None = None,
    sparse: bool = False,
) -> Iterator[Aligned]:
    """Open two slides in one frame, during the block.

    Args:
        a, b: the slides of a pair, in any order; see `moves`.
        transform: between them.
        name: of its file, for errors.
        level, mpp: resolution of both, of the fixed slide; see `open_view`.
        stated: what the fixed slide is stated to have.
        sparse: accept TIFFs that lack nearly all of their tiles.

    Raises:
        InputError: a slide cannot be read, or the transform is of others.
        OptionError: the fixed slide has no such level or mpp.
    """
    with ExitStack() as opened:
        slides = [opened.enter_context(open_slide(one, sparse=sparse)) for one in (a, b)]
        first = moves(slides[0].info, slides[1].info, transform, name)
        moving, fixed = slides if first else slides[::-1]
        if stated is not None:
            stated.of(fixed)
        frame = open_view(fixed, level, mpp)
        warped = open_view(WarpedSlide(moving, transform))
        lying = same_size(warped, frame.width, frame.height)
        pictures = SlidePair(moving, fixed).pictures(transform)
        tissue = detect_tissue(pictures.moving) & pictures.inside, pictures.tissue
        yield Aligned(
            views=(lying, frame) if first else (frame, lying),
            paths=(shown(a), shown(b)),
            transform=transform,
            moves=first,
            masks=tissue if first else tissue[::-1],
            inside=pictures.inside,
            sign=-1 if is_dark_field(pictures.moving) != is_dark_field(pictures.fixed) else 1,
        )


def moves(a: SlideInfo, b: SlideInfo, transform: Transform, name: str) -> bool:
    """Whether of two slides the first is the transform's moving one; else the second is.

    Sizes tell, then names; where both are equal, the first is, as in `uhrt register MOVING FIXED`.

    Args:
        a, b: the slides.
        transform: which has the sizes and names of both.
        name: of its file.

    Raises:
        InputError: it is of other slides, or nothing tells which is which.
    """

    def fits(one: SlideInfo, frame: Frame) -> bool:
        return (one.width, one.height) == (frame.width, frame.height)

    def named(one: SlideInfo, frame: Frame) -> bool:
        return Path(one.path).name == frame.name

    moving, fixed = transform.moving, transform.fixed
    orders = [fits(a, moving) and fits(b, fixed), fits(b, moving) and fits(a, fixed)]
    names = [named(a, moving) and named(b, fixed), named(b, moving) and named(a, fixed)]
    if orders == [True, True]:
        orders = names
        if not any(names):
            raise InputError(
                f"{name}: was made for {moving.name} and {fixed.name}; {a.path} and {b.path} have "
                "their size, but other names, so nobody can tell which is which; name them so."
            )
    if not any(orders):
        raise InputError(
            f"{name}: was made for {moving.name} ({moving.width} x {moving.height} px) and "
            f"{fixed.name} ({fixed.width} x {fixed.height} px), not for {a.path} ({a.width} x "
            f"{a.height} px) and {b.path} ({b.width} x {b.height} px); name the right pair."
        )
    return orders[0]
