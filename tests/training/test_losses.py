"""Losses against plain NumPy and SciPy."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from uhrtranslate.training.losses import (
    adversarial,
    gaussian_octaves,
    patch_nce,
    pyramid_l1,
    self_similarity,
    similarity_contrast,
    spatial_correlation,
    surroundings,
)

RANDOM = np.random.default_rng(5)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def cross_entropy(logits, own):
    shifted = logits - logits.max()
    return np.log(np.exp(shifted).sum()) - shifted[own]


def test_lsgan_is_the_squared_distance_to_one_or_zero():
    score = RANDOM.normal(size=(2, 1, 5, 7))
    for real, goal in ((True, 1.0), (False, 0.0)):
        expected = ((score - goal) ** 2).mean()
        assert adversarial("lsgan", torch.tensor(score), real).item() == pytest.approx(expected)


def test_vanilla_is_cross_entropy():
    score = RANDOM.normal(size=(2, 1, 5, 7))
    p = 1 / (1 + np.exp(-score))
    assert adversarial("vanilla", torch.tensor(score), True).item() == pytest.approx(
        -np.log(p).mean()
    )
    assert adversarial("vanilla", torch.tensor(score), False).item() == pytest.approx(
        -np.log(1 - p).mean()
    )


def test_patch_nce_is_the_papers_equation_3():
    query, key = (unit(RANDOM.normal(size=(2, 6, 8))) for _ in range(2))
    losses = []
    for q_image, k_image in zip(query, key, strict=True):
        for place in range(6):
            logits = np.array([q_image[place] @ k_image[other] for other in range(6)]) / 0.07
            losses.append(cross_entropy(logits, place))
    found = patch_nce(torch.tensor(query), torch.tensor(key), 0.07)
    assert found.item() == pytest.approx(np.mean(losses))


def test_patch_nce_teaches_the_query_alone():
    query, key = (torch.randn(1, 4, 3, requires_grad=True) for _ in range(2))
    patch_nce(query, key, 0.07).backward()
    assert query.grad.abs().sum() > 0
    assert key.grad is None


@pytest.mark.parametrize("window", [3, 4, 5, 64])
def test_self_similarity_is_the_cosine_with_each_neighbour(window):
    features = RANDOM.normal(size=(2, 3, 5, 7))
    places = np.array([0, 6, 17, 34])  # corners and the middle
    found = self_similarity(torch.tensor(features), torch.tensor(places), window).numpy()
    s, t = min(window, 5), min(window, 7)
    assert found.shape == (2, 4, s * t)
    for n in range(2):
        for i, place in enumerate(places):
            y, x = divmod(place, 7)
            top = min(max(y - s // 2, 0), 5 - s)
            left = min(max(x - t // 2, 0), 7 - t)
            own = features[n, :, y, x]
            expected = [
                own
                @ features[n, :, v, u]
                / np.linalg.norm(own)
                / np.linalg.norm(features[n, :, v, u])
                for v in range(top, top + s)
                for u in range(left, left + t)
            ]
            np.testing.assert_allclose(found[n, i], expected, atol=1e-9)


def test_surroundings_hold_their_place():
    around = surroundings(torch.arange(35), 5, 7, 3)
    assert all(place in row for place, row in enumerate(around.tolist()))


def test_spatial_correlation_is_one_minus_the_cosine():
    x, y = RANDOM.normal(size=(2, 1, 4, 9))
    expected = 1 - (unit(x) * unit(y)).sum(-1).mean()
    assert spatial_correlation(torch.tensor(x), torch.tensor(y)).item() == pytest.approx(expected)


def test_similarity_contrast_has_all_other_places_as_negatives():
    query, same, other = RANDOM.normal(size=(3, 2, 4, 9))
    losses = []
    for n in range(2):
        for i in range(4):
            keys = np.concatenate([unit(same[n]), unit(other[n])])
            losses.append(cross_entropy(keys @ unit(query[n])[i] / 0.07, i))
    found = similarity_contrast(*(torch.tensor(x) for x in (query, same, other)), 0.07)
    assert found.item() == pytest.approx(np.mean(losses))


def scipy_octaves(image, octaves):
    side = np.exp(-0.5)
    line = np.array([side, 1, side]) / (1 + 2 * side)
    layers = []
    for _ in range(octaves):
        for _ in range(4):
            for axis in (0, 1):
                image = ndimage.correlate1d(image, line, axis=axis, mode="mirror")
        image = image[::2, ::2]
        layers.append(image)
    return layers


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (40, 25)])
def test_octaves_are_scipys_blurs_and_every_second_pixel(size):
    image = RANDOM.normal(size=(*size, 2))
    found = gaussian_octaves(torch.tensor(image).permute(2, 0, 1)[None], 3)
    for layer, expected in zip(found, scipy_octaves(image, 3), strict=True):
        np.testing.assert_allclose(layer[0].permute(1, 2, 0).numpy(), expected, atol=1e-6)


def test_octaves_of_a_constant_are_constant():
    for layer in gaussian_octaves(torch.full((1, 3, 37, 50), 0.3), 3):
        torch.testing.assert_close(layer, torch.full_like(layer, 0.3))


def test_pyramid_l1_is_the_weighted_sum():
    a, b = RANDOM.normal(size=(2, 32, 40, 3)).astype(np.float32)
    layers = zip(scipy_octaves(a, 3), scipy_octaves(b, 3), (25, 10, 1), strict=True)
    expected = sum(weight * np.abs(x - y).mean() for x, y, weight in layers)
    tensors = (torch.tensor(x).permute(2, 0, 1)[None] for x in (a, b))
    assert pyramid_l1(*tensors, (25, 10, 1)).item() == pytest.approx(expected, rel=1e-5)


def test_a_shift_of_one_pixel_costs_far_less_in_the_pyramid():
    texture = torch.rand(1, 3, 64, 64)
    shifted = texture.roll(1, 3)
    l1 = (texture - shifted).abs().mean()
    assert pyramid_l1(texture, shifted, [1.0]) < 0.25 * l1


def test_gradient_flows_through_the_pyramid():
    x = torch.rand(1, 3, 33, 35, requires_grad=True)
    pyramid_l1(x, torch.zeros(1, 3, 33, 35), (1, 1, 1)).backward()
    assert (x.grad.abs() > 0).float().mean() > 0.9
