"""A classifier that learns in seconds tells two domains apart, and says when it cannot."""

import numpy as np
import pytest
import skimage.data
import torch

from uhrtranslate.extractors import DomainClassifier
from uhrtranslate.metrics.patches import random_patches

BROWN = skimage.data.immunohistochemistry()
PINK = BROWN[..., ::-1]


def cut(pixels, count, seed, size=64):
    boxes = random_patches(pixels.shape[1], pixels.shape[0], size, count, seed)
    return np.stack([pixels[y : y + h, x : x + w] for x, y, w, h in boxes])


@pytest.fixture(scope="module")
def classifier():
    return DomainClassifier(cut(BROWN[:, :256], 60, 0), cut(PINK[:, :256], 60, 1), seed=0)


def test_a_good_translation_is_taken_for_the_target(classifier):
    found = classifier.judge(cut(PINK[:, 256:], 40, 2))
    # Patches of bare glass look alike in both domains.
    assert found.accuracy > 0.9
    assert found.taken_for_target > 0.85
    assert found.confidence > 0.85
    assert classifier.held_out == 30
    assert found.classifier == classifier.name


def test_one_that_does_nothing_is_taken_for_the_source(classifier):
    found = classifier.judge(cut(BROWN[:, 256:], 40, 2))
    assert found.taken_for_target < 0.15
    assert found.confidence < 0.15


def test_one_that_fails_in_places_is_in_between(classifier):
    mixed = np.concatenate([cut(BROWN, 30, 2), cut(PINK, 10, 3)])
    assert classifier.judge(mixed).taken_for_target == pytest.approx(0.25, abs=0.1)


def test_equal_domains_cannot_be_told_apart():
    found = DomainClassifier(cut(BROWN, 60, 0), cut(BROWN, 60, 1)).judge(cut(BROWN, 20, 2))
    assert found.accuracy < 0.75


@pytest.mark.slow
def test_a_seed_gives_the_same_figures_and_leaves_the_caller_s_numbers_alone():
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    source, target = cut(BROWN, 16, 0), cut(PINK, 16, 1)
    first = DomainClassifier(source, target, seed=3).probability(source)
    assert (torch.rand(3) == wanted).all()
    assert (DomainClassifier(source, target, seed=3).probability(source) == first).all()
    assert (DomainClassifier(source, target, seed=4).probability(source) != first).any()
    assert first.shape == (16,)


def test_whole_images_are_held_out():
    source, target = cut(BROWN, 20, 0), cut(PINK, 16, 1)
    images = [0] * 13 + [1] * 7
    found = DomainClassifier(source, target, 0, images, [0] * 16)
    assert found.held_out in (13 + 4, 7 + 4)  # one image, or a quarter where there is but one


def test_too_few_patches_are_refused(classifier):
    few, enough = cut(BROWN, 7, 0), cut(BROWN, 8, 0)
    with pytest.raises(ValueError, match="7 and 8 patches"):
        DomainClassifier(few, enough)
    with pytest.raises(ValueError, match="image numbers"):
        DomainClassifier(enough, enough, 0, [1, 2])
    with pytest.raises(ValueError, match="no translated"):
        classifier.judge(few[:0])
