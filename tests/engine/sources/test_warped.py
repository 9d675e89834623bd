"""A slide in another slide's frame: right pixels, whatever is read, from a bounded part."""

import numpy as np
import pytest
import skimage.data
from scipy.ndimage import gaussian_filter, map_coordinates

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.errors import InputError
from uhrtranslate.io import VirtualSlide
from uhrtranslate.registration import DisplacementGrid, Frame, Matrix, Transform

SMOOTH = np.stack(
    [gaussian_filter(skimage.data.astronaut()[..., c].astype(float), 3) for c in range(3)], -1
).astype(np.uint8)
SHIFT = Matrix(np.array([[1, 0, 7], [0, 1, -3], [0, 0, 1.0]]))
TURN = Matrix(np.array([[0.8, -0.6, 180], [0.6, 0.8, -100], [0, 0, 1.0]]))
WAVE = DisplacementGrid(
    (0, 0), (80, 80), np.random.default_rng(0).normal(0, 5, (9, 9, 2)).astype(np.float32)
)


class Watched(VirtualSlide):
    """Counts the pixels that are read at once."""

    most = 0

    def read(self, x, y, w, h, level=0):
        self.most = max(self.most, w * h)
        return super().read(x, y, w, h, level)


def slide(pixels=SMOOTH, kind=VirtualSlide, levels=1):
    h, w = pixels.shape[:2]
    return kind(w, h, lambda x, y, w, h: pixels[y : y + h, x : x + w], levels=levels)


def warped(*steps, moving=None, size=(600, 560), sampling="cubic"):
    moving = moving or slide()
    frame = Frame("m", moving.info.width, moving.info.height)
    return WarpedSlide(moving, Transform(frame, Frame("f", *size), steps), sampling)


@pytest.mark.parametrize("sampling", ["cubic", "linear"])
def test_a_whole_shift_moves_pixels_unchanged_and_fills_with_background(sampling):
    made = warped(SHIFT, sampling=sampling).read(0, 0, 600, 560)
    assert np.array_equal(made[3:515, :505], SMOOTH[:, 7:])
    assert (made[:3] == 255).all()
    assert (made[:, 505:] == 255).all()


@pytest.mark.parametrize("steps", [(TURN,), (WAVE, TURN)], ids=["turn", "wave"])
@pytest.mark.parametrize("sampling", ["cubic", "linear"])
def test_pixels_are_those_of_the_transform(steps, sampling):
    one = warped(*steps, sampling=sampling)
    made = one.read(100, 60, 300, 280)
    at = one._transform.lattice(np.arange(100, 400) + 0.5, np.arange(60, 340) + 0.5) - 0.5
    inside = ((at > 3) & (at < 508)).all(axis=-1)
    assert inside.mean() > 0.5
    for c in range(3):
        truth = map_coordinates(SMOOTH[..., c].astype(float), [at[..., 1], at[..., 0]], order=3)
        assert np.abs(made[..., c] - truth)[inside].max() < 2.5


def test_a_pixel_does_not_depend_on_what_it_is_read_with():
    whole = warped(WAVE, TURN).read(0, 0, 600, 560)
    other = warped(WAVE, TURN)
    for x, y, w, h in ((500, 490, 30, 40), (0, 0, 1, 1), (511, 511, 2, 2), (590, 550, 10, 10)):
        assert np.array_equal(other.read(x, y, w, h), whole[y : y + h, x : x + w])


def test_levels_show_the_same_place():
    one = warped(SHIFT, moving=slide(levels=2))
    assert [level.width for level in one.info.levels] == [600, 300]
    small = one.read(20, 20, 200, 200, 1).astype(float)
    large = one.read(40, 40, 400, 400).astype(float).reshape(200, 2, 200, 2, 3).mean(axis=(1, 3))
    assert np.abs(small - large).mean() < 2


def test_a_coarse_frame_is_antialiased():
    noise = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    eighth = Matrix(np.diag([8.0, 8.0, 1.0]))
    made = warped(eighth, moving=slide(noise), size=(128, 128)).read(0, 0, 128, 128)
    assert made.std() < 25  # 74 if every eighth pixel were taken


def test_only_what_a_block_needs_is_read():
    moving = Watched(40_000, 40_000, lambda x, y, w, h: np.full((h, w, 3), 9, np.uint8))
    one = warped(TURN, moving=moving, size=(40_000, 40_000))
    assert (one.read(20_000, 5_000, 64, 64) == 9).all()
    assert moving.most < 2 * 512**2 * 1.2
    torn = np.zeros((200, 200, 2), np.float32)
    torn[::2] = 15_000  # neighbours that come from far apart
    one = warped(DisplacementGrid((0, 0), (4, 4), torn), moving=moving, size=(800, 800))
    moving.most = 0
    one.read(0, 0, 40, 40)
    assert moving.most <= 16 * 512**2


def test_where_nothing_is_to_be_seen_nothing_is_sampled(monkeypatch):
    glass = np.full((512, 512, 3), 240, np.uint8)
    moving = Watched(512, 512, lambda x, y, w, h: glass[y : y + h, x : x + w])
    far = Matrix(np.array([[1, 0, 2000], [0, 1, 0], [0, 0, 1.0]]))
    monkeypatch.setattr("uhrtranslate.engine.sources.warped.grid_sample", None)
    assert (warped(far, moving=moving).read(0, 0, 600, 560) == 255).all()
    assert moving.most == 0
    near = Matrix(np.array([[1, 0, 60.3], [0, 1, 60.7], [0, 0, 1.0]]))
    assert (warped(near, moving=moving, size=(300, 300)).read(0, 0, 300, 300) == 240).all()
    assert moving.most > 0


def test_a_transform_of_another_slide_is_refused():
    with pytest.raises(InputError, match="made for a slide of 10 x 10 px"):
        WarpedSlide(slide(), Transform(Frame("m", 10, 10), Frame("f", 5, 5), (SHIFT,)))
