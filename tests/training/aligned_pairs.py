"""Pairs of slides with a known transform: one section in two stains, turned and bent."""

import json

import numpy as np
import tifffile
from problems import recolour, section

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.io import open_slide
from uhrtranslate.registration import DisplacementGrid, Frame, Matrix, Transform, dump_transform

TURN = Matrix(np.array([[0.96, -0.28, 100], [0.28, 0.96, -60], [0, 0, 1.0]]))
WAVE = DisplacementGrid(
    (0, 0), (100, 100), np.random.default_rng(0).normal(0, 4, (8, 9, 2)).astype(np.float32)
)
# Width and height.
MOVING, FIXED = (800, 700), (760, 640)


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(
        path, pixels, tile=(128, 128), photometric="rgb", resolution=(2e4, 2e4),
        resolutionunit="CENTIMETER",
    )  # fmt: skip


def transform(moving, fixed, bent=True):
    """The known one, between slides of these names."""
    frames = Frame(moving, *MOVING, (0.5, 0.5)), Frame(fixed, *FIXED, (0.5, 0.5))
    return Transform(*frames, (WAVE, TURN) if bent else (TURN,))


def write_pair(moving, fixed, place=None, spoilt=True, turn=0, bent=True):
    """Write both slides, and the transform if it has a place.

    Args:
        spoilt: whether a corner of the fixed slide shows other tissue.
        turn: quarters that the tissue is turned by first, so that pairs differ.
        bent: whether the sections differ by more than a turn.
    """
    glass = np.full((*MOVING[::-1], 3), 243, np.uint8)
    glass[90:602, 200:712] = np.rot90(section(), turn)
    write(moving, glass)
    known = transform(moving.name, fixed.name, bent)
    with open_slide(moving) as slide:
        seen = recolour(WarpedSlide(slide, known).read(0, 0, *FIXED))
    if spoilt:
        seen[400:600, 300:600] = seen[600:400:-1, 600:300:-1].copy()
    write(fixed, seen)
    if place is not None:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(dump_transform(known)))
