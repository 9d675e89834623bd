"""Transforms: applied, composed, inverted; written and read."""

import json

import numpy as np
import pytest

from uhrtranslate.errors import InputError
from uhrtranslate.registration import (
    DisplacementGrid,
    Frame,
    Matrix,
    Transform,
    dump_transform,
    load_transform,
)

FIXED, MOVING = Frame("f.tif", 800, 600, (0.5, 0.5)), Frame("m.tif", 900, 700)
AFFINE = Matrix(np.array([[0.9, -0.3, 40], [0.3, 0.9, -20], [0, 0, 1]]))
PROJECTIVE = Matrix(np.array([[1, 0.1, 5], [0, 1.1, 2], [1e-4, -5e-5, 1]]))


def wave(size=6.0):
    """A smooth displacement of at most `size` px."""
    y, x = np.mgrid[0:14, 0:18]
    values = np.stack([np.sin(x / 3 + y / 5), np.cos(y / 4)], axis=-1) * size
    return DisplacementGrid((-25, -25), (50, 50), values.astype(np.float32))


def points(n=200, seed=0):
    return np.random.default_rng(seed).uniform((0, 0), (800, 600), (n, 2))


def test_steps_come_one_after_the_other():
    transform = Transform(MOVING, FIXED, (wave(), AFFINE, PROJECTIVE))
    at = points()
    by_hand = PROJECTIVE.apply(AFFINE.apply(at + wave().at(at)))
    assert np.array_equal(transform.to_moving(at), by_hand)


def test_a_displacement_passes_through_its_nodes_and_is_linear_where_they_are():
    grid = wave()
    nodes = grid.nodes().reshape(-1, 2)
    assert np.allclose(grid.at(nodes), grid.values.reshape(-1, 2), atol=1e-5)
    slope = np.stack(np.meshgrid(np.arange(9.0), np.arange(8.0)), axis=-1).astype(np.float32)
    linear = DisplacementGrid((0, 0), (10, 10), slope)
    inside = np.random.default_rng(1).uniform(10, 60, (50, 2))
    assert np.allclose(linear.at(inside), inside / 10)


@pytest.mark.parametrize("first", [wave(), AFFINE, PROJECTIVE], ids=["grid", "affine", "other"])
def test_a_lattice_is_the_same_as_its_points(first):
    transform = Transform(MOVING, FIXED, (first, AFFINE))
    xs, ys = np.arange(3.5, 300, 7), np.arange(100.5, 200, 9)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1)
    one_by_one = transform.to_moving(grid.reshape(-1, 2)).reshape(grid.shape)
    assert np.allclose(transform.lattice(xs, ys), one_by_one, atol=1e-9)


@pytest.mark.parametrize(
    "steps",
    [
        (wave(), AFFINE),
        (wave(), AFFINE, PROJECTIVE, AFFINE),
        (AFFINE, wave()),
        (PROJECTIVE, PROJECTIVE),
    ],
    ids=["short", "projective", "long", "twice"],
)
@pytest.mark.parametrize("scale", [1, 200], ids=["small", "large"])
def test_a_block_is_where_its_points_are(steps, scale):
    """In float32, on slides of up to 160,000 px, within a thousandth of a px."""
    unit = Matrix(np.diag([scale, scale, 1.0]))
    steps = (unit.inverse()[0], *steps, unit) if scale > 1 else steps
    if scale > 1 and isinstance(steps[1], DisplacementGrid):  # as files have it: in level-0 px
        grid = steps[1]
        sizes = ((scale * grid.origin[0],) * 2, (scale * grid.spacing[0],) * 2)
        steps = (DisplacementGrid(*sizes, grid.values * scale), steps[0], *steps[2:])
    transform = Transform(MOVING, FIXED, steps)
    xs, ys = (600 * scale + np.arange(512) + 0.5, 400 * scale + np.arange(300) + 0.5)
    origin, planes = transform.planes(xs, ys)
    at = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    missed = planes.reshape(2, -1).T.astype(float) + origin - transform.to_moving(at)
    assert planes.dtype == np.float32
    assert np.abs(missed).max() < 1e-3


def test_behind_the_horizon_is_nothing():
    tilted = Matrix(np.array([[1, 0, 0], [0, 1, 0], [-1 / 300, 0, 1.0]]))
    _, planes = Transform(MOVING, FIXED, (wave(), tilted)).planes(np.arange(600.0), np.arange(9.0))
    assert np.isfinite(planes[:, :, :280]).all()
    assert np.isnan(planes[:, :, 320:]).all()


def test_points_come_back_and_the_miss_is_told():
    transform = Transform(MOVING, FIXED, (wave(), AFFINE, PROJECTIVE))
    at = points()
    back, missed = transform.to_fixed(transform.to_moving(at))
    assert np.abs(back - at).max() < 1e-3
    assert missed.max() < 1e-3


def test_a_fold_has_no_inverse_and_says_so():
    values = np.zeros((9, 9, 2), np.float32)
    values[:, 4:, 0] = -80  # the right half is laid over the left one
    folded = DisplacementGrid((0, 0), (20, 20), values)
    assert folded.jacobian().min() <= 0
    _, error = folded.inverse()
    assert error > 1


def test_an_inverted_transform_says_how_exact_it_is():
    transform = Transform(MOVING, FIXED, (wave(), AFFINE))
    inverse = transform.inverted()
    at = points()
    round_trip = np.linalg.norm(inverse.to_moving(transform.to_moving(at)) - at, axis=1)
    assert inverse.fixed == MOVING
    assert inverse.moving == FIXED
    assert 0 < inverse.error < 1
    assert round_trip.max() <= inverse.error * 1.5


def test_composition_is_one_after_the_other():
    first = Transform(MOVING, FIXED, (wave(), AFFINE))
    second = Transform(Frame("n.tif", 10, 10), MOVING, (PROJECTIVE,))
    at = points()
    both = first.then(second)
    assert np.array_equal(both.to_moving(at), second.to_moving(first.to_moving(at)))
    assert (both.fixed, both.moving.name) == (FIXED, "n.tif")
    with pytest.raises(InputError, match="in their order"):
        second.then(second)


def test_scale_is_px_of_moving_per_px_of_fixed():
    half = Matrix(np.array([[0, -0.5, 0], [0.5, 0, 0], [0, 0, 1]]))
    assert Transform(MOVING, FIXED, (half,)).scale() == pytest.approx(0.5)


def test_a_file_holds_it_all():
    transform = Transform(MOVING, FIXED, (wave(), PROJECTIVE), 0.25, {"verdict": "good"}, {"a": 1})
    text = json.dumps(dump_transform(transform))
    again = load_transform(json.loads(text), "t.json")
    assert np.array_equal(again.to_moving(points()), transform.to_moving(points()))
    assert (again.fixed, again.moving, again.error) == (FIXED, MOVING, 0.25)
    assert (again.quality, again.how) == ({"verdict": "good"}, {"a": 1})


def changed(**changes):
    document = dump_transform(Transform(MOVING, FIXED, (wave(), AFFINE)))
    step = changes.pop("step", {})
    document["steps"][0] |= step
    return document | changes


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "is no transform"),
        ({"format": "other"}, "is no transform"),
        (changed(version=2), "version 2"),
        (changed(fixed={"name": "x", "width": 0, "height": 1, "mpp": None}), "fixed.width"),
        (changed(step={"columns": 4_000_000, "rows": 4_000_000}), "does not fit|less than"),
        (changed(step={"columns": 17}), "does not fit"),
        (changed(step={"spacing": [0, 1]}), "damaged"),
        (changed(steps=[{"kind": "matrix", "matrix": [[0, 0, 0]] * 3}]), "cannot be inverted"),
        (changed(steps=[{"kind": "matrix", "matrix": [[float("nan")] * 3] * 3}]), "damaged"),
        (changed(steps=[{"kind": "matrix", "matrix": [[1, 0, 0]] * 2}]), "damaged"),
        (changed(steps=changed()["steps"] * 9), "damaged"),
    ],
)
def test_damaged_files_are_refused_in_a_sentence(document, told):
    with pytest.raises(InputError, match=told) as error:
        load_transform(document, "t.json")
    assert str(error.value).startswith("t.json: ")


def test_displacements_that_are_no_numbers_are_refused():
    bad = wave()
    bad.values[0, 0, 0] = np.nan
    with pytest.raises(InputError, match="no numbers"):
        load_transform(dump_transform(Transform(MOVING, FIXED, (bad,))), "t.json")
    text = "*" * len(changed()["steps"][0]["displacement"])
    with pytest.raises(InputError, match="base64"):
        load_transform(changed(step={"displacement": text}), "t.json")
