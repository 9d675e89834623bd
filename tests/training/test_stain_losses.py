"""Losses of stain normalization against scikit-image, and against NumPy written as loops."""

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from uhrtranslate.training.appearance import change_appearance
from uhrtranslate.training.stain_losses import chroma_histogram, content, grey, hellinger, ssim

RANDOM = np.random.default_rng(7)


def pictures(n=2, c=3, h=24, w=19):
    return torch.from_numpy(RANDOM.random((n, c, h, w))).float()


def test_grey_is_rec_601():
    pixels = RANDOM.integers(0, 256, (9, 7, 3)).astype(np.uint8)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    expected = np.asarray(Image.fromarray(pixels).convert("L")).astype(float)
    assert np.abs((grey(x)[0, 0].numpy() + 1) * 127.5 - expected).max() < 0.51


def test_ssim_is_scikit_images():
    a, b = pictures(3, 2), pictures(3, 2)
    b = 0.7 * a + 0.3 * b
    expected = [
        structural_similarity(
            x, y, data_range=1, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for one, two in zip(a.double().numpy(), b.double().numpy(), strict=True)
        for x, y in zip(one, two, strict=True)
    ]
    assert ssim(a, b).item() == pytest.approx(np.mean(expected), abs=1e-5)
    assert ssim(a, a).item() == pytest.approx(1)


def looped_histogram(x, bins, reach, tau):
    """One image [3, h, w] in 0..1, pixel by pixel."""
    centres = np.linspace(-reach, reach, bins)
    found = np.zeros((3, bins, bins))
    for pixel in x.reshape(3, -1).T:
        bright = np.sqrt((pixel**2).sum() + 1e-6)
        logs = np.log(pixel + 1e-6)
        for own, (first, second) in enumerate(((1, 2), (0, 2), (0, 1))):
            u = 1 / (1 + ((logs[own] - logs[first] - centres) / tau) ** 2)
            v = 1 / (1 + ((logs[own] - logs[second] - centres) / tau) ** 2)
            found[own] += bright * np.outer(u, v)
    return found / found.sum()


@pytest.mark.parametrize(("bins", "reach", "tau"), [(64, 3.0, 0.02), (16, 2.0, 0.3)])
def test_histograms_are_those_of_a_loop(bins, reach, tau):
    x = pictures(2, 3, 4, 5)
    x[0, :, 0, 0] = torch.tensor([0.0, 1.0, 0.5])  # no logarithm of nothing
    found = chroma_histogram(x, bins, reach, tau)
    assert found.shape == (2, 3, bins, bins)
    for one, image in zip(found, x, strict=True):
        expected = looped_histogram(image.double().numpy(), bins, reach, tau)
        assert np.allclose(one.numpy(), expected, rtol=2e-3, atol=1e-7)


def test_hellinger_is_0_for_the_same_and_1_for_strangers():
    a, b = RANDOM.random((2, 3, 4, 4)), RANDOM.random((2, 3, 4, 4))
    a, b = (h / h.sum((1, 2, 3), keepdims=True) for h in (a, b))
    expected = np.sqrt(((np.sqrt(a) - np.sqrt(b)) ** 2).sum((1, 2, 3)) / 2)
    assert np.allclose(hellinger(torch.tensor(a), torch.tensor(b)).numpy(), expected, atol=1e-5)
    half = torch.zeros(1, 2, 4)
    half[0, 0] = 0.25
    assert hellinger(half, half).item() < 1e-5
    assert hellinger(half, half.flip(1)).item() == pytest.approx(1, abs=1e-4)


def test_the_gradient_of_the_histogram_is_finite_and_leads_to_the_target():
    goal = chroma_histogram(torch.tensor([0.8, 0.5, 0.7]).view(1, 3, 1, 1).expand(1, 3, 8, 8))
    x = torch.tensor([0.75, 0.55, 0.65]).view(1, 3, 1, 1).repeat(1, 1, 8, 8).requires_grad_()
    before = hellinger(chroma_histogram(x), goal).sum()
    before.backward()
    assert torch.isfinite(x.grad).all()
    with torch.no_grad():
        step = x - 0.01 * x.grad / x.grad.abs().max()
        assert hellinger(chroma_histogram(step), goal).sum() < before
    same = torch.full((1, 3, 4, 4), 1.0, requires_grad=True)
    hellinger(chroma_histogram(same), chroma_histogram(same).detach()).sum().backward()
    assert torch.isfinite(same.grad).all()


def test_content_is_a_weighted_mean_of_differences_without_a_gradient_for_the_goal():
    a = [pictures(2, 4, 6, 6).requires_grad_(), pictures(2, 8, 3, 3)]
    b = [pictures(2, 4, 6, 6).requires_grad_(), pictures(2, 8, 3, 3)]
    found = content(a, b, (0.1, 0.4))
    expected = sum(
        w * np.abs((x - y).detach().numpy()).sum() / x.numel()
        for x, y, w in zip(a, b, (0.1, 0.4), strict=True)
    )
    assert found.item() == pytest.approx(expected, rel=1e-5)
    found.backward()
    assert a[0].grad is not None
    assert b[0].grad is None


class TestAppearance:
    x = 2 * pictures(4, 3, 32, 32) - 1

    def test_nothing_is_changed_by_default(self):
        assert torch.equal(change_appearance(self.x, 0, 0, 0), self.x)

    def test_contrast_keeps_the_mean_and_saturation_the_grey(self):
        x = 0.4 * self.x
        changed = change_appearance(x, 0, 0.5, 0)
        assert torch.allclose(grey(changed).mean((2, 3)), grey(x).mean((2, 3)), atol=1e-5)
        gains = (changed.std((1, 2, 3)) / x.std((1, 2, 3))).tolist()
        assert len({round(gain, 4) for gain in gains}) == 4
        assert all(0.5 <= gain <= 1.5 for gain in gains)
        changed = change_appearance(x, 0, 0, 0.5)
        assert torch.allclose(grey(changed), grey(x), atol=1e-5)
        assert (changed - x).abs().max() > 0.01

    def test_blur_keeps_the_mean_and_smooths(self):
        torch.manual_seed(0)
        changed = change_appearance(self.x, 2.0, 0, 0)
        assert (changed.std((2, 3)) <= self.x.std((2, 3)) + 1e-6).all()
        assert changed.std() < 0.8 * self.x.std()
        even = torch.full((1, 3, 16, 16), 0.3)
        assert torch.allclose(change_appearance(even, 2.0, 0, 0), even, atol=1e-5)

    def test_is_drawn_by_torchs_generator(self):
        torch.manual_seed(3)
        one = change_appearance(self.x, 1, 0.3, 0.3)
        torch.manual_seed(3)
        assert torch.equal(change_appearance(self.x, 1, 0.3, 0.3), one)
