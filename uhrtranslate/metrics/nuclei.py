"""Nuclei by a small classical detector, and how far those of two pictures agree.

Nuclei are blobs that are dark with hematoxylin or DAB: local maxima of a Laplacian of Gaussian
(Lindeberg 1998) whose width is that of a nucleus. It counts what looks like a nucleus, not what a
pathologist calls one; it is good for comparing two pictures of the same place.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, gaussian_laplace
from scipy.spatial import cKDTree
from skimage.feature import peak_local_max

from uhrtranslate.metrics.dab import hed_stains
from uhrtranslate.metrics.masks import MaskCounts, mask_counts
from uhrtranslate.metrics.planes import Halo, Pixels, inside
from uhrtranslate.metrics.sums import Sums

# Radius of a nucleus in µm, and the resolution that is taken if none is known.
RADIUS, USUAL_MPP = 3.5, 0.5
# Largest standard deviation in px, so that the halo of a block is enough, and the smallest.
_WIDEST, _NARROWEST = 12.0, 1.0
# Least response of a nucleus, and least density of what belongs to one: of stains as `rgb2hed`
# gives them (hematoxylin and DAB together).
RESPONSE, DENSITY = 0.012, 0.05
# Two detections are of one nucleus if they are within this share of its radius.
_NEAR = 1.0
Points = NDArray[np.int64]
# Gives an area's centres of nuclei, and its px of nuclei: see `find_nuclei`.
Finder = Callable[[Pixels], tuple[Points, NDArray[np.bool_]]]
_NO_MASKS = MaskCounts()


@dataclass(frozen=True)
class NucleiSums(Sums):
    """Nuclei of two pictures, added up over areas.

    Attributes:
        result, other: how many there are in each.
        matched: how many of the other's are the nearest of their own nearest in the result.
        masks: px of nuclei in both.
    """

    result: int = 0
    other: int = 0
    matched: int = 0
    masks: MaskCounts = _NO_MASKS

    @property
    def f1(self) -> float | None:
        """2 matched / (result + other); None without nuclei."""
        total = self.result + self.other
        return 2 * self.matched / total if total else None

    @property
    def ratio(self) -> float | None:
        """Nuclei of the result over those of the other; None if that has none."""
        return self.result / self.other if self.other else None


def nucleus_width(mpp: float | None) -> float:
    """Standard deviation of the Gaussian that fits a nucleus, in px."""
    sigma = RADIUS / (mpp or USUAL_MPP) / math.sqrt(2)
    return min(max(sigma, _NARROWEST), _WIDEST)


def find_nuclei(pixels: Pixels, sigma: float) -> tuple[Points, NDArray[np.bool_]]:
    """Centres of nuclei as rows of y and x, and the px that belong to nuclei, [h, w].

    Args:
        pixels: [h, w, 3] uint8.
        sigma: see `nucleus_width`.
    """
    stained = hed_stains(pixels, 0) + hed_stains(pixels, 2)
    response = -(sigma**2) * gaussian_laplace(stained, sigma, mode="nearest")
    centres: Points = peak_local_max(  # type: ignore[no-untyped-call]
        response, min_distance=max(1, round(sigma)), threshold_abs=RESPONSE, exclude_border=False
    )
    smooth = gaussian_filter(stained, sigma / 2, mode="nearest")
    mask: NDArray[np.bool_] = (response > 0) & (smooth > DENSITY)
    return centres, mask


def nuclei_sums(
    result: Pixels, other: Pixels, halo: Halo, sigma: float, find: Finder | None = None
) -> NucleiSums:
    """Find the nuclei of an area in two pictures, and match them.

    Two nuclei match if each is the other's nearest, within a nucleus's radius. They are counted
    in the area where the other picture's one lies, so every nucleus counts once.

    Args:
        result, other: [h, w, 3] uint8, of the same place.
        halo: px that belong to neighbouring areas.
        sigma: see `nucleus_width`; also says how near matching nuclei are.
        find: finds nuclei; by default `find_nuclei`.
    """
    rows, columns = inside(result, halo)
    find = find or (lambda pixels: find_nuclei(pixels, sigma))
    found = [find(pixels) for pixels in (result, other)]
    (ours, our_mask), (theirs, their_mask) = found
    own, own_theirs = (_within(points, rows, columns) for points in (ours, theirs))
    masks = mask_counts(our_mask[rows, columns], their_mask[rows, columns])
    matched = 0
    if len(ours) and len(theirs):
        reach = _NEAR * sigma * math.sqrt(2)
        there, to_theirs = cKDTree(theirs).query(ours, distance_upper_bound=reach)
        _, to_ours = cKDTree(ours).query(theirs, distance_upper_bound=reach)
        mutual = np.isfinite(there)
        mutual[mutual] = to_ours[to_theirs[mutual]] == np.flatnonzero(mutual)
        matched = int(own_theirs[to_theirs[mutual]].sum())
    return NucleiSums(int(own.sum()), int(own_theirs.sum()), matched, masks)


def _within(points: Points, rows: slice, columns: slice) -> NDArray[np.bool_]:
    y, x = points[:, 0], points[:, 1]
    found: NDArray[np.bool_] = (
        (y >= rows.start) & (y < rows.stop) & (x >= columns.start) & (x < columns.stop)
    )
    return found
