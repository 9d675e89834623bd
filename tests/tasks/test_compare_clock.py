"""What a comparison counts as a method's time."""

import numpy as np
import skimage.data
from PIL import Image
from support import as_generator, small_resnet

from uhrtranslate.errors import UhrError
from uhrtranslate.options import make_options
from uhrtranslate.recipes import generator_pool
from uhrtranslate.tasks import compare


def test_the_halo_is_measured_once_before_the_clock_of_who_needs_it_starts(tmp_path, monkeypatch):
    Image.fromarray(np.ascontiguousarray(skimage.data.immunohistochemistry()[:160, :160])).save(
        tmp_path / "slide.png"
    )
    told = []

    def measure_halo(runner):
        told.append("measured")
        return 16

    def process_file(translator, *_):
        told.append(f"{translator.suffix}, halo {translator.halo}")
        raise UhrError("enough")

    monkeypatch.setattr(generator_pool, "measure_halo", measure_halo)
    monkeypatch.setattr(compare, "process_file", process_file)
    compare.compare(
        tmp_path / "slide.png",
        tmp_path / "report",
        ["in:reflect", "dn", "kin"],
        make_options({"device": "cpu"}),
        generator=as_generator(small_resnet(n_blocks=1), stride=4, cell=64),
    )
    assert told == ["in, halo 0", "measured", "dn, halo 16", "kin, halo 16"]
