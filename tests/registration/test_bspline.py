"""The non-rigid step, where SimpleITK is installed."""

import numpy as np
import pytest
import skimage.data
from scipy.ndimage import map_coordinates

from uhrtranslate.errors import MissingExtraError
from uhrtranslate.recipes import elastic
from uhrtranslate.registration import Frame, Matrix, Transform, bspline

needs_simpleitk = pytest.mark.skipif(
    not bspline.has_simpleitk(), reason="needs SimpleITK: pip install 'uhrtranslate[register]'"
)
SIDE = 384


def wave(x, y):
    """A smooth displacement of some px."""
    return 4 * np.sin(y / 60), 3 * np.cos(x / 70)


def test_without_simpleitk_it_says_what_to_install(monkeypatch):
    def missing(module, extra):
        raise MissingExtraError(f"{module} is not installed; run: pip install 'x[{extra}]'")

    monkeypatch.setattr(bspline, "require", missing)
    assert not bspline.has_simpleitk()
    with pytest.raises(MissingExtraError, match=r"\[register\]"):
        bspline.simpleitk()


@needs_simpleitk
def test_a_smooth_warp_and_another_look_are_undone():
    picture = (skimage.data.camera()[:SIDE, :SIDE] / 255).astype(np.float32)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(float)
    dx, dy = wave(x, y)
    fixed = map_coordinates(picture, [y + dy, x + dx], order=1, mode="nearest") ** 0.5
    mask = np.ones((SIDE, SIDE), bool)
    found = bspline.bspline_displacement(fixed.astype(np.float32), picture, mask)
    step = bspline.NODES
    inner = np.s_[2 : SIDE // step - 2, 2 : SIDE // step - 2]
    missed = np.hypot(
        found[..., 0][: SIDE // step, : SIDE // step] - dx[::step, ::step],
        found[..., 1][: SIDE // step, : SIDE // step] - dy[::step, ::step],
    )
    assert np.median(missed[inner]) < 0.5


def test_blocks_blend_to_what_they_agree_on(monkeypatch):
    from uhrtranslate.io import VirtualSlide

    def shifted(fixed, moving, mask, mesh):
        rows, columns = (-(-side // bspline.NODES) + 1 for side in fixed.shape)
        return np.full((rows, columns, 2), (3.0, -2.0), np.float32)

    monkeypatch.setattr(elastic, "bspline_displacement", shifted)
    monkeypatch.setattr(elastic, "BLOCK", 256)
    texture = np.tile(skimage.data.immunohistochemistry(), (2, 2, 1))[:700, :900]
    slide = VirtualSlide(900, 700, lambda x, y, w, h: texture[y : y + h, x : x + w])
    frame = Frame("s", 900, 700)
    found = elastic.refine(slide, slide, Transform(frame, frame, (Matrix(np.eye(3)),)), 1)
    at = np.random.default_rng(0).uniform((0, 0), (900, 700), (500, 2))
    assert np.allclose(found.to_moving(at) - at, (3, -2), atol=1e-3)


def test_bare_glass_stays_where_it_is(monkeypatch):
    from uhrtranslate.io import VirtualSlide

    slide = VirtualSlide(300, 300, lambda x, y, w, h: np.full((h, w, 3), 245, np.uint8))
    frame = Frame("s", 300, 300)
    monkeypatch.setattr(elastic, "bspline_displacement", None)  # it is not called
    found = elastic.refine(slide, slide, Transform(frame, frame, (Matrix(np.eye(3)),)), 1)
    at = np.array([[10.0, 20.0]])
    assert np.array_equal(found.to_moving(at), at)
