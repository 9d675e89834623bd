"""How well a registration fits: what is measured, and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.registration.evidence import Evidence
from uhrtranslate.registration.field import DisplacementGrid
from uhrtranslate.registration.local import Places, match_places
from uhrtranslate.registration.looks import Picture
from uhrtranslate.registration.transform import Transform

Verdict = Literal["good", "doubtful", "failed"]
# Side of windows, how far they are looked for, and their distance, in px of pictures of at most
# 1024 px; a window is confirmed if it fits best within so many px of its place.
WINDOW, REACH, STEP, WITHIN = 80, 20, 40, 3.0
# Bins of the joint histogram of mutual information.
BINS = 32
# Least evidence in standard deviations, below which sections are taken for unrelated, and below
# which they are doubtful. Measured (docs/register.md): unrelated at most 4, neighbours 7 to 23.
UNRELATED, WEAK = 5.0, 8.0
# The section turned over has at most this share of the evidence of a true place.
OVER_MIRRORED = 2.0
# Least share of confirmed windows of a good registration, and least windows to judge by.
GOOD, FEW = 0.4, 8
# Least share of the fixed slide's tissue that the moving slide covers.
COVERED = 0.5
# Least shares of given landmarks that come nearer: of a good registration (ANHIR's best reach it),
# and of one that has not failed.
ROBUST, HALF = 0.98, 0.5
# Share of nodes at which a displacement may fold.
FOLDS = 0.001
# Windows overlap by half a side, so about so many of them say the same.
ALIKE = 2.0


@dataclass(frozen=True)
class Fit:
    """What was measured of two pictures that lie on each other.

    Attributes:
        ncc: median of the normalized cross-correlation in windows, -1..1.
        mutual_information: of the pixels in tissue, in nats.
        confirmed: share of windows that fit best where they are.
        above_chance: how many standard deviations more that is than for unrelated pictures.
        windows: how many windows show tissue with structure.
    """

    ncc: float
    mutual_information: float
    confirmed: float
    above_chance: float
    windows: int


def measure_fit(fixed: Picture, moving: Picture, tissue: NDArray[np.bool_]) -> tuple[Fit, Places]:
    """Measure two pictures of one size and look, [h, w], in the fixed picture's tissue."""
    places = match_places(fixed, moving, tissue, WINDOW, REACH, STEP)
    count, chance = len(places.here), places.chance(WITHIN)
    share = places.confirmed(WITHIN)
    spread = np.sqrt(max(chance * (1 - chance) * ALIKE / max(count, 1), 1e-12))
    return Fit(
        ncc=round(float(np.median(places.here)) if count else 0.0, 4),
        mutual_information=round(mutual_information(fixed[tissue], moving[tissue]), 4),
        confirmed=round(share, 4),
        above_chance=round(float((share - chance) / spread) if count else 0.0, 2),
        windows=count,
    ), places


def mutual_information(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Mutual information in nats of values in 0..1, from a joint histogram."""
    if first.size == 0:
        return 0.0
    joint = np.histogram2d(first, second, BINS, ((0, 1), (0, 1)))[0] / first.size
    apart = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())


def folds(transform: Transform) -> float:
    """Share of the nodes of its displacements at which the plane is folded (Jacobian <= 0)."""
    grids = [step for step in transform.steps if isinstance(step, DisplacementGrid)]
    return max((float((grid.jacobian() <= 0).mean()) for grid in grids), default=0.0)


def landmark_errors(
    transform: Transform, moving: NDArray[np.float64], fixed: NDArray[np.float64]
) -> dict[str, Any]:
    """Target registration errors of landmarks, as ANHIR defines them (Borovec et al. 2020).

    Args:
        transform: between the slides.
        moving, fixed: landmarks that belong together, [n, 2], level-0 px.

    Returns: TRE in px of the fixed slide and, if its mpp is known, in um; rTRE, which is TRE over
        the fixed slide's diagonal: median, 90th percentile and maximum; robustness: the share of
        landmarks nearer than before registration.
    """
    frame = transform.fixed
    error = np.linalg.norm(transform.to_fixed(moving)[0] - fixed, axis=1)
    scale = np.array([frame.width / transform.moving.width, frame.height / transform.moving.height])
    same = np.abs(scale - 1).max() < 0.05  # slides of about one size lie as they are
    before = np.linalg.norm(moving * (1 if same else scale) - fixed, axis=1)
    error = np.nan_to_num(error, nan=np.inf)
    median = float(np.median(error))
    return {
        "landmarks": len(fixed),
        "tre_px": round(median, 3),
        "tre_um": None if frame.mpp is None else round(median * frame.mpp[0], 3),
        "rtre_before": round(float(np.median(before)) / frame.diagonal, 5),
        "rtre_median": round(median / frame.diagonal, 5),
        "rtre_p90": round(float(np.quantile(error, 0.9)) / frame.diagonal, 5),
        "rtre_max": round(float(error.max()) / frame.diagonal, 5),
        "robustness": round(float((error < before).mean()), 4),
    }


def judge(
    fit: Fit,
    evidence: Evidence,
    covered: float,
    folded: float,
    landmarks: Mapping[str, Any] | None = None,
) -> tuple[Verdict, list[str]]:
    """A verdict and its reasons, in sentences without a full stop.

    Args:
        fit: of the registered pictures.
        evidence: that the sections belong together, from the coarse step's place.
        covered: share of the fixed slide's tissue that lies inside of the moving slide.
        folded: see `folds`.
        landmarks: see `landmark_errors`.
    """
    failed: list[str] = []
    doubtful: list[str] = []
    if fit.windows < FEW:
        failed.append(f"only {fit.windows} windows show tissue with structure")
    elif evidence.above_chance < UNRELATED:
        failed.append("the sections match no better there than elsewhere")
    elif evidence.over_mirrored < OVER_MIRRORED:
        failed.append("the moving section turned over matches as well (is it? --mirror tries)")
    elif evidence.above_chance < WEAK:
        doubtful.append("the sections match only a little better there than elsewhere")
    if not failed and fit.confirmed < GOOD:
        doubtful.append(f"only {fit.confirmed:.0%} of the windows fit best where they are")
    if covered < COVERED:
        doubtful.append(f"the moving slide covers only {covered:.0%} of the tissue")
    if folded > FOLDS:
        doubtful.append(f"the displacement folds at {folded:.1%} of its nodes")
    if landmarks and landmarks["landmarks"] and landmarks["robustness"] < ROBUST:
        reasons = failed if landmarks["robustness"] < HALF else doubtful
        reasons.append(f"only {landmarks['robustness']:.0%} of the landmarks came nearer")
    if failed:
        return "failed", failed + doubtful
    return ("doubtful", doubtful) if doubtful else ("good", [])
