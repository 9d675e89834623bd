"""The extractor without weights is the same everywhere, and tells looks apart."""

import numpy as np
import pytest
import scipy.ndimage
import skimage.data

from uhrtranslate.extractors import Extractor, PlainExtractor
from uhrtranslate.metrics.patches import random_patches
from uhrtranslate.metrics.population import frechet_distance, kernel_distance

TISSUE = skimage.data.immunohistochemistry()
# Features 0, 5, 40, 100 and 151 of its first 64 px.
GOLDEN = [0.14537, 0.29308, -0.34445, 0.3978, 0.42314]


def cut(pixels, count, seed, size=64):
    boxes = random_patches(pixels.shape[1], pixels.shape[0], size, count, seed)
    return np.stack([pixels[y : y + h, x : x + w] for x, y, w, h in boxes])


def test_features_are_fixed_for_good():
    """If this fails, the features changed: then the name has to change too."""
    extractor: Extractor = PlainExtractor()
    found = extractor.features(TISSUE[None, :64, :64])
    assert extractor.name == "uhrt-random-v1"
    assert found.shape == (1, extractor.size)
    assert found.dtype == np.float32
    assert found[0, [0, 5, 40, 100, 151]] == pytest.approx(GOLDEN, abs=1e-4)


def test_a_patch_has_the_same_features_in_any_batch():
    patches = cut(TISSUE, 20, 0)
    whole = PlainExtractor().features(patches)
    assert PlainExtractor().features(patches[17:18])[0] == pytest.approx(whole[17], abs=1e-5)
    assert PlainExtractor().features(patches[:0]).shape == (0, whole.shape[1])


def test_distances_order_what_is_done_to_patches():
    extractor = PlainExtractor()
    real = extractor.features(cut(TISSUE, 150, 0))
    changes = {
        "same": lambda p: p,
        "darker": lambda p: (p * 0.9).astype(np.uint8),
        "dark": lambda p: (p * 0.6).astype(np.uint8),
        "blurred": lambda p: scipy.ndimage.gaussian_filter(p, (0, 2, 2, 0)),
    }
    patches = cut(TISSUE, 150, 1)
    found = {name: extractor.features(change(patches)) for name, change in changes.items()}
    for distance in (frechet_distance, kernel_distance):
        figures = {name: distance(real, f) for name, f in found.items()}
        assert figures["same"] < figures["darker"] < figures["dark"]
        assert figures["blurred"] > 3 * figures["same"]


@pytest.mark.parametrize(
    "patches",
    [
        np.zeros((2, 8, 64, 3), np.uint8),
        np.zeros((2, 64, 64), np.uint8),
        np.zeros((2, 64, 64, 3), np.float32),
    ],
)
def test_what_are_no_patches_is_refused(patches):
    with pytest.raises(ValueError, match="needed"):
        PlainExtractor().features(patches)
