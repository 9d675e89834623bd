import numpy as np
import pytest

from uhrtranslate.evaluation.made import Made
from uhrtranslate.registration import DisplacementGrid, Frame, Matrix, Transform
from uhrtranslate.viewer.places import Image, place_of


def image(name, width, height, mpp=None, **made):
    return Image(name, name, width, height, mpp and (mpp, mpp), Made(**made))


def corners(place, one):
    ends = np.array([[0.0, 0.0], [one.width, one.height]])
    return place.to_plane(ends).round(3).tolist()


SLIDE = image("slide.svs", 4000, 3000, 0.5)


def test_images_lie_by_their_resolution_in_micrometres():
    coarse = image("coarse.tif", 1000, 750, 2.0)
    for one in (SLIDE, coarse):
        assert corners(place_of(one, [SLIDE, coarse], ()), one) == [[0, 0], [2000, 1500]]


def test_a_result_of_a_part_lies_where_its_description_says():
    part = image("part.tif", 500, 250, 1.0, source_size=(4000, 3000), region=(200, 100, 1000, 500))
    assert corners(place_of(part, [SLIDE, part], ()), part) == [[100, 50], [600, 300]]
    alone = corners(place_of(part, [part], ()), part)  # its source is not shown
    assert alone == [[0, 0], [500, 250]]


def test_a_picture_without_resolution_covers_the_reference_if_it_has_its_shape():
    picture, other = image("a.png", 400, 300), image("b.png", 400, 400)
    assert corners(place_of(picture, [SLIDE, picture], ()), picture) == [[0, 0], [2000, 1500]]
    assert corners(place_of(other, [SLIDE, other], ()), other) == [[0, 0], [200, 200]]


@pytest.fixture
def turned():
    """Where points of the slide are in a moving one: turned by 90 degrees, half the size."""
    frames = Frame("moving.svs", 1500, 2000, (1, 1)), Frame("slide.svs", 4000, 3000, (0.5, 0.5))
    return Transform(*frames, (Matrix(np.array([[0, 0.5, 0], [-0.5, 0, 2000.0], [0, 0, 1]])),))


def test_a_transform_lays_its_moving_slide_on_the_fixed_one(turned):
    moving = image("moving.svs", 1500, 2000, 1.0)
    place = place_of(moving, [SLIDE, moving], (turned,))
    assert place.matrix is not None
    assert corners(place, moving) == [[2000, 0], [0, 1500]]
    assert place.from_plane(np.array([[2000.0, 0.0]])).round(6).tolist() == [[0, 0]]
    part = image("p.tif", 100, 100, 1.0, source_size=(1500, 2000), region=(0, 0, 100, 100))
    assert corners(place_of(part, [SLIDE, moving, part], (turned,)), part) == [
        [2000, 0],
        [1900, 100],
    ]


def test_a_displacement_is_told_as_lattices_that_undo_each_other(turned):
    grid = DisplacementGrid(
        (0.0, 0.0), (1000.0, 1000.0),
        np.random.default_rng(0).normal(0, 20, (4, 5, 2)).astype(np.float32),
    )  # fmt: skip
    bent = Transform(turned.moving, turned.fixed, (grid, *turned.steps))
    moving = image("moving.svs", 1500, 2000, 1.0)
    place = place_of(moving, [SLIDE, moving], (bent,))
    told = place.as_json(1500, 2000)
    assert "matrix" not in told
    there, back = (np.array(told[way]["points"]).reshape(-1, 2) for way in ("to", "from"))
    assert np.isfinite(there).all()
    assert np.isfinite(back).all()
    middle = np.array([[1000.0, 750.0]])
    assert np.allclose(place.to_plane(place.from_plane(middle)), middle, atol=0.1)
    node = (65 * 65) // 2
    x = told["from"]["x"] + told["from"]["dx"] * 32
    y = told["from"]["y"] + told["from"]["dy"] * 32
    assert np.allclose(back[node], place.from_plane(np.array([[x, y]]))[0], atol=0.01)
