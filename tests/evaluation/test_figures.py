"""Every group of figures keeps its word."""

import json

import numpy as np
import pytest
import skimage.data
from metrics.planted import with_tiles
from PIL import Image

from uhrtranslate.evaluation.evaluator import Evaluator
from uhrtranslate.evaluation.figures.base import Figure
from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.report import Group, Measure
from uhrtranslate.tables import FIGURES


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Translations with seams, their sources, and real images."""
    place = tmp_path_factory.mktemp("figures")
    pictures = {
        "a.png": np.tile(skimage.data.immunohistochemistry(), (3, 3, 1))[:1110, :1200],
        "b.png": skimage.data.retina()[200:700, 200:800],
    }
    for folder in ("source", "result", "real"):
        (place / folder).mkdir()
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(place / "source" / name)
        Image.fromarray(pixels[::-1]).save(place / "real" / name)
        darker = with_tiles((pixels * 0.8).astype(np.uint8), 160, 3)
        Image.fromarray(darker).save(place / "result" / name)
    (place / "classes.csv").write_text("image,class\na.png,2+\nb.png,0\n")
    return place


@pytest.fixture(scope="module")
def found(place):
    """All that can be measured of one image and of both, but for what needs weights."""
    options = EvaluateOptions(
        source=place / "source", truth=place / "source", baseline=place / "source",
        retiled=place / "source", reference=place / "real", domain=True, patch=64, patches=16,
        seeds=2, grid=160, classes=place / "classes.csv", nuclei=True,
    )  # fmt: skip
    evaluator = Evaluator(options)
    images = [evaluator.evaluate(path) for path in sorted((place / "result").iterdir())]
    together, _ = evaluator.together()
    ours = images[0].metrics
    return ours | {name: ours.get(name, {}) | figures for name, figures in together.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", FIGURES)
def test_every_group_of_figures(name, found):
    figure = FIGURES[name]
    assert issubclass(figure, Figure)
    assert isinstance(figure.group, Group)
    assert figure.group.title
    if name == "run":  # what no image tells
        assert name not in found
        return
    json.dumps(found[name], allow_nan=False)
    measures = figure.group.measures
    needs_weights = {"lpips", "lpips_c"}
    of_several = {"worst_ratio", "worst_channel", "worst_channel_ratio"}
    assert measures.keys() - found[name].keys() <= needs_weights | of_several
    shown = [measure for measure in measures.values() if measure is not None]
    assert all(isinstance(measure, Measure) and measure.label for measure in shown)
    assert len({measure.label for measure in shown}) == len(shown)
