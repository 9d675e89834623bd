"""The coarse step on slides: thumbnails are laid on each other, and the wrong way round as well."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.io.slide import SlideInfo
from uhrtranslate.recipes.pictures_of_pairs import PairPictures, SlidePair
from uhrtranslate.registration import (
    Coarse,
    CoarseOptions,
    Frame,
    Matrix,
    Transform,
    align_thumbnails,
)
from uhrtranslate.registration.evidence import Evidence, Laid, gather_evidence


def frame_of(info: SlideInfo) -> Frame:
    """The frame of a slide."""
    return Frame(Path(info.path).name, info.width, info.height, info.mpp)


def coarse_place(pair: SlidePair, mirror: bool, seed: int) -> Transform | None:
    """The affine map that lays the moving slide on the fixed one best; None without tissue.

    Args:
        pair: the slides.
        mirror: also try the moving slide turned over.
        seed: of the search's draws.
    """
    found = align_thumbnails(*pair.thumbnails, CoarseOptions(mirror, pair.same_scale, seed))
    return None if found is None else _of_slides(pair, found)


def evidence_of(pair: SlidePair, coarse: Transform, pictures: PairPictures, seed: int) -> Evidence:
    """What speaks for a place of the coarse step; see `gather_evidence`.

    Args:
        pair: the slides.
        coarse: the place.
        pictures: of both there.
        seed: of the search's draws.
    """
    other = _turned_over(pair, coarse, seed)
    return gather_evidence(
        pictures.looks[0],
        pictures.tissue,
        _laid(pictures),
        None if other is None else _laid(pair.pictures(other)),
    )


def _laid(pictures: PairPictures) -> Laid:
    return Laid(pictures.looks[1], pictures.inside)


def _turned_over(pair: SlidePair, coarse: Transform, seed: int) -> Transform | None:
    """The best place of the moving slide with its other side up."""
    moving, fixed = pair.thumbnails
    corners = coarse.to_moving(np.array([[0, 0], [1, 0], [0, 1]]) * coarse.fixed.diagonal / 10)
    turned = np.linalg.det(corners[1:] - corners[0]) > 0
    first = np.ascontiguousarray(moving[:, ::-1]) if turned else moving
    choices = CoarseOptions(same_scale=pair.same_scale, seed=seed)
    found = align_thumbnails(first, fixed, choices)
    if found is None:
        return None
    if turned:
        flip = np.array([[-1.0, 0, first.shape[1]], [0, 1, 0], [0, 0, 1]])
        found = dataclasses.replace(found, matrix=flip @ found.matrix)
    return _of_slides(pair, found)


def _of_slides(pair: SlidePair, found: Coarse) -> Transform:
    """A map of thumbnails as one of level-0 px."""
    scales: list[NDArray[np.float64]] = [
        np.diag([one.info.width / picture.shape[1], one.info.height / picture.shape[0], 1.0])
        for one, picture in zip((pair.moving, pair.fixed), pair.thumbnails, strict=True)
    ]
    matrix = scales[0] @ found.matrix @ np.linalg.inv(scales[1])
    matrix[2] = 0, 0, 1
    how = {
        "coarse": found.by,
        "correlation": round(found.correlation, 4),
        "matches": found.matches,
        "inliers": found.inliers,
    }
    frames = frame_of(pair.moving.info), frame_of(pair.fixed.info)
    return Transform(*frames, (Matrix(matrix),), how=how)
