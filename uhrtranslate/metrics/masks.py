"""Masks of what is stained brown, and how well two of them agree."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_erosion, convolve1d, distance_transform_edt

from uhrtranslate.metrics.dab import hed_stains
from uhrtranslate.metrics.planes import Pixels
from uhrtranslate.metrics.sums import Sums

Mask = NDArray[np.bool_]
# Px of a whole mask, beyond which the distance of two masks is taken on smaller ones.
MOST = 2048 * 2048
_DAB = 2
_SQUARE = np.ones((3, 3), bool)


@dataclass(frozen=True)
class MaskRecipe:
    """How a mask is made: the published one by default (Kataria et al., arXiv 2511.04615).

    Attributes:
        threshold: DAB of scikit-image's `rgb2hed` above which a pixel is positive.
        close: how often the mask is dilated, and then eroded, by a square of 3 x 3 px.
        median: side of the square in which the majority then decides; 1 leaves all as it is.
    """

    threshold: float = 0.07
    close: int = 2
    median: int = 5

    @property
    def halo(self) -> int:
        """Px around a pixel that decide whether it is positive."""
        return 2 * self.close + self.median // 2


def dab_mask(pixels: Pixels, recipe: MaskRecipe) -> Mask:
    """Where DAB is, [h, w]; beyond the image is neither tissue nor gap.

    Args:
        pixels: [h, w, 3] uint8; px within `MaskRecipe.halo` of a block's edge are right only where
            the edge is the image's own.
        recipe: thresholds and morphology.
    """
    mask: Mask = hed_stains(pixels, _DAB) > recipe.threshold
    if recipe.close:
        mask = binary_dilation(mask, _SQUARE, recipe.close)
        mask = binary_erosion(mask, _SQUARE, recipe.close, border_value=1)
    if recipe.median > 1:
        ones = np.ones(recipe.median, np.int32)
        votes = mask.astype(np.int32)
        for axis in (0, 1):
            votes = convolve1d(votes, ones, axis, mode="nearest")
        mask = votes > recipe.median**2 // 2
    return mask


@dataclass(frozen=True)
class MaskCounts(Sums):
    """Px that are positive in both masks, in the result's or the truth's alone, or in none."""

    both: int = 0
    result: int = 0
    truth: int = 0
    none: int = 0

    @property
    def dice(self) -> float | None:
        """2 |A and B| / (|A| + |B|); None if both are empty."""
        return _share(2 * self.both, 2 * self.both + self.result + self.truth)

    @property
    def iou(self) -> float | None:
        """|A and B| / |A or B|; None if both are empty."""
        return _share(self.both, self.both + self.result + self.truth)

    @property
    def sensitivity(self) -> float | None:
        """Share of the truth's positive px that the result has; None without any."""
        return _share(self.both, self.both + self.truth)

    @property
    def precision(self) -> float | None:
        """Share of the result's positive px that the truth has; None without any."""
        return _share(self.both, self.both + self.result)

    @property
    def area(self) -> float | None:
        """Share of px that are positive in the result."""
        return _share(self.both + self.result, self.total)

    @property
    def true_area(self) -> float | None:
        """Share of px that are positive in the truth."""
        return _share(self.both + self.truth, self.total)

    @property
    def total(self) -> int:
        """All px."""
        return self.both + self.result + self.truth + self.none


def mask_counts(result: Mask, truth: Mask) -> MaskCounts:
    """Count the px of two masks of one size."""
    both = int((result & truth).sum())
    only, missed = int(result.sum()) - both, int(truth.sum()) - both
    return MaskCounts(both, only, missed, result.size - both - only - missed)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


@dataclass(frozen=True, eq=False)
class MaskPiece:
    """A part of two masks, at the scale of `distance_scale`: its place there, result and truth."""

    x: int
    y: int
    result: Mask
    truth: Mask


def distance_scale(width: int, height: int) -> int:
    """How many px of an image one px of the masks stands for, each way: a power of two."""
    scale = 1
    while (width // scale) * (height // scale) > MOST:
        scale *= 2
    return scale


def mask_piece(result: Mask, truth: Mask, x: int, y: int, scale: int) -> MaskPiece:
    """A piece of two masks; a px of it is positive if half of those that it stands for are.

    Args:
        result, truth: [h, w].
        x, y: of their corner in the image: multiples of the scale.
        scale: see `distance_scale`.
    """
    return MaskPiece(x // scale, y // scale, _smaller(result, scale), _smaller(truth, scale))


def _smaller(mask: Mask, scale: int) -> Mask:
    if scale == 1:
        return mask
    h, w = mask.shape
    padded = np.pad(mask, ((0, -h % scale), (0, -w % scale)), mode="edge")
    means = padded.reshape(padded.shape[0] // scale, scale, -1, scale).mean(axis=(1, 3))
    smaller: Mask = means >= 0.5
    return smaller


@dataclass(frozen=True)
class Distances:
    """Of the outlines of two masks, in px of the image; see `hausdorff`.

    Attributes:
        largest: the Hausdorff distance.
        most: the 95th percentile of the distances of both directions together.
        mean: of the same distances.
    """

    largest: float
    most: float
    mean: float


def hausdorff(pieces: Sequence[MaskPiece], scale: int) -> Distances | None:
    """How far the outlines of two masks are apart.

    Each px of one mask's outline has its distance from the other's outline; px of an outline are
    those of the mask with one of four neighbours outside of it.

    Args:
        pieces: that make up the masks.
        scale: that they were made at.

    Returns:
        None if one of the masks is empty.
    """
    width = max(one.x + one.result.shape[1] for one in pieces)
    height = max(one.y + one.result.shape[0] for one in pieces)
    outlines = []
    for name in ("result", "truth"):
        mask = np.zeros((height, width), bool)
        for one in pieces:
            part: Mask = getattr(one, name)
            mask[one.y : one.y + part.shape[0], one.x : one.x + part.shape[1]] = part
        outlines.append(mask & ~binary_erosion(mask))
    if not all(outline.any() for outline in outlines):
        return None
    ours, theirs = outlines
    apart = np.concatenate(
        [
            distance_transform_edt(~theirs)[ours],
            distance_transform_edt(~ours)[theirs],
        ]
    )
    apart *= scale
    return Distances(float(apart.max()), float(np.percentile(apart, 95)), float(apart.mean()))
