"""NIQE falls with quality, and its fits of distributions find what was drawn."""

import json

import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
import skimage.data

from uhrtranslate.errors import InputError
from uhrtranslate.metrics.niqe import (
    FEATURES,
    _asymmetric,
    dump_niqe,
    fit_niqe,
    load_niqe,
    niqe_features,
    niqe_score,
)


@pytest.fixture(scope="module")
def model():
    pictures = [skimage.data.retina(), skimage.data.astronaut(), skimage.data.hubble_deep_field()]
    return fit_niqe([*pictures, *(picture[48:, 48:] for picture in pictures)])


def score(pixels, model):
    return niqe_score(niqe_features(pixels)[0], model)


def blurred(pixels, sigma):
    return scipy.ndimage.gaussian_filter(pixels, (sigma, sigma, 0))


def test_blur_and_noise_are_worse_than_the_picture(model):
    picture = skimage.data.immunohistochemistry()
    random = np.random.default_rng(0)

    def noisy(sigma):
        return np.clip(picture + random.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8)

    plain = score(picture, model)
    assert plain < score(noisy(15), model) < score(noisy(40), model)
    assert plain < score(blurred(picture, 3), model)


def test_the_pristine_patches_themselves_are_near(model):
    assert score(skimage.data.retina(), model) < score(blurred(skimage.data.retina(), 4), model)


@pytest.mark.parametrize("shape", [0.6, 1.0, 2.0, 4.0])
def test_shapes_of_distributions_are_found(shape):
    drawn = scipy.stats.gennorm.rvs(shape, size=(4, 40_000), random_state=np.random.default_rng(0))
    found, left, right = _asymmetric(drawn)
    assert found == pytest.approx(shape, rel=0.08)
    deviation = scipy.stats.gennorm.std(shape)
    assert left == pytest.approx(deviation, rel=0.05)
    assert right == pytest.approx(deviation, rel=0.05)


def test_sides_of_another_width_are_found():
    normal = np.random.default_rng(0).normal(size=(1, 60_000))
    # A density that is continuous at 0 has as much weight on a side as the side is wide.
    wide = np.where(np.random.default_rng(1).random(normal.shape) < 0.75, 3, -1)
    found, left, right = _asymmetric(np.abs(normal) * wide)
    assert (left[0], right[0]) == (pytest.approx(1, rel=0.03), pytest.approx(3, rel=0.03))
    assert found[0] == pytest.approx(2, rel=0.08)


def test_features_of_strips_are_features_of_the_whole_but_for_their_ends():
    picture = skimage.data.retina()[400:784, 400:784]
    whole, sharpness = niqe_features(picture)
    assert whole.shape == (16, FEATURES)
    assert sharpness.shape == (16,)
    strips = np.concatenate([niqe_features(picture[y : y + 192])[0] for y in (0, 192)])
    # Normalisation looks 3 px over the strips' end.
    assert np.abs(strips - whole).mean() < 0.02 * np.abs(whole).mean()


def test_small_and_bare_images_have_no_figure(model):
    assert niqe_features(skimage.data.retina()[:95, :300])[0].shape == (0, FEATURES)
    bare = np.full((300, 300, 3), 240, np.uint8)
    assert niqe_features(bare)[0].shape == (0, FEATURES)
    assert score(bare, model) is None
    assert score(skimage.data.retina()[300:396, 300:396], model) is None


def test_a_model_comes_back_as_it_was(model):
    again = load_niqe(dump_niqe(model))
    assert (again.mean == model.mean).all()
    assert (again.covariance == model.covariance).all()
    assert (again.patches, again.images) == (model.patches, 6)
    assert again.digest == model.digest
    other = fit_niqe([skimage.data.retina()] * 3)
    assert other.digest != model.digest


def test_too_few_good_patches_are_refused():
    with pytest.raises(InputError, match="0 images have 0 sharp patches"):
        fit_niqe([])
    with pytest.raises(InputError, match="give more or larger ones"):
        fit_niqe([skimage.data.astronaut()[:200]])


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.update(kind="tally"),
        lambda tree: tree.update(version=99),
        lambda tree: tree.pop("mean"),
        lambda tree: tree.update(mean=[1.0, 2.0]),
        lambda tree: tree.update(covariance=[[float("nan")] * FEATURES] * FEATURES),
        lambda tree: tree.update(covariance="a"),
        lambda tree: tree.update(patches="many"),
    ],
)
def test_damaged_models_are_refused(model, change):
    tree = json.loads(dump_niqe(model))
    change(tree)
    with pytest.raises(InputError, match="NIQE model"):
        load_niqe(json.dumps(tree))


@pytest.mark.parametrize("text", ["", "[]", "3", "null", "[" * 100_000, "\x00"])
def test_what_is_no_model_is_refused(text):
    with pytest.raises(InputError, match="NIQE model"):
        load_niqe(text)
