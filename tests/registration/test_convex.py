"""Matching everywhere at once, and what it says of places that are right and wrong."""

import numpy as np
import pytest
import skimage.data
from scipy.ndimage import map_coordinates

from uhrtranslate.registration.convex import CELL, WINDOW, convex_displacement, correlation_volume
from uhrtranslate.registration.elastix import elastix_is_there
from uhrtranslate.registration.engines import ENGINES
from uhrtranslate.registration.evidence import AWAY, Laid, gather_evidence
from uhrtranslate.registration.field import NODES
from uhrtranslate.registration.looks import density

SIDE = 320
SECTION = density(skimage.data.immunohistochemistry()[:SIDE, :SIDE])
ALL = np.ones((SIDE, SIDE), bool)
Y, X = np.mgrid[0:SIDE, 0:SIDE].astype(float)
WAVE = np.stack([4 * np.sin(Y / 60), 3 * np.cos(X / 70)], -1)
INNER = np.s_[32:-32, 32:-32]


def bent(picture, field):
    return map_coordinates(picture, [Y + field[..., 1], X + field[..., 0]], order=1, mode="nearest")


def test_the_volume_peaks_at_the_shift_and_is_a_correlation():
    volume = correlation_volume(bent(SECTION, np.full((SIDE, SIDE, 2), (2.0, -1.0))), SECTION, 3)
    assert volume.shape == (SIDE // CELL, SIDE // CELL, 7, 7)
    assert np.abs(volume).max() <= 1 + 1e-3
    peaks = volume.reshape(*volume.shape[:2], -1).argmax(2)[8:-8, 8:-8]
    row, col = np.divmod(peaks, 7)
    assert np.mean((row == 2) & (col == 5)) > 0.99  # -1 in y, 2 in x
    assert WINDOW * CELL < 8


def test_a_smooth_warp_and_another_look_are_undone():
    fixed = (1 - 0.7 * bent(SECTION, WAVE) ** 0.6).astype(np.float32)
    field, scores = convex_displacement(1 - fixed, SECTION, ALL)
    assert np.median(np.linalg.norm(field - WAVE, axis=-1)[INNER]) < 0.4
    assert scores[scores > 0].mean() > 0.85


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_gives_displacements_at_nodes(name):
    if name == "simpleitk":
        pytest.importorskip("SimpleITK")
    if name == "elastix" and not elastix_is_there():
        pytest.skip("elastix is not installed")
    fixed = bent(SECTION, WAVE).astype(np.float32)
    found = ENGINES[name](fixed, SECTION, ALL, ALL)
    count = SIDE // NODES + 1
    assert found.shape == (count, count, 2)
    at = np.minimum(np.arange(count) * NODES, SIDE - 1)
    missed = np.linalg.norm(found - WAVE[np.ix_(at, at)], axis=-1)
    assert np.median(missed[4:-4, 4:-4]) < 0.5
    blank = np.zeros((SIDE, SIDE), np.float32)
    assert not ENGINES[name](blank, SECTION, ~ALL, ALL).any()


def test_what_the_moving_picture_does_not_cover_follows_its_surroundings():
    fixed = bent(SECTION, np.full((SIDE, SIDE, 2), (6.0, 0.0))).astype(np.float32)
    moving, inside = SECTION.copy(), ALL.copy()
    moving[:, :110], inside[:, :110] = 0, False
    field, _ = convex_displacement(fixed, moving, inside)
    assert np.abs(field[40:-40, 20:-40] - (6, 0)).max() < 2.5


@pytest.fixture(scope="module")
def sections():
    """A large section, and the same bent a little."""
    picture = density(skimage.data.immunohistochemistry())
    return picture, np.roll(picture, (3, -4), (0, 1))


def test_a_true_place_stands_out_and_others_do_not(sections):
    fixed, moving = sections
    inside = np.ones(fixed.shape, bool)
    other = Laid(np.ascontiguousarray(moving[:, ::-1]), inside)
    right = gather_evidence(fixed, inside, Laid(moving, inside), other)
    assert right.above_chance > 12
    assert right.over_mirrored > 5
    wrong = gather_evidence(fixed, inside, other, Laid(moving, inside))
    assert wrong.above_chance < 5
    assert wrong.over_mirrored < 1
    beside = Laid(np.roll(moving, AWAY + 40, 1), inside)
    assert gather_evidence(fixed, inside, beside, None).above_chance < 5


def test_glass_gives_no_evidence():
    glass = np.zeros((200, 200), np.float32)
    inside = np.ones(glass.shape, bool)
    found = gather_evidence(glass, ~inside, Laid(glass, inside), None)
    assert (found.score, found.above_chance) == (0, 0)
    assert found.over_mirrored == np.inf
