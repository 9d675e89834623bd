"""Writing a warped slide: read about once, whatever is sampled how."""

import json

import numpy as np
import tifffile

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.io import VirtualSlide
from uhrtranslate.options import ImageOptions
from uhrtranslate.recipes.warped import Warped
from uhrtranslate.registration import Frame, Matrix, Transform
from uhrtranslate.runs.one_image import process_slide

SIDE = 2048
TURN = Matrix(np.array([[0.995, -0.0998, 150], [0.0998, 0.995, -150], [0, 0, 1.0]]))


class Counted(VirtualSlide):
    """Stripes that count the px that are read."""

    total = 0

    def read(self, x, y, w, h, level=0):
        self.total += w * h
        return super().read(x, y, w, h, level)


def stripes(x, y, w, h):
    values = 100 + 99 * np.sin(np.arange(x, x + w) / 2)
    return np.broadcast_to(values[None, :, None], (h, w, 3)).astype(np.uint8)


def test_the_slide_is_read_about_once_and_the_way_of_sampling_is_written_down(tmp_path):
    frame = Frame("virtual", SIDE, SIDE)
    found = Transform(frame, frame, (TURN,))
    made = {}
    for sampling in ("cubic", "linear"):
        slide = Counted(SIDE, SIDE, stripes)
        target = tmp_path / f"{sampling}.tif"
        recipe = Warped(ImageOptions(), found, "t.json", sampling)
        result = process_slide(recipe, WarpedSlide(slide, found, sampling), target)
        # A block of a slide that is turned by 6 degrees needs a quarter more than it shows.
        assert slide.total < 1.35 * SIDE**2
        assert result.seams is None
        with tifffile.TiffFile(target) as file:
            assert json.loads(file.pages[0].description)["sampling"] == sampling
        made[sampling] = tifffile.imread(target).astype(float)
    inner = np.s_[400:1600, 400:1600]
    cubic, linear = (made[name][inner].std() for name in ("cubic", "linear"))
    assert linear < 0.985 * cubic  # what is between pixels is blurred
