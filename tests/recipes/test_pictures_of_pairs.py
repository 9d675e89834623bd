"""Pictures of a pair are made of as few reads as there are slides."""

import numpy as np

from uhrtranslate.io import VirtualSlide
from uhrtranslate.recipes.pictures_of_pairs import SlidePair
from uhrtranslate.registration import Frame, Matrix, Transform

SIDE = 2048


class Counted(VirtualSlide):
    """Grey that counts the px that are read."""

    total = 0

    def read(self, x, y, w, h, level=0):
        self.total += w * h
        return super().read(x, y, w, h, level)


def test_the_fixed_slide_is_read_once_for_all_stages():
    moving, fixed = (
        Counted(SIDE, SIDE, lambda x, y, w, h: np.full((h, w, 3), 99, np.uint8)) for _ in range(2)
    )
    pair, frame = SlidePair(moving, fixed), Frame("virtual", SIDE, SIDE)
    assert [picture.shape for picture in pair.thumbnails] == [(1024, 1024, 3)] * 2
    for shift in (0, 100, 200):
        move = Matrix(np.array([[1, 0, shift], [0, 1, 0], [0, 0, 1.0]]))
        seen = pair.pictures(Transform(frame, frame, (move,)))
        assert seen.inside.mean() == 1 - shift / SIDE
        assert seen.fixed is pair.still
    assert fixed.total < 1.1 * SIDE**2
