"""Measures of a registration, and the verdict."""

import numpy as np
import pytest
import skimage.data
from scipy.ndimage import gaussian_filter, shift

from uhrtranslate.registration import DisplacementGrid, Frame, Matrix, Transform
from uhrtranslate.registration.evidence import Evidence
from uhrtranslate.registration.local import correlations, match_places
from uhrtranslate.registration.quality import (
    Fit,
    folds,
    judge,
    landmark_errors,
    measure_fit,
    mutual_information,
)

PICTURE = (skimage.data.camera() / 255).astype(np.float32)
ALL = np.ones(PICTURE.shape, bool)
GOOD = Fit(0.5, 0.4, 0.8, 30, 80)
CLEAR = Evidence(0.3, 0.1, 0.12, 20)


def test_correlations_are_those_of_numpy():
    template, around = PICTURE[140:170, 230:270], PICTURE[130:190, 220:290]
    scores = correlations(template, around)
    assert scores.shape == (31, 31)
    for row, col in ((0, 0), (10, 10), (30, 5)):
        part = around[row : row + 30, col : col + 40]
        expected = np.corrcoef(template.ravel(), part.ravel())[0, 1]
        assert scores[row, col] == pytest.approx(expected, abs=1e-6)
    assert scores.argmax() == 10 * 31 + 10


def test_windows_say_where_they_fit_to_parts_of_a_pixel():
    moved = shift(PICTURE, (-2.4, 3.3), mode="nearest")
    places = match_places(PICTURE, moved, ALL, 80, 12, 60)
    assert len(places.shifts) > 20
    assert np.median(places.shifts, axis=0) == pytest.approx([3.3, -2.4], abs=0.2)
    assert places.confirmed(5) > 0.9
    assert places.confirmed(2) < 0.1


def test_pictures_on_each_other_are_told_from_unrelated_ones():
    other = (skimage.data.brick() / 255).astype(np.float32)
    lying, _ = measure_fit(PICTURE, 1 - 0.5 * (1 - PICTURE), ALL)
    unrelated, _ = measure_fit(PICTURE, other, ALL)
    assert judge(lying, CLEAR, 1, 0)[0] == "good"
    assert judge(unrelated, CLEAR, 1, 0)[0] == "doubtful"
    assert lying.mutual_information > 1 > unrelated.mutual_information


def test_mutual_information_is_that_of_its_definition():
    value = np.repeat(np.linspace(0.01, 0.99, 32), 50).astype(np.float32)
    assert mutual_information(value, value) == pytest.approx(np.log(32))
    assert mutual_information(value, np.zeros_like(value)) == 0


def frames():
    return Frame("m", 800, 600, (0.5, 0.5)), Frame("f", 800, 600, (0.25, 0.25))


def test_errors_of_landmarks_are_those_of_anhir():
    fixed = np.array([[100, 100], [200, 100], [300, 400], [50, 50.0]])
    moving = fixed + np.array([30, 40])
    moved = Transform(*frames(), (Matrix(np.array([[1, 0, 27], [0, 1, 36], [0, 0, 1.0]])),))
    found = landmark_errors(moved, moving, fixed)
    assert found["tre_px"] == 5  # of 50 before
    assert found["tre_um"] == 1.25
    assert found["rtre_median"] == found["rtre_max"] == 0.005  # the diagonal has 1000 px
    assert found["rtre_before"] == 0.05
    assert found["robustness"] == 1


def test_folds_are_counted():
    values = np.zeros((10, 10, 2), np.float32)
    flat = Transform(*frames(), (DisplacementGrid((0, 0), (10, 10), values.copy()),))
    values[5, 5, 0] = 50
    folded = Transform(*frames(), (DisplacementGrid((0, 0), (10, 10), values),))
    assert folds(flat) == 0
    assert folds(folded) == 0.01


@pytest.mark.parametrize(
    ("arguments", "verdict", "reason"),
    [
        ((GOOD, CLEAR, 1, 0), "good", None),
        ((Fit(0.5, 0.4, 0.8, 30, 3), CLEAR, 1, 0), "failed", "only 3 windows"),
        ((GOOD, Evidence(0.1, 0.09, 0.09, 2), 1, 0), "failed", "no better there than elsewhere"),
        ((GOOD, Evidence(0.3, 0.1, 0.25, 20), 1, 0), "failed", "turned over"),
        ((GOOD, Evidence(0.3, 0.1, None, 7), 1, 0), "doubtful", "only a little better"),
        ((Fit(0.1, 0.1, 0.1, 6, 80), CLEAR, 1, 0), "doubtful", "only 10%"),
        ((GOOD, CLEAR, 0.3, 0), "doubtful", "covers only 30%"),
        ((GOOD, CLEAR, 1, 0.02), "doubtful", "folds at 2.0%"),
        ((GOOD, CLEAR, 1, 0, {"robustness": 0.2, "landmarks": 9}), "failed", "20% of the land"),
        ((GOOD, CLEAR, 1, 0, {"robustness": 0.9, "landmarks": 9}), "doubtful", "90% of the land"),
    ],
)
def test_a_verdict_has_its_reason(arguments, verdict, reason):
    found, reasons = judge(*arguments)
    assert found == verdict
    assert reason is None or reason in "; ".join(reasons)


def test_noise_has_no_structure_to_match():
    flat = gaussian_filter(np.random.default_rng(0).normal(0.5, 0.001, (300, 300)), 1)
    fit, _ = measure_fit(
        flat.astype(np.float32), flat.astype(np.float32), np.ones((300, 300), bool)
    )
    assert fit.windows == 0
    assert judge(fit, CLEAR, 1, 0)[0] == "failed"
