"""A small DSTGAN learns a look from patches without pairs, and gives it to a whole slide."""

import json

import numpy as np
import pytest
import skimage.color
import tifffile
import torch
from problems import PATCH, Problem, floats

from uhrtranslate.enhance import Stack, Tally
from uhrtranslate.io import check_complete
from uhrtranslate.models import save_native
from uhrtranslate.options import TranslateOptions
from uhrtranslate.recipes.stain_generator import StainGenerator
from uhrtranslate.runs.one_image import process_file
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.run.learner import Learner
from uhrtranslate.training.stain_losses import grey, ssim

# Small networks, sharper than the paper's rate, as there are few steps; judges that count less, as
# they learn faster than so small a generator. A seed gave an SSIM of .976 and colours at 0.33 of
# the source's distance; with the source's lightness, 0.27 is the least.
OPTIONS = {
    "method": "dstgan",
    "data": {"a": "a", "b": "b", "patch": PATCH},
    "generator": {
        "inputs": ["grey"], "width": 16, "depths": [1, 1, 1, 1], "window": 4, "drop_path": 0,
    },
    "discriminator": {"ndf": 8, "layers": 2},
    "texture_width": 8,
    "bins": 32,
    "alpha": 0.02,
    "ssim": 3,
    "supervised": 4,
    "blur": 0,
    "batch": 1,
    "lr": 2e-3,
    "ema": 0.98,
    "epochs": 1,
    "decay": 9,
}  # fmt: skip
STEPS = 300
# One of so many starts must reach the goal: rounding differs from processor to processor.
STARTS = 2


@pytest.fixture(scope="module")
def trained():
    """The learner, after 45 s on one core (a start that misses costs as much), and its problem."""
    for seed in range(STARTS):
        options = make_train_options({**OPTIONS, "seed": seed})
        learner, problem = Learner(options, torch.device("cpu")), Problem(False)
        for step in range(STEPS):
            learner.step(problem.batch(), epoch=max(0, 20 * step // STEPS - 10))
        learner.exports()["A2B"].eval()
        if goal_is_reached(learner, problem):
            break
    return learner, problem


def pixels_of(x):
    """[n, 3, h, w] in -1..1 as uint8 [n, h, w, 3]."""
    return ((x + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()


def unit(x):
    return (x + 1) / 2


def look(x):
    """Mean and standard deviation of patches in CIE Lab."""
    lab = skimage.color.rgb2lab(unit(x).permute(0, 2, 3, 1).numpy().clip(0, 1)).reshape(-1, 3)
    return np.concatenate([lab.mean(0), lab.std(0)])


def judged(learner, problem, toned=False):
    """On held-out patches: the share of the source's distance that is left, and SSIM of grey."""
    source, target = problem.held_out()
    y = grey(source)
    if toned:
        stack = Stack(("toned",), Tally.of(problem.source), Tally.of(problem.target))
        y = floats([stack(one) for one in pixels_of(source)])
    with torch.inference_mode():
        made = learner.exports()["A2B"](y)
    before, after = (np.linalg.norm(look(x) - look(target)) for x in (source, made))
    return after / before, ssim(unit(grey(source)), unit(grey(made))).item()


def goal_is_reached(learner, problem):
    left, structure = judged(learner, problem)
    return left <= 0.5 and structure >= 0.95


@pytest.mark.slow
def test_colours_come_near_the_target_and_texture_stays(trained):
    """At most half of the source's distance is left, with an SSIM of at least .95."""
    assert goal_is_reached(*trained), judged(*trained)


@pytest.mark.slow
def test_toned_grey_brings_the_targets_lightness_too(trained):
    """Colours come nearer than with the source's lightness; grey is then another."""
    (left, _), (left_toned, structure) = judged(*trained), judged(*trained, toned=True)
    assert left_toned < 0.8 * left
    assert structure > 0.8


@pytest.mark.slow
def test_a_slide_gets_the_look_without_seams(trained, tmp_path):
    learner, problem = trained
    save_native(
        tmp_path / "look.safetensors",
        learner.exports()["A2B"],
        learner.method.generator_info("A2B", 0.5),
    )
    slide = np.tile(problem.source, (2, 2, 1))[:800, :900]
    tifffile.imwrite(tmp_path / "slide.tif", slide, tile=(256, 256), photometric="rgb")
    options = TranslateOptions(model=str(tmp_path / "look.safetensors"), compression="lzw")
    result = process_file(StainGenerator(options), tmp_path / "slide.tif", tmp_path / "out.tif")
    assert (result.tile, result.overlap) == (128, 64)
    assert result.seams <= 1.03
    assert 0 < result.mismatch < 6
    made = tifffile.imread(tmp_path / "out.tif").astype(float)
    red, green, blue = made[slide.min(axis=2) < 180].mean(axis=0)
    # Eosin-like pink and haematoxylin-like blue, where DAB was brown.
    assert green < min(red, blue)
    assert json.loads(check_complete(tmp_path / "out.tif").description)["inputs"] == ["grey"]
