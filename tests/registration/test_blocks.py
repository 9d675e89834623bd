"""The non-rigid step in blocks, and what it says without SimpleITK."""

import numpy as np
import pytest
import skimage.data

from uhrtranslate.errors import MissingExtraError
from uhrtranslate.io import VirtualSlide
from uhrtranslate.recipes import elastic
from uhrtranslate.registration import Frame, Matrix, Transform, bspline
from uhrtranslate.registration.field import NODES


def test_without_simpleitk_it_says_what_to_install(monkeypatch):
    def missing(module, extra):
        raise MissingExtraError(f"{module} is not installed; run: pip install 'x[{extra}]'")

    monkeypatch.setattr(bspline, "require", missing)
    with pytest.raises(MissingExtraError, match=r"\[register\]"):
        bspline.simpleitk()


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
