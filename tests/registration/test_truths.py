"""Sections in another stain that were put in a known place: the whole search, to parts of a px."""

import numpy as np
import pytest
from sections import SECTION, mapped, restained, seen_through

from uhrtranslate.io import VirtualSlide
from uhrtranslate.recipes.coarse_place import coarse_place
from uhrtranslate.recipes.elastic import refine
from uhrtranslate.recipes.pictures_of_pairs import SlidePair
from uhrtranslate.registration.engines import ENGINES

AFFINE = np.array([[1.03, -0.12, 30], [0.10, 0.97, -20], [0, 0, 1]])
PROJECTIVE = np.array([[1.02, 0.05, -10], [-0.04, 1.01, 12], [6e-5, -4e-5, 1]])


def smooth(points):
    """A turn, and waves of some px."""
    x, y = mapped(AFFINE, points).T
    return np.stack([x + 5 * np.sin(y / 70), y + 4 * np.cos(x / 80)], -1)


def slide(pixels):
    h, w = pixels.shape[:2]
    return VirtualSlide(w, h, lambda x, y, w, h: pixels[y : y + h, x : x + w])


@pytest.mark.parametrize(
    "truth", [AFFINE, PROJECTIVE, smooth], ids=["affine", "projective", "smooth"]
)
def test_a_known_place_is_found(truth):
    fixed = seen_through(restained(SECTION), truth, SECTION.shape[:2])
    slides = slide(SECTION), slide(fixed)
    coarse = coarse_place(SlidePair(*slides), mirror=False, seed=0)
    found = refine(*slides, coarse, ENGINES["convex"], 1)
    at = np.random.default_rng(0).uniform(90, 390, (300, 2))
    missed = np.linalg.norm(found.to_moving(at) - mapped(truth, at), axis=1)
    assert np.median(missed) < 0.5
    assert np.quantile(missed, 0.9) < 1
