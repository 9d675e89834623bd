import numpy as np
import pytest
import skimage.data
import torch
from support import ArraySink, ArraySource

from uhrtranslate.engine import ColourTable, ColourTransform, stream
from uhrtranslate.geometry import CellGrid, TilePlan

torch.set_num_threads(1)
IMAGE = skimage.data.immunohistochemistry()[:301, :222]


def swapped(colours):
    """A map that no two channels share."""
    return np.stack([255 - colours[:, 2], colours[:, 0] // 2, colours[:, 1] ^ 7], axis=1)


def test_a_table_gives_what_the_map_gives():
    table = ColourTable(swapped)
    for part in (IMAGE, IMAGE[::-1], IMAGE[:1, :1], np.full((3, 5, 3), 255, np.uint8)):
        expected = swapped(part.reshape(-1, 3)).reshape(part.shape)
        assert np.array_equal(table(part), expected)


def test_each_colour_is_computed_once():
    asked = []

    def counting(colours):
        asked.append(colours.copy())
        return colours

    table = ColourTable(counting)
    for _ in range(3):
        assert np.array_equal(table(IMAGE), IMAGE)
    colours = np.concatenate(asked)
    assert len(colours) == len(np.unique(IMAGE.reshape(-1, 3), axis=0))


@pytest.mark.parametrize("tile", [37, 100, 512])
def test_tiles_do_not_matter(tile):
    plan = TilePlan(CellGrid(222, 301, tile), tile, 0, 1)
    sink = ArraySink(301, 222)
    stream(ArraySource(IMAGE), ColourTransform(plan, ColourTable(swapped)), sink)
    assert (sink.written == 1).all()
    assert np.array_equal(sink.pixels, swapped(IMAGE.reshape(-1, 3)).reshape(IMAGE.shape))
