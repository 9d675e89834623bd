"""Pictures of two slides in one frame, from which registrations are found and judged."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.io import Pixels, Slide, fitted_thumbnail, open_view, thumbnail
from uhrtranslate.registration import Transform
from uhrtranslate.registration.looks import Picture, density
from uhrtranslate.tissue import detect_tissue

# Longest side in px of the pictures in which pairs are laid on each other, and judged.
SIDE = 1024


@dataclass(frozen=True, eq=False)
class SlidePair:
    """Two open slides, and pictures of them that are made once: a slide may lack small levels.

    Attributes:
        moving, fixed: the slides.
    """

    moving: Slide
    fixed: Slide

    @property
    def same_scale(self) -> bool:
        """Whether both say their mpp, so that their thumbnails have one resolution."""
        return self.moving.info.mpp is not None and self.fixed.info.mpp is not None

    @cached_property
    def thumbnails(self) -> tuple[Pixels, Pixels]:
        """Moving and fixed, [h, w, 3] uint8, of at most `SIDE` px; see `same_scale`."""
        sides = [SIDE, SIDE]
        if self.same_scale:  # the coarser picture decides, so that both have one resolution
            sizes = [
                max(one.info.width, one.info.height) * max(one.info.mpp or (1,))
                for one in (self.moving, self.fixed)
            ]
            sides = [max(round(SIDE * size / max(sizes)), 64) for size in sizes]
        one = fitted_thumbnail(open_view(self.moving), sides[0])
        return one, self.still if sides[1] == SIDE else fitted_thumbnail(
            open_view(self.fixed), sides[1]
        )

    @cached_property
    def still(self) -> Pixels:
        """The whole fixed slide at `SIDE` px, [h, w, 3] uint8."""
        return fitted_thumbnail(open_view(self.fixed), SIDE)

    @cached_property
    def tissue(self) -> NDArray[np.bool_]:
        """The tissue of `still`, [h, w]."""
        return detect_tissue(self.still)

    def pictures(self, transform: Transform) -> "PairPictures":
        """Both at `SIDE` px in the fixed slide's frame."""
        info = self.fixed.info
        h, w = self.tissue.shape
        moved = thumbnail(open_view(WarpedSlide(self.moving, transform)), w, h)
        xs, ys = (np.arange(w) + 0.5) * info.width / w, (np.arange(h) + 0.5) * info.height / h
        return PairPictures(self.still, moved, self.tissue, inside(transform, xs, ys))


@dataclass(frozen=True, eq=False)
class PairPictures:
    """The whole fixed slide, and the moving one as it lies on it.

    Attributes:
        fixed, moving: [h, w, 3] uint8.
        tissue: [h, w], of the fixed slide.
        inside: [h, w], what the moving slide covers.
    """

    fixed: Pixels
    moving: Pixels
    tissue: NDArray[np.bool_]
    inside: NDArray[np.bool_]

    @property
    def looks(self) -> tuple[Picture, Picture]:
        """Fixed and moving as densities in 0..1; outside of the moving slide is glass."""
        return density(self.fixed), density(self.moving)

    @property
    def covered(self) -> float:
        """Share of the tissue that the moving slide covers."""
        count = int(self.tissue.sum())
        return float((self.inside & self.tissue).sum() / count) if count else 0.0


def inside(
    transform: Transform, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where the moving slide covers the crossings of columns and rows of the fixed one, [h, w]."""
    at = transform.lattice(xs, ys)
    within = (at > 0) & (at < (transform.moving.width, transform.moving.height))
    return np.asarray(within.all(axis=-1), np.bool_)
