"""A stain method is one file and one line of a table."""

import csv
import json

import numpy as np
import pytest
import skimage.data
from extending import package_with, run_uhrt
from PIL import Image

FILE = '''
"""Each channel gets the target's mean."""

from uhrtranslate.stain.base import Fit, enough, rounded


class Means(Fit):
    mean: tuple[float, float, float]

    def facts(self):
        return dict(zip(("red", "green", "blue"), self.mean, strict=True))


class Mine:
    name = "mine"
    fit_type = Means
    keeps_glass = True

    def fit(self, colours):
        return Means(mean=enough(colours).mean(0).tolist())

    def transform(self, colours, source, target):
        gain = [t / s for s, t in zip(source.mean, target.mean, strict=True)]
        return rounded(colours * gain)
'''


@pytest.mark.slow
def test_a_new_stain_method_recolours_saves_its_fit_and_is_pictured(tmp_path):
    package = package_with(
        tmp_path / "copy", "stain/mine.py", FILE, "STAIN_METHODS", '"mine": "stain.mine:Mine",'
    )
    section = skimage.data.immunohistochemistry()[:256, :256]
    target = (section * [0.9, 0.7, 0.8]).astype(np.uint8)
    for name, pixels in (("a", section), ("target", target)):
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    done = run_uhrt(
        package, "stain-normalize", "a.png", "--method", "mine", "--target", "target.png",
        "--save-fit", "fit.json", "--qc", "qc", "-o", "b.png", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    fit = json.loads((tmp_path / "fit.json").read_text())
    assert fit["method"] == "mine"
    (row,) = csv.DictReader((tmp_path / "qc" / "stains.csv").read_text().splitlines())
    assert float(row["blue"]) > fit["fit"]["mean"][2]
    assert (tmp_path / "qc" / "a.png.png").is_file()
    result = np.asarray(Image.open(tmp_path / "b.png")).astype(float)
    assert np.abs(result.mean((0, 1)) - target.mean((0, 1))).max() < 6
