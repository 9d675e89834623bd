"""The coarse step: how one section as a whole lies on another, found in thumbnails.

Features (SIFT, Lowe 2004) of several looks are matched and fitted by RANSAC; the outlines and
densities of the tissue are laid on each other at all rotations as well, since neighbouring sections
in different stains may share few features. The candidate that correlates best is refined to an
affine map by windows that are looked for nearby.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import gaussian_filter, map_coordinates, zoom
from skimage.feature import SIFT, match_descriptors
from skimage.measure import ransac
from skimage.transform import AffineTransform, SimilarityTransform

from uhrtranslate.errors import InputError
from uhrtranslate.registration.local import match_places
from uhrtranslate.registration.looks import LOOKS, Picture, Pixels, density

# Longest side of the pictures in which features are found, and tissue is laid on tissue.
FEATURES, WHOLE = 640, 96
# Features match if the second best is this much worse (Lowe's ratio; lenient, as stains differ).
RATIO = 0.9
# A match fits if it is within this share of the diagonal.
FITS = 0.01
TRIALS = 1000
ANGLES = 72
# Sizes of moving against fixed that are tried; the last ones only where mpp are not known.
SCALES, UNKNOWN_SCALES = (1.0,), (0.8, 1.0, 1.25)
# Scales that RANSAC may find: with mpp known, sections only shrink a little.
SCALE_LIMITS, UNKNOWN_LIMITS = (0.8, 1.25), (0.2, 5.0)
Array = NDArray[np.float64]


@dataclass(frozen=True)
class CoarseOptions:
    """How the coarse step searches.

    Attributes:
        mirror: also try the moving section turned over.
        same_scale: whether both thumbnails have the same resolution.
        seed: of RANSAC.
    """

    mirror: bool = False
    same_scale: bool = True
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Coarse:
    """What was found.

    Attributes:
        matrix: [3, 3], from px of the fixed thumbnail to px of the moving one.
        by: "features", "tissue" or "points".
        correlation: of the densities of the tissue laid on each other, -1..1.
        matches, inliers: of features; 0 if found otherwise.
    """

    matrix: Array
    by: str
    correlation: float
    matches: int = 0
    inliers: int = 0


def align_points(moving: Array, fixed: Array) -> Array:
    """The projective map from points [n, 2] of the fixed slide to those of the moving one.

    It is exact for four points, and least squares for more.

    Raises:
        InputError: fewer than four pairs, or no map fits (three on a line).
    """
    if len(moving) != len(fixed) or len(fixed) < 4:
        raise InputError(f"points: {len(fixed)} pairs are too few; set at least 4.")
    matrix = _projective(np.asarray(moving, np.float64), np.asarray(fixed, np.float64))
    if matrix is None:
        raise InputError("points: no map fits them; set four that are not on a line.")
    below = np.column_stack([fixed, np.ones(len(fixed))]) @ matrix[2]
    if not (below > 1e-6).all() and not (below < -1e-6).all():
        raise InputError("points: no map fits them; check their order in both slides.")
    return matrix


def _projective(moving: Array, fixed: Array) -> Array | None:
    """The direct linear transform of normalized points (Hartley and Zisserman, algorithm 4.2)."""
    units = [_normalizer(points) for points in (fixed, moving)]
    (x, y), (u, v) = (
        (points @ unit[:2, :2].T + unit[:2, 2]).T
        for points, unit in zip((fixed, moving), units, strict=True)
    )
    one, none = np.ones_like(x), np.zeros_like(x)
    rows = np.concatenate([
        np.stack([x, y, one, none, none, none, -u * x, -u * y, -u], axis=1),
        np.stack([none, none, none, x, y, one, -v * x, -v * y, -v], axis=1),
    ])  # fmt: skip
    _, values, vectors = np.linalg.svd(rows)
    if values[7] < 1e-6 * values[0]:  # more than one map fits
        return None
    matrix: Array = np.linalg.inv(units[1]) @ vectors[-1].reshape(3, 3) @ units[0]
    if abs(matrix[2, 2]) < 1e-12 or abs(np.linalg.det(matrix / matrix[2, 2])) < 1e-9:
        return None
    return np.asarray(matrix / matrix[2, 2], np.float64)


def _normalizer(points: Array) -> Array:
    """Brings points around the origin at a mean distance of about 1."""
    middle = points.mean(axis=0)
    unit = 1 / max(float(np.linalg.norm(points - middle, axis=1).mean()), 1e-9)
    return np.array([[unit, 0, -unit * middle[0]], [0, unit, -unit * middle[1]], [0, 0, 1]])


def align_thumbnails(moving: Pixels, fixed: Pixels, options: CoarseOptions) -> Coarse | None:
    """Lay one thumbnail on another, at any rotation.

    Args:
        moving, fixed: [h, w, 3] uint8.
        options: of the search.

    Returns: the best candidate, refined; None if there is nothing to lay on each other. Whether it
        is right is not known yet.
    """
    looks = density(moving), density(fixed)
    if any(look.std() < 1e-3 for look in looks):
        return None
    best: Coarse | None = None
    for found in _candidates(moving, fixed, options):
        score = _laid(found.matrix, *looks)
        one = Coarse(found.matrix, found.by, score, found.matches, found.inliers)
        if best is None or score > best.correlation:
            best = one
    if best is None:
        return None
    matrix = best.matrix
    for window_share in (0.25, 0.12):
        matrix = _refined(matrix, *looks, window_share)
    score = _laid(matrix, *looks)
    if score < best.correlation - 0.01:
        matrix, score = best.matrix, best.correlation
    return Coarse(matrix, best.by, score, best.matches, best.inliers)


def _candidates(moving: Pixels, fixed: Pixels, options: CoarseOptions) -> Iterator[Coarse]:
    flip = np.array([[-1.0, 0, moving.shape[1]], [0, 1, 0], [0, 0, 1]])
    limits = SCALE_LIMITS if options.same_scale else UNKNOWN_LIMITS
    for mirrored in (False, True) if options.mirror else (False,):
        pixels = moving[:, ::-1] if mirrored else moving
        turn = flip if mirrored else np.eye(3)
        for found in (*_by_features(pixels, fixed, limits, options.seed), *_by_tissue(
            density(pixels), density(fixed), SCALES if options.same_scale else UNKNOWN_SCALES
        )):  # fmt: skip
            yield Coarse(turn @ found.matrix, found.by, 0.0, found.matches, found.inliers)


def _by_features(
    moving: Pixels, fixed: Pixels, limits: tuple[float, float], seed: int
) -> Iterator[Coarse]:
    pairs: list[tuple[Array, Array]] = []
    for look in LOOKS.values():
        ones = [_features(look(pixels)) for pixels in (moving, fixed)]
        if any(len(points) < 2 for points, _ in ones):
            continue
        (here, mine), (there, theirs) = ones
        matches = match_descriptors(  # type: ignore[no-untyped-call]
            mine, theirs, max_ratio=RATIO, cross_check=True
        )
        pairs.append((here[matches[:, 0]], there[matches[:, 1]]))
    if not pairs:
        return
    # All looks together: what several of them agree on outvotes the chance matches of each.
    target, source = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    if len(source) < 3:
        return

    def plausible(model: SimilarityTransform, *_: object) -> bool:
        return bool(limits[0] <= model.scale <= limits[1])

    model, inliers = ransac(  # type: ignore[no-untyped-call]
        (source, target),
        SimilarityTransform,
        min_samples=2,
        residual_threshold=FITS * float(np.hypot(*fixed.shape[:2])),
        max_trials=TRIALS,
        is_model_valid=plausible,
        rng=seed,
    )
    if model is not None and inliers is not None and inliers.sum() >= 3:
        matrix = np.asarray(model.params, np.float64)
        yield Coarse(matrix, "features", 0.0, len(source), int(inliers.sum()))


def _features(picture: Picture) -> tuple[Array, NDArray[np.uint8]]:
    """Positions (x, y) in px of the picture and descriptors of its features."""
    shrink = min(FEATURES / max(picture.shape), 1.0)
    # Blurred, since what sections share is larger than a cell.
    small = zoom(gaussian_filter(picture, 0.6 / shrink), shrink, order=1)
    extractor = SIFT(upsampling=1, c_dog=0.02)  # type: ignore[no-untyped-call]
    try:
        extractor.detect_and_extract(small)  # type: ignore[no-untyped-call]
    except RuntimeError:  # it found no features
        return np.empty((0, 2)), np.empty((0, 128), np.uint8)
    scale = np.array(picture.shape[::-1]) / small.shape[::-1]
    points = (np.asarray(extractor.keypoints, np.float64)[:, ::-1] + 0.5) * scale
    return points, np.asarray(extractor.descriptors, np.uint8)


def _by_tissue(moving: Picture, fixed: Picture, scales: tuple[float, ...]) -> Iterator[Coarse]:
    """The two rotations at which the tissue's densities correlate best."""
    shrink = min(WHOLE / max(*moving.shape, *fixed.shape), 1.0)
    ones = [zoom(gaussian_filter(one, 0.5 / shrink), shrink, order=1) for one in (moving, fixed)]
    side = 2 * int(np.ceil(np.hypot(*np.max([one.shape for one in ones], axis=0)) * max(scales)))
    still = np.zeros((side, side), np.float32)
    h, w = ones[1].shape
    still[:h, :w] = ones[1]
    spectrum = rfft2(still - still.mean())
    found: list[tuple[float, float, float, int, int]] = []
    for scale in scales:
        for angle in np.arange(ANGLES) * (2 * np.pi / ANGLES):
            turned = _turned(ones[0], angle, scale, side)
            turned -= turned.mean()
            product = irfft2(spectrum * rfft2(turned).conj(), still.shape)
            row, col = np.unravel_index(int(np.argmax(product)), product.shape)
            score = float(product[row, col] / max(np.linalg.norm(turned), 1e-9))
            found.append((score, float(angle), scale, int(row), int(col)))
    found.sort(reverse=True)
    for _, angle, scale, *peak in found[:2]:
        dy, dx = (float(value - side if value > side / 2 else value) for value in peak)
        # From fixed to the middle of the turned picture, and from there into the moving one.
        matrix: Array = _turn(angle, scale, ones[0].shape, side) @ _shift(-dx, -dy)
        units = np.array(moving.shape[::-1]) / ones[0].shape[::-1]
        own = np.array(fixed.shape[::-1]) / ones[1].shape[::-1]
        yield Coarse(np.diag([*units, 1]) @ matrix @ np.diag([*(1 / own), 1]), "tissue", 0.0)


def _shift(x: float, y: float) -> Array:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def _turn(angle: float, scale: float, shape: tuple[int, ...], side: int) -> Array:
    """From a square picture into one of `shape` that was turned around the middle of both."""
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    middle = _shift(shape[1] / 2, shape[0] / 2)
    return np.asarray(middle @ turn @ _shift(-side / 2, -side / 2), np.float64)


def _turned(picture: Picture, angle: float, scale: float, side: int) -> Picture:
    return sampled(picture, _turn(angle, scale, picture.shape, side), (side, side))


def sampled(picture: Picture, matrix: Array, shape: tuple[int, ...], outside: float = 0) -> Picture:
    """A picture [h, w] as seen from the px of another of `shape`, which the matrix maps into it."""
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]] + 0.5
    to_x = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] - 0.5
    to_y = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] - 0.5
    values = map_coordinates(picture, [to_y, to_x], order=1, mode="constant", cval=outside)
    return np.asarray(values, np.float32)


def _laid(matrix: Array, moving: Picture, fixed: Picture) -> float:
    """Correlation of the densities over both pictures, blurred to what sections share."""
    blur = 0.004 * float(np.hypot(*fixed.shape))
    made = gaussian_filter(sampled(moving, matrix, fixed.shape), blur)
    still = gaussian_filter(fixed, blur)
    if made.std() < 1e-4:
        return -1.0
    return float(np.corrcoef(made.ravel(), still.ravel())[0, 1])


def _refined(matrix: Array, moving: Picture, fixed: Picture, share: float) -> Array:
    """A matrix that fits more windows, or the same if too few are found."""
    window = max(int(share * min(fixed.shape)), 16)
    made = sampled(moving, matrix, fixed.shape)
    valid = np.ones(fixed.shape, np.bool_)
    places = match_places(fixed, made, valid, window, window // 3, window // 2)
    good = (places.best > 0.3) & (np.abs(places.shifts).max(axis=1, initial=0) < window // 3 - 1)
    if good.sum() < 6:
        return matrix
    source = places.centres[good]
    target = source + places.shifts[good]
    model, inliers = ransac(  # type: ignore[no-untyped-call]
        (source, target), AffineTransform, min_samples=3, max_trials=500, rng=0,
        residual_threshold=max(window / 12, 1.5),
    )  # fmt: skip
    if model is None or inliers is None or inliers.sum() < max(6, 0.3 * len(source)):
        return matrix
    return np.asarray(matrix @ model.params, np.float64)
