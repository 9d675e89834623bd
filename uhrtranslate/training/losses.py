"""Losses of all methods, as pure functions of tensors."""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Gan = Literal["lsgan", "vanilla"]
# Blurs of an octave, and the standard deviation in px of each, with kernels of 3 px.
BLURS = 4
SIGMA = 1.0


def adversarial(kind: Gan, score: Tensor, real: bool) -> Tensor:
    """How far a discriminator's scores are from the right answer, real or fake.

    Args:
        kind: lsgan, squared distance to 1 or 0 (Mao 2017); vanilla, cross-entropy of logits.
        score: of any shape, unbounded.
        real: the right answer.

    Returns: a mean, scalar.
    """
    goal = torch.full_like(score, float(real))
    if kind == "lsgan":
        return F.mse_loss(score, goal)
    return F.binary_cross_entropy_with_logits(score, goal)


def telling_apart(kind: Gan, judge: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """The loss of a discriminator: half of its `adversarial` losses on real and on fake images."""
    return 0.5 * (adversarial(kind, judge(real), True) + adversarial(kind, judge(fake), False))


def patch_nce(query: Tensor, key: Tensor, temperature: float) -> Tensor:
    """PatchNCE (Park 2020, eq. 3): each place of an image is its own class among the others.

    Args:
        query: of the translation, [n, places, d], unit length along d.
        key: of the source, the same shape; no gradient flows into it.
        temperature: divides the similarities.

    Returns: mean cross-entropy, scalar.
    """
    logits = torch.bmm(query, key.detach().transpose(1, 2)) / temperature  # [n, places, places]
    n, places, _ = logits.shape
    own = torch.arange(places, device=logits.device).repeat(n)
    return F.cross_entropy(logits.flatten(0, 1), own)


def self_similarity(features: Tensor, places: Tensor, window: int) -> Tensor:
    """Cosine similarity of places to their surroundings (Zheng 2021, eq. 1).

    Args:
        features: [n, c, h, w].
        places: flat indices into h * w, [q] int64, the same for all images.
        window: side of the surroundings in feature px; they are moved where they would reach out
            of the image, and cut to its size.

    Returns: [n, q, s * t] in -1..1, with s and t the window's sides.
    """
    h, w = features.shape[2:]
    unit = F.normalize(features, dim=1).flatten(2)  # [n, c, h * w]
    similar = torch.einsum("ncq,ncm->nqm", unit[:, :, places], unit)
    around = surroundings(places, h, w, window)
    return similar.gather(2, around.expand(len(features), -1, -1))


def surroundings(places: Tensor, h: int, w: int, window: int) -> Tensor:
    """Flat indices of the window around each place, [q, s * t] int64."""
    s, t = min(window, h), min(window, w)
    top = (places // w - s // 2).clamp(0, h - s)
    left = (places % w - t // 2).clamp(0, w - t)
    y = top[:, None] + torch.arange(s, device=places.device)  # [q, s]
    x = left[:, None] + torch.arange(t, device=places.device)  # [q, t]
    return (y[:, :, None] * w + x[:, None, :]).flatten(1)


def spatial_correlation(source: Tensor, result: Tensor) -> Tensor:
    """One minus the cosine between self-similarities, averaged (Zheng 2021, eq. 3)."""
    return (1 - F.cosine_similarity(source, result, dim=-1)).mean()


def similarity_contrast(query: Tensor, same: Tensor, other: Tensor, temperature: float) -> Tensor:
    """Contrast of self-similarities (Zheng 2021, eq. 4): like the same place in another look.

    Args:
        query: of an image, [n, q, m].
        same: of the same places in the image with its look changed, [n, q, m].
        other: of places in another image, [n, q, m].
        temperature: divides the cosines.

    Returns: mean cross-entropy of `same` of one place among those of all places and of `other`.
    """
    query, same, other = (F.normalize(x, dim=-1) for x in (query, same, other))
    logits = torch.bmm(query, torch.cat([same, other], 1).transpose(1, 2)) / temperature
    n, q, _ = logits.shape
    own = torch.arange(q, device=logits.device).repeat(n)
    return F.cross_entropy(logits.flatten(0, 1), own)


def gaussian_octaves(x: Tensor, octaves: int) -> list[Tensor]:
    """First layers of the octaves after the first (Liu 2022): F_1, F_2, ...

    Each octave blurs four times (3 x 3 px, sigma 1, mirrored borders), then drops every second
    row and column. Linear, so a difference of images may go through it instead of both.

    Args:
        x: [n, c, h, w], with sides of at least 2 px in the last octave but one.
        octaves: how many.

    Returns: [n, c, ceil(h / 2), ceil(w / 2)], [n, c, ceil(h / 4), ceil(w / 4)], ...
    """
    side = float(torch.exp(torch.tensor(-0.5 / SIGMA**2)))
    line = torch.tensor([side, 1.0, side], device=x.device, dtype=x.dtype) / (1 + 2 * side)
    kernel = torch.outer(line, line).expand(x.shape[1], 1, 3, 3)
    layers = []
    for _ in range(octaves):
        for _ in range(BLURS):
            x = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, groups=x.shape[1])
        x = x[:, :, ::2, ::2]
        layers.append(x)
    return layers


def pyramid_l1(result: Tensor, target: Tensor, weights: Sequence[float]) -> Tensor:
    """Weighted mean absolute differences S_1, S_2, ... after octaves (Liu 2022, eq. 2)."""
    layers = gaussian_octaves(result.float() - target.float(), len(weights))
    total = torch.zeros((), device=result.device)
    for weight, layer in zip(weights, layers, strict=True):
        total = total + weight * layer.abs().mean()
    return total


def perceptual(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Squared distance of features of unit length, averaged over places and layers.

    As LPIPS (Zhang 2018, eq. 1) with all channels counting alike.

    Args:
        found, wanted: [n, c, h, w] for each layer.

    Returns: scalar.
    """
    layers = [
        (F.normalize(x.float(), dim=1) - F.normalize(y.float(), dim=1)).square().sum(1).mean()
        for x, y in zip(found, wanted, strict=True)
    ]
    return torch.stack(layers).mean()


def feature_entropy(features: Tensor, prompts: Tensor, anchors: Tensor, tau: float) -> Tensor:
    """Feature entropy (PathUp): -log of a feature's likeness to its own prompt among all.

    -log exp(z k+ / tau) / sum_i exp(z k_i / tau); log K where all are alike.

    Args:
        features: z, [n, d], unit vectors.
        prompts: [n] int64, in 0..K-1.
        anchors: k, [K, d], unit vectors; no gradient flows into them.
        tau: divides the similarities.

    Returns: of each sample, [n].
    """
    return F.cross_entropy(features @ anchors.detach().T / tau, prompts, reduction="none")
