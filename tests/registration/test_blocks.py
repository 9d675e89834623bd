"""The non-rigid step in blocks, and what it says without SimpleITK."""

import numpy as np
import pytest
import skimage.data

from uhrtranslate.errors import MissingExtraError
from uhrtranslate.io import VirtualSlide
from uhrtranslate.recipes import elastic
from uhrtranslate.registration import Frame, Matrix, Transform, bspline, elastix
from uhrtranslate.registration.field import NODES


def test_without_simpleitk_it_says_what_to_install(monkeypatch):
    def missing(module, extra):
        raise MissingExtraError(f"{module} is not installed; run: pip install 'x[{extra}]'")

    monkeypatch.setattr(bspline, "require", missing)
    with pytest.raises(MissingExtraError, match=r"\[register\]"):
        bspline.simpleitk()


def test_without_elastix_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(elastix, "_has", lambda module, name: False)
    with pytest.raises(MissingExtraError, match=r"\[elastix\]"):
        elastix.require_elastix()


@pytest.mark.parametrize("fits", [True, False], ids=["fits", "fails"])
def test_what_elastix_finds_is_a_spline_of_its_coefficients(monkeypatch, fits):
    """As elastix writes it: x of all nodes, then y; the spline's nodes reach beyond the picture."""
    slope = np.arange(8) * 10.0 - 20  # a linear spline's coefficients are its values
    coefficients = np.stack([np.tile(slope / 10, (9, 1)), np.full((9, 8), -2.0)])
    found = {
        "GridSize": ("8", "9"), "GridSpacing": ("10", "10"), "GridOrigin": ("-20", "-20"),
        "TransformParameters": tuple(str(value) for value in coefficients.ravel()),
    }  # fmt: skip

    def run(fixed, moving, mask):
        assert mask.dtype == np.uint8
        if not fits:
            raise RuntimeError("too many samples map outside")
        return found

    monkeypatch.setattr(elastix, "_has", lambda module, name: module == "itk")
    monkeypatch.setattr(elastix, "_by_itk", run)
    picture, everywhere = np.zeros((33, 25), np.float32), np.ones((33, 25), np.bool_)
    values = elastix.elastix_displacement(picture, picture, everywhere, everywhere)
    assert values.shape == (6, 5, 2)
    x = np.array([0, 8, 16, 24, 24])
    assert np.allclose(values[..., 0], (x / 10) * fits)
    assert np.allclose(values[..., 1], -2 * fits)


def test_each_round_and_block_is_told(monkeypatch):
    monkeypatch.setattr(elastic, "BLOCK", 256)
    slide = VirtualSlide(700, 500, lambda x, y, w, h: np.full((h, w, 3), 245, np.uint8))
    frame = Frame("s", 700, 500)
    told = []
    elastic.refine(
        slide, slide, Transform(frame, frame, (Matrix(np.eye(3)),)), None, 3,
        lambda number, done: told.append((number, round(done, 2))),
    )  # fmt: skip
    assert elastic.sides_of_rounds(700, 500, 3) == [1024]
    assert [number for number, _ in told] == [0] * 6
    assert told[0] == (0, 0)
    assert [done for _, done in told] == sorted(done for _, done in told)
    assert told[-1][1] < 1


def test_blocks_blend_to_what_they_agree_on(monkeypatch):
    def shifted(fixed, moving, tissue, inside):
        rows, columns = (-(-side // NODES) + 1 for side in fixed.shape)
        return np.full((rows, columns, 2), (3.0, -2.0), np.float32)

    monkeypatch.setattr(elastic, "BLOCK", 256)
    texture = np.tile(skimage.data.immunohistochemistry(), (2, 2, 1))[:700, :900]
    slide = VirtualSlide(900, 700, lambda x, y, w, h: texture[y : y + h, x : x + w])
    frame = Frame("s", 900, 700)
    found = elastic.refine(slide, slide, Transform(frame, frame, (Matrix(np.eye(3)),)), shifted, 1)
    at = np.random.default_rng(0).uniform((0, 0), (900, 700), (500, 2))
    assert np.allclose(found.to_moving(at) - at, (3, -2), atol=1e-3)


def test_bare_glass_stays_where_it_is():
    slide = VirtualSlide(300, 300, lambda x, y, w, h: np.full((h, w, 3), 245, np.uint8))
    frame = Frame("s", 300, 300)
    still = Transform(frame, frame, (Matrix(np.eye(3)),))
    found = elastic.refine(slide, slide, still, None, 1)  # no engine is called
    at = np.array([[10.0, 20.0]])
    assert np.array_equal(found.to_moving(at), at)
