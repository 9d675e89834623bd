import numpy as np
import pytest

from uhrtranslate.viewer.looks import ChannelLook, in_colour, read_looks


def test_channels_are_laid_over_each_other_between_their_ends():
    pixels = np.zeros((1, 3, 2), np.uint16)
    pixels[0, :, 0] = 100, 550, 4000
    pixels[0, 2, 1] = 50
    looks = read_looks("0:ff0000:100:1000,1:00ff00:0:100", 2)
    assert looks[1] == ChannelLook(1, (0, 255, 0), 0, 100)
    assert in_colour(pixels, looks).tolist() == [[[0, 0, 0], [128, 0, 0], [255, 128, 0]]]
    assert in_colour(pixels, looks[1:])[0, 2].tolist() == [0, 128, 0]


@pytest.mark.parametrize(
    "text",
    ["0:ff0000:0", "9:ff0000:0:1", "0:red:0:1", "0:ff0000:nan:1", ",", "0:ff0000:0:1," * 3],
)
def test_malformed_looks_are_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011
        read_looks(text, 2)
