import numpy as np
import pytest
import skimage.data
from PIL import Image

from uhrtranslate.io import VirtualSlide
from uhrtranslate.viewer.pyramid import TILE, TilePyramid

SECTION = np.tile(skimage.data.immunohistochemistry(), (3, 4, 1))[:1300, :1900]


class Counted(VirtualSlide):
    """Counts the pixels that are read."""

    def __init__(self, levels):
        self.read_pixels = 0
        super().__init__(1900, 1300, lambda x, y, w, h: SECTION[y : y + h, x : x + w], None, levels)

    def read(self, x, y, w, h, level=0):
        self.read_pixels += w * h
        return super().read(x, y, w, h, level)


def whole(tiles, level):
    columns, rows = tiles.shape(level)
    return np.concatenate(
        [
            np.concatenate([tiles.tile(level, column, row) for column in range(columns)], axis=1)
            for row in range(rows)
        ]
    )


@pytest.mark.parametrize("levels", [1, 3])
def test_tiles_are_the_slide_at_every_size(levels):
    tiles = TilePyramid(Counted(levels))
    assert tiles.last == 11
    assert np.array_equal(whole(tiles, 11), SECTION)
    for level in (10, 9, 7, 6):
        factor = 2 ** (11 - level)
        expected = np.asarray(Image.fromarray(SECTION).reduce(factor)).astype(int)
        made = whole(tiles, level)
        assert made.shape == expected.shape
        assert np.abs(made - expected).mean() < 8, level
    tiles.close()


def test_small_levels_of_a_flat_slide_read_each_pixel_once_and_only_once():
    slide = Counted(levels=1)
    tiles = TilePyramid(slide)
    tiles.tile(6, 0, 0)
    first = slide.read_pixels
    assert first < 3 * SECTION.shape[0] * SECTION.shape[1]
    for level in range(7):
        tiles.tile(level, 0, 0)
    assert slide.read_pixels == first  # the others are made of what was kept
    tiles.close()


def test_there_are_no_tiles_beyond_the_slide():
    tiles = TilePyramid(Counted(1))
    for place in ((12, 0, 0), (-1, 0, 0), (11, 8, 0), (11, 0, 6), (11, -1, 0)):
        with pytest.raises(KeyError):
            tiles.tile(*place)
    assert tiles.tile(11, 7, 5).shape == (1300 - 5 * TILE, 1900 - 7 * TILE, 3)
