"""Domain differentiation, the downstream task of the DN paper.

A classifier learns to tell real source patches from real target patches, and is shown translated
patches that were cut across tile borders: a good translation is taken for the target. The paper
does not say which classifier; ours is a small convolutional network, trained in seconds on a CPU.
With it, a figure means little without the accuracy on held-out real patches beside it: a
classifier that cannot tell the two real domains apart says nothing of translated ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from uhrtranslate.extractors.base import Patches, to_tensor

NAME = "uhrt-domain-v1"
_SIDE = 64  # px that patches are averaged down to
_STEPS, _BATCH, _WIDTH = 120, 32, 16
_FEWEST = 8  # patches of each domain


@dataclass(frozen=True)
class Domain:
    """What a classifier of two domains says.

    Attributes:
        classifier: its name; figures of other classifiers do not compare.
        accuracy: on held-out real patches, 0..1, mean of both domains; below 0.9 or so, the other
            figure tells little.
        taken_for_target: share of the translated patches taken for the target, 0..1; higher is
            better, and about the accuracy is as good as real (the paper's accuracy).
        confidence: mean probability of the target that translated patches got, 0..1.
    """

    classifier: str
    accuracy: float
    taken_for_target: float
    confidence: float


class DomainClassifier:
    """Tells target patches from source patches.

    Args:
        source, target: real patches, [n, h, w, 3] and [m, h, w, 3] uint8, 8 or more each.
        seed: of the split, the weights and the order of training.
        source_images, target_images: which image each patch is of; with two images or more in a
            domain, whole images are held out, so that no image is on both sides. Without them, or
            with one image, a quarter of the patches is held out.

    Attributes:
        accuracy: on held-out patches, mean of both domains.
        held_out: their number.

    Raises:
        ValueError: a domain has less than 8 patches.
    """

    name = NAME

    def __init__(
        self,
        source: Patches,
        target: Patches,
        seed: int = 0,
        source_images: Sequence[int] | None = None,
        target_images: Sequence[int] | None = None,
    ) -> None:
        if min(len(source), len(target)) < _FEWEST:
            raise ValueError(
                f"{len(source)} and {len(target)} patches; {_FEWEST} of each are needed"
            )
        random = np.random.default_rng(seed)
        domains = [
            (_small(patches), _held_out(len(patches), images, random))
            for patches, images in ((source, source_images), (target, target_images))
        ]
        self._network = _train([x[torch.from_numpy(~held)] for x, held in domains], seed)
        hits = [
            float(((self._of(x[torch.from_numpy(held)]) > 0.5) == bool(label)).double().mean())
            for label, (x, held) in enumerate(domains)
        ]
        self.accuracy = sum(hits) / 2
        self.held_out = int(sum(held.sum() for _, held in domains))

    def probability(self, patches: Patches) -> NDArray[np.float32]:
        """Probability of the target, [n] float32, of patches [n, h, w, 3] uint8."""
        found: NDArray[np.float32] = self._of(_small(patches)).numpy()
        return found

    def judge(self, translated: Patches) -> Domain:
        """Classify translated patches, [n, h, w, 3] uint8, cut across tile borders.

        Raises:
            ValueError: there are no patches.
        """
        if not len(translated):
            raise ValueError("no translated patch")
        found = self.probability(translated)
        taken = float((found > 0.5).mean())
        return Domain(NAME, self.accuracy, taken, float(found.mean()))

    def _of(self, x: Tensor) -> Tensor:
        with torch.inference_mode():
            found = [self._network(x[i : i + 64])[:, 0] for i in range(0, len(x), 64)]
        return torch.cat([torch.empty(0), *found])


def _small(patches: Patches) -> Tensor:
    """Patches averaged down to [n, 3, 64, 64]: fine grain is lost, all areas count."""
    pieces = [
        F.adaptive_avg_pool2d(to_tensor(patches[i : i + 64]), _SIDE)
        for i in range(0, len(patches), 64)
    ]
    return torch.cat([torch.empty(0, 3, _SIDE, _SIDE), *pieces])


def _held_out(
    count: int, images: Sequence[int] | None, random: np.random.Generator
) -> NDArray[np.bool_]:
    """Which patches are kept from training: those of a quarter of the images, or a quarter."""
    groups = np.arange(count) if images is None else np.asarray(images)
    if len(groups) != count:
        raise ValueError(f"{len(groups)} image numbers for {count} patches")
    names = np.unique(groups)
    if len(names) < 2:
        groups = names = np.arange(count)
    kept = random.permutation(names)[: max(1, len(names) // 4)]
    return np.isin(groups, kept)


def _build() -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in ((3, _WIDTH), (_WIDTH, 2 * _WIDTH), (2 * _WIDTH, 4 * _WIDTH)):
        layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GroupNorm(4, outputs), nn.ReLU()]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * _WIDTH, 1), nn.Sigmoid()]
    return nn.Sequential(*layers, *head)


def _train(domains: list[Tensor], seed: int) -> nn.Sequential:
    """Adam on batches of both domains in equal parts, with flips and quarter turns."""
    random = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):  # the caller's random numbers stay as they are
        torch.manual_seed(seed)
        network = _build()
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    half = _BATCH // 2
    labels = torch.tensor([[0.0]] * half + [[1.0]] * half)
    for _ in range(_STEPS):
        drawn = [x[torch.from_numpy(random.integers(0, len(x), half))] for x in domains]
        batch = torch.rot90(torch.cat(drawn), int(random.integers(4)), (2, 3))
        if random.integers(2):
            batch = batch.flip(3)
        optimizer.zero_grad()
        torch.autograd.backward([F.binary_cross_entropy(network(batch), labels)])
        optimizer.step()
    return network.eval().requires_grad_(False)
