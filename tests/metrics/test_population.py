"""Figures over populations: against SciPy, against plain loops, and with known answers."""

import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from uhrtranslate.metrics.population import (
    estimate,
    frechet_distance,
    kernel_distance,
    precision_recall,
    too_few,
)


def cloud(n, d, seed, shift=0.0):
    random = np.random.default_rng(seed)
    return random.normal(size=(n, d)) @ random.normal(size=(d, d)) + shift


def frechet_by_scipy(x, y):
    a, b = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(a @ b).real
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root)


@given(st.integers(30, 90), st.integers(30, 90), st.integers(2, 20), st.integers(0, 10**6))
@settings(max_examples=25)
def test_fid_is_that_of_scipy_s_matrix_root(n, m, d, seed):
    x, y = cloud(n, d, seed), cloud(m, d, seed + 1, 0.5)
    assert frechet_distance(x, y) == pytest.approx(frechet_by_scipy(x, y), rel=1e-6)
    assert frechet_distance(y, x) == pytest.approx(frechet_distance(x, y), rel=1e-9)


def test_fid_of_float32_features_and_of_more_features_than_patches():
    x, y = cloud(400, 64, 0).astype(np.float32), cloud(300, 64, 1, 1).astype(np.float32)
    assert frechet_distance(x, y) == pytest.approx(frechet_by_scipy(x, y), rel=1e-4)
    few, more = cloud(20, 64, 2), cloud(40, 64, 3)
    a, b = np.cov(few.T), np.cov(more.T)
    # With singular covariances, by the root of a symmetric matrix alone.
    values, vectors = np.linalg.eigh(a)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    trace = np.sqrt(np.linalg.eigvalsh(root @ b @ root).clip(0)).sum()
    wanted = ((few.mean(0) - more.mean(0)) ** 2).sum() + np.trace(a + b) - 2 * trace
    assert frechet_distance(few, more) == pytest.approx(wanted, rel=1e-5)


def test_fid_has_known_answers():
    x = cloud(200, 8, 0)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x + 3) == pytest.approx(8 * 9)
    # Twice as wide: the trace of (2 - 1)^2 times the covariance.
    wide = (x - x.mean(0)) * 2 + x.mean(0)
    assert frechet_distance(x, wide) == pytest.approx(np.trace(np.cov(x.T)))


def test_fid_of_few_patches_is_too_high_and_kid_is_not():
    random = np.random.default_rng(0)

    def draw(n):
        return random.normal(size=(n, 32))

    few = np.mean([frechet_distance(draw(50), draw(50)) for _ in range(10)])
    many = np.mean([frechet_distance(draw(1000), draw(1000)) for _ in range(3)])
    assert few > 5 * many
    kids = [kernel_distance(draw(50), draw(50)) for _ in range(40)]
    assert abs(np.mean(kids)) < 3 * np.std(kids) / 40**0.5


def kid_by_loops(x, y):
    d, n = x.shape[1], len(x)

    def k(a, b):
        return (a @ b / d + 1) ** 3

    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]
    within = sum(k(x[i], x[j]) + k(y[i], y[j]) for i, j in pairs) / (n * (n - 1))
    return within - 2 * sum(k(a, b) for a in x for b in y) / n**2


def test_kid_is_the_mean_over_all_pairs():
    x, y = cloud(12, 5, 0), cloud(12, 5, 1, 0.3)
    found = kernel_distance(x, y, size=12)
    assert found == pytest.approx(kid_by_loops(x, y), rel=1e-9)


def test_kid_over_subsets_has_a_seed():
    x, y = cloud(200, 6, 0), cloud(150, 6, 1, 0.5)
    found = kernel_distance(x, y, subsets=40, size=50, seed=3)
    assert found == kernel_distance(x, y, subsets=40, size=50, seed=3)
    assert found != kernel_distance(x, y, subsets=40, size=50, seed=4)


def test_kid_of_many_patches_is_made_subset_by_subset(monkeypatch):
    x, y = cloud(60, 6, 0), cloud(50, 6, 1, 0.5)
    wanted = kernel_distance(x, y, subsets=5, size=20)
    monkeypatch.setattr("uhrtranslate.metrics.population._GRAM", 40)
    found = kernel_distance(x, y, subsets=5, size=20)
    assert found == pytest.approx(wanted, rel=1e-9)


def precision_by_loops(real, output, k):
    radii = [np.sort([np.linalg.norm(a - b) for b in real])[k] for a in real]
    inside = [
        any(np.linalg.norm(o - a) <= r for a, r in zip(real, radii, strict=True)) for o in output
    ]
    return np.mean(inside)


@given(st.integers(5, 30), st.integers(5, 30), st.integers(1, 4), st.integers(0, 10**6))
@settings(max_examples=25)
def test_precision_and_recall_are_those_of_plain_loops(n, m, k, seed):
    real, output = cloud(n, 4, seed), cloud(m, 4, seed + 1, 0.4)
    precision, recall = precision_recall(real, output, k)
    assert precision == pytest.approx(precision_by_loops(real, output, k))
    assert recall == pytest.approx(precision_by_loops(output, real, k))


def test_a_population_without_variety_has_precision_and_no_recall():
    random = np.random.default_rng(0)
    real = random.normal(size=(1500, 8))
    same = precision_recall(real, random.normal(size=(1500, 8)))
    narrow = precision_recall(real, 0.1 * random.normal(size=(1500, 8)))
    away = precision_recall(real, random.normal(size=(1500, 8)) + 20)
    assert same[0] > 0.85
    assert same[1] > 0.85
    assert narrow[0] > 0.95
    assert narrow[1] < 0.1
    assert away == (0, 0)


def test_an_estimate_is_student_s():
    values = [1.0, 2.0, 4.0, 5.0]
    found = estimate(values)
    wanted = scipy.stats.t.interval(0.95, 3, loc=3, scale=scipy.stats.sem(values))
    assert (found.low, found.high) == pytest.approx(wanted)
    assert found.mean == 3
    assert estimate([7.0]).low == estimate([7.0]).high == 7
    assert estimate(values, 0.5).high < found.high


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(0)
    found = [estimate(list(random.normal(5, 2, 5))) for _ in range(400)]
    assert 0.92 < np.mean([e.low <= 5 <= e.high for e in found]) < 0.98


def test_few_patches_are_warned_of():
    assert "64 features" in too_few(64, 5000, 64)
    assert "2000 patches" in too_few(2000, 50_000, 64)
    assert too_few(10_000, 12_000, 2048) is None


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.zeros((5, 3)), np.zeros((5, 4))),
        (np.zeros((1, 3)), np.zeros((5, 3))),
        (np.zeros(5), np.zeros(5)),
        (np.zeros((5, 0)), np.zeros((5, 0))),
        (np.full((5, 3), np.nan), np.zeros((5, 3))),
    ],
)
def test_features_that_do_not_fit_are_refused(x, y):
    for figure in (frechet_distance, kernel_distance, precision_recall):
        with pytest.raises(ValueError, match=r"features|patches"):
            figure(x, y)


def test_nonsense_is_refused():
    x = cloud(10, 3, 0)
    with pytest.raises(ValueError, match="more than 10"):
        precision_recall(x, x, 10)
    with pytest.raises(ValueError, match="subsets"):
        kernel_distance(x, x, subsets=0)
    with pytest.raises(ValueError, match="0 values"):
        estimate([])
