"""Pictures of two slides in one frame, from which registrations are found and judged."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.io import Pixels, Slide, open_view, thumbnail
from uhrtranslate.registration import Transform
from uhrtranslate.registration.looks import Picture, density
from uhrtranslate.tissue import detect_tissue


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


def pair_pictures(moving: Slide, fixed: Slide, transform: Transform, side: int) -> PairPictures:
    """Pictures of at most `side` px a side of two slides through a transform."""
    info = fixed.info
    shrink = min(side / max(info.width, info.height), 1.0)
    w, h = max(round(info.width * shrink), 1), max(round(info.height * shrink), 1)
    one = thumbnail(open_view(fixed), w, h)
    other = thumbnail(open_view(WarpedSlide(moving, transform)), w, h)
    xs, ys = (np.arange(w) + 0.5) * info.width / w, (np.arange(h) + 0.5) * info.height / h
    return PairPictures(one, other, detect_tissue(one), inside(transform, xs, ys))


def inside(
    transform: Transform, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Where the moving slide covers the crossings of columns and rows of the fixed one, [h, w]."""
    at = transform.lattice(xs, ys)
    within = (at > 0) & (at < (transform.moving.width, transform.moving.height))
    return np.asarray(within.all(axis=-1), np.bool_)
