"""The coarse step on slides: thumbnails are laid on each other, and the wrong way round as well."""

import dataclasses
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.io import Pixels, Slide, fitted_thumbnail, open_view
from uhrtranslate.io.slide import SlideInfo
from uhrtranslate.recipes.pictures_of_pairs import PairPictures, pair_pictures
from uhrtranslate.registration import (
    Coarse,
    CoarseOptions,
    Frame,
    Matrix,
    Transform,
    align_thumbnails,
)
from uhrtranslate.registration.evidence import Evidence, Laid, gather_evidence

# Longest side in px of the thumbnails of the coarse step, and of those for the verdict.
SIDE = 1024


def frame_of(info: SlideInfo) -> Frame:
    """The frame of a slide."""
    return Frame(Path(info.path).name, info.width, info.height, info.mpp)


def coarse_place(moving: Slide, fixed: Slide, mirror: bool, seed: int) -> Transform | None:
    """The affine map that lays the moving slide on the fixed one best; None without tissue.

    Args:
        moving, fixed: the slides.
        mirror: also try the moving slide turned over.
        seed: of the search's draws.
    """
    pictures = _thumbnails(moving, fixed)
    found = align_thumbnails(*pictures, CoarseOptions(mirror, _same_scale(moving, fixed), seed))
    return None if found is None else _of_slides(moving, fixed, pictures, found)


def evidence_of(
    moving: Slide, fixed: Slide, coarse: Transform, pictures: PairPictures, seed: int
) -> Evidence:
    """What speaks for a place of the coarse step; see `gather_evidence`.

    Args:
        moving, fixed: the slides.
        coarse: the place.
        pictures: of both there, of `SIDE` px.
        seed: of the search's draws.
    """
    other = _turned_over(moving, fixed, coarse, seed)
    return gather_evidence(
        pictures.looks[0],
        pictures.tissue,
        _laid(pictures),
        None if other is None else _laid(pair_pictures(moving, fixed, other, SIDE)),
    )


def _laid(pictures: PairPictures) -> Laid:
    return Laid(pictures.looks[1], pictures.inside)


def _turned_over(moving: Slide, fixed: Slide, coarse: Transform, seed: int) -> Transform | None:
    """The best place of the moving slide with its other side up."""
    pictures = _thumbnails(moving, fixed)
    corners = coarse.to_moving(np.array([[0, 0], [1, 0], [0, 1]]) * coarse.fixed.diagonal / 10)
    turned = np.linalg.det(corners[1:] - corners[0]) > 0
    first = np.ascontiguousarray(pictures[0][:, ::-1]) if turned else pictures[0]
    choices = CoarseOptions(same_scale=_same_scale(moving, fixed), seed=seed)
    found = align_thumbnails(first, pictures[1], choices)
    if found is None:
        return None
    if turned:
        flip = np.array([[-1.0, 0, first.shape[1]], [0, 1, 0], [0, 0, 1]])
        found = dataclasses.replace(found, matrix=flip @ found.matrix)
    return _of_slides(moving, fixed, pictures, found)


def _same_scale(moving: Slide, fixed: Slide) -> bool:
    return moving.info.mpp is not None and fixed.info.mpp is not None


def _thumbnails(moving: Slide, fixed: Slide) -> tuple[Pixels, Pixels]:
    sides = [SIDE, SIDE]
    if _same_scale(moving, fixed):  # the coarser picture decides, so that both have one resolution
        sizes = [
            max(one.info.width, one.info.height) * max(one.info.mpp or (1,))
            for one in (moving, fixed)
        ]
        sides = [max(round(SIDE * size / max(sizes)), 64) for size in sizes]
    one, other = (
        fitted_thumbnail(open_view(slide), side)
        for slide, side in zip((moving, fixed), sides, strict=True)
    )
    return one, other


def _of_slides(
    moving: Slide, fixed: Slide, pictures: tuple[Pixels, Pixels], found: Coarse
) -> Transform:
    """A map of thumbnails as one of level-0 px."""
    scales: list[NDArray[np.float64]] = [
        np.diag([one.info.width / picture.shape[1], one.info.height / picture.shape[0], 1.0])
        for one, picture in zip((moving, fixed), pictures, strict=True)
    ]
    matrix = scales[0] @ found.matrix @ np.linalg.inv(scales[1])
    matrix[2] = 0, 0, 1
    how = {
        "coarse": found.by,
        "correlation": round(found.correlation, 4),
        "matches": found.matches,
        "inliers": found.inliers,
    }
    return Transform(frame_of(moving.info), frame_of(fixed.info), (Matrix(matrix),), how=how)
