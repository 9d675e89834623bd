"""Patches of classes at two levels."""

from contextlib import closing

import numpy as np
import pytest
import tifffile
from PIL import Image
from problems import section

from uhrtranslate.models.prompts import LEVELS, Prompts
from uhrtranslate.training.data.batches import batches
from uhrtranslate.training.data.levels import open_classes, open_images
from uhrtranslate.training.level_options import ClassOptions, ImageOptions

BLUE = {"dark": 40, "light": 200}


def coordinates(blue, side=512):
    """Red grows to the right by 1 in 2 px, green downwards; blue tells the class."""
    pixels = np.full((side, side, 3), blue, np.uint8)
    pixels[..., 0] = np.arange(side) // 2
    pixels[..., 1] = pixels[..., 0].T
    return pixels


@pytest.fixture
def classes(tmp_path):
    """Two classes that differ in blue; of one there is an image too small for overviews."""
    for name, blue in BLUE.items():
        (tmp_path / name).mkdir()
        Image.fromarray(coordinates(blue)).save(tmp_path / name / "0.png")
    Image.fromarray(coordinates(40, 64)).save(tmp_path / "dark" / "small.png")
    return tmp_path


def opened(classes, **more):
    options = ClassOptions(classes=classes, patch=64, tissue=0, flip=False, **more)
    return closing(open_classes(options, 1))


def test_each_prompt_comes_once_in_each_turn(classes):
    with opened(classes) as patches:
        found = [int(patches.sample(number)["prompts"]) for number in range(40)]
    turns = [found[i : i + 4] for i in range(0, 40, 4)]
    assert all(sorted(turn) == [0, 1, 2, 3] for turn in turns)
    assert len({tuple(turn) for turn in turns}) > 3


def test_overviews_are_shrunk_and_patches_native(classes):
    prompts = Prompts(tuple(BLUE))
    with opened(classes) as patches:
        assert len(patches.pictures["dark"]) == 2
        assert len(patches.overviews["dark"]) == 1
        samples = [patches.sample(number) for number in range(8)]
    for sample in samples:
        assert sample["images"].dtype == np.float32
        assert sample["images"].shape == (3, 64, 64)
        red, green, blue = (sample["images"] + 1) * 127.5
        name = min(BLUE, key=lambda one: abs(BLUE[one] - blue.mean()))
        assert np.allclose(blue, BLUE[name], atol=1)
        level = LEVELS[int(sample["prompts"]) % 2]
        assert sample["prompts"] == prompts.identifier(name, level)
        span = 32 if level == "patch" else 4 * 32
        assert np.ptp(red) == pytest.approx(span, abs=3)
        assert np.ptp(green) == pytest.approx(span, abs=3)


def test_samples_do_not_depend_on_threads(classes):
    with opened(classes, rotate=True, jitter=0.1) as patches:
        one, four = (list(batches(patches.sample, 5, 3, 4, n)) for n in (1, 4))
    for x, y in zip(one, four, strict=True):
        assert (x["images"] == y["images"]).all()
        assert x["prompts"].shape == (4,)
        assert (x["prompts"] == y["prompts"]).all()


def test_examples_show_each_prompt(classes):
    with opened(classes) as patches:
        assert [int(one["prompts"]) for one in patches.examples()] == [0, 1, 2, 3]


def test_images_of_an_autoencoder_have_both_levels_or_one(classes):
    for shrink, levels in ((4, {0, 1}), (1, {1})):
        options = ImageOptions(images=classes, patch=64, shrink=shrink, tissue=0)
        with closing(open_images(options, 1)) as patches:
            assert {int(patches.sample(n)["prompts"]) for n in range(8)} == levels


def test_overviews_may_be_cut_before(classes, tmp_path):
    for name in BLUE:
        (tmp_path / "far" / name).mkdir(parents=True)
        shown = np.full((64, 64, 3), 77, np.uint8)
        Image.fromarray(shown).save(tmp_path / "far" / name / "cut.png")
    ones = {name: classes / name for name in BLUE}
    with opened(ones, overviews=tmp_path / "far", shrink=8) as patches:
        samples = [patches.sample(number) for number in range(4)]
        assert set(patches.manifest()) == {"dark", "light", "dark, overall", "light, overall"}
    levels = {int(one["prompts"]) % 2: one["images"] for one in samples}
    assert np.allclose(levels[0], 77 / 127.5 - 1)
    assert np.ptp(levels[1]) > 0.5


def test_slides_are_read_at_a_resolution(tmp_path):
    for name in BLUE:
        (tmp_path / name).mkdir()
        tifffile.imwrite(
            tmp_path / name / "slide.tif", section(), tile=(256, 256), photometric="rgb",
            resolution=(4e4, 4e4), resolutionunit="CENTIMETER",
        )  # fmt: skip
    with opened(tmp_path, mpp=0.5, shrink=2) as patches:
        assert patches.pictures["dark"][0].width == 256
        assert patches.overviews["dark"][0].width == 128
        assert patches.mpp() == 0.5
        assert patches.sample(0)["images"].shape == (3, 64, 64)
        assert patches.epoch_length() == round(2 * (256 - 63) ** 2 / 64**2)
