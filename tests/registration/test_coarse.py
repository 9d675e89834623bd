"""The coarse step on real sections whose true place is known."""

import numpy as np
import pytest
from sections import SECTION, mapped, restained, seen_through

from uhrtranslate.errors import InputError
from uhrtranslate.registration import CoarseOptions, align_points, align_thumbnails


def turn(degrees, scale=1.0, shift=(0, 0), mirrored=False):
    """A similarity around the section's middle."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    h, w = SECTION.shape[:2]
    middle = np.array([[1, 0, w / 2], [0, 1, h / 2], [0, 0, 1]])
    matrix = np.array([[c, -s, shift[0]], [s, c, shift[1]], [0, 0, 1.0]])
    flip = np.diag([-1.0 if mirrored else 1.0, 1, 1])
    return middle @ matrix @ flip @ np.linalg.inv(middle)


def median_error(found, truth):
    h, w = SECTION.shape[:2]
    at = np.random.default_rng(0).uniform((80, 80), (w - 80, h - 80), (300, 2))
    missed = mapped(found, at) - mapped(truth, at)
    return float(np.median(np.linalg.norm(missed, axis=1)))


@pytest.mark.parametrize(
    ("truth", "options"),
    [
        (turn(0, shift=(12, -7)), CoarseOptions()),
        (turn(117, shift=(-9, 5)), CoarseOptions()),
        (turn(-40, 0.7), CoarseOptions(same_scale=False)),
        (turn(25, mirrored=True), CoarseOptions(mirror=True)),
        (turn(8) @ np.array([[1.03, 0.02, 0], [-0.01, 0.98, 0], [0, 0, 1]]), CoarseOptions()),
    ],
    ids=["shift", "rotation", "scale", "mirror", "affine"],
)
def test_a_section_in_another_stain_is_found(truth, options):
    fixed = seen_through(restained(SECTION), truth, SECTION.shape[:2])
    found = align_thumbnails(SECTION, fixed, options)
    assert found is not None
    assert median_error(found.matrix, truth) < 0.5


def test_glass_has_nothing_to_lay_on():
    glass = np.full((200, 200, 3), 244, np.uint8)
    assert align_thumbnails(glass, SECTION, CoarseOptions()) is None


def test_four_points_are_met_exactly():
    fixed = np.array([[10, 10], [500, 30], [480, 400], [20, 380.0]])
    moving = np.array([[0, 20], [510, 0], [505, 420], [40, 370.0]])
    matrix = align_points(moving, fixed)
    ends = np.column_stack([fixed, np.ones(4)]) @ matrix.T
    assert np.allclose(ends[:, :2] / ends[:, 2:], moving, atol=1e-6)


@pytest.mark.parametrize("count", [3, 5])
def test_points_that_say_too_little_are_refused(count):
    line = np.column_stack([np.arange(count), np.arange(count)]).astype(float)
    with pytest.raises(InputError, match="points: "):
        align_points(line, line)
