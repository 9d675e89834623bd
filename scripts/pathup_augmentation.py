#!/usr/bin/env python3
"""Whether synthetic patches help a classifier that has few real ones, in small.

    python scripts/pathup_augmentation.py --runs /tmp/pathup --json augmentation.json

The classes of `pathup_small.py`, made hard: patches are grey, and their contrast is that of another
scanner, drawn for each. A small convolutional network is trained on a few real patches of the upper
half of each section, with and without synthetic ones of 64 px of the last model, for as many steps,
and tested on the lower half. `turned` has the few real patches turned and mirrored instead; `both`
has all. F1, the mean of both classes; mean and deviation over seeds. The diffusion model has seen
all of the sections, the lower half too, as nothing else was at hand: if synthetic patches help
here, this shows that they carry what their model knows, not that they help on new patients.
"""

import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from bench import parser, save
from pathup_small import PATCH, VARIANTS, cut, generation, networks_of, sections, trained
from torch import nn

STEPS, BATCH = 300, 32


def halves() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Real patches of the upper and of the lower half of each section."""
    images = list(sections().values())
    return [cut(one[:256], 32) for one in images], [cut(one[256:], 32) for one in images]


def seen(patches: np.ndarray, random: np.random.Generator) -> torch.Tensor:
    """Patches in grey with contrasts of their own, [n, 1, 32, 32]."""
    grey = patches.astype(np.float32).mean(-1) / 127.5 - 1
    shape = (len(grey), 1, 1)
    grey = grey * random.uniform(0.5, 1.5, shape) + random.uniform(-0.4, 0.4, shape)
    return F.avg_pool2d(torch.from_numpy(grey.astype(np.float32))[:, None], 2)


def turned(x: torch.Tensor, random: np.random.Generator) -> torch.Tensor:
    """All patches of a batch, turned and mirrored alike."""
    x = torch.rot90(x, int(random.integers(4)), (2, 3))
    return x.flip(3) if random.integers(2) else x


def f1(real: np.ndarray, told: np.ndarray) -> float:
    """Mean F1 of both classes."""
    found = []
    for one in (0, 1):
        right = ((told == one) & (real == one)).sum()
        found.append(2 * right / max((told == one).sum() + (real == one).sum(), 1))
    return float(np.mean(found))


def scored(
    training: list[np.ndarray],
    test: list[np.ndarray],
    seed: int,
    turn: bool,
    more: list[np.ndarray],
) -> float:
    """F1 of a network that is trained on patches of both classes, and as many synthetic ones."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 2),
    )  # fmt: skip
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(STEPS):
        pools = more if more and step % 2 else training
        labels = random.integers(0, 2, BATCH)
        patches = np.stack([pools[one][random.integers(len(pools[one]))] for one in labels])
        x = seen(patches, random)
        x = turned(x, random) if turn else x
        loss = F.cross_entropy(network(x), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.inference_mode():
        told = network(seen(np.concatenate(test), random)).argmax(1).numpy()
    return f1(np.repeat([0, 1], [len(one) for one in test]), told)


def main() -> None:
    """Train what is missing, sample, train classifiers and print."""
    options = parser(
        __doc__, runs=(Path(), "folder of trained models"), epochs=14, seeds=3, steps=20,
        real=(6, "real patches of each class"), images=(4, "synthetic images of 256 px of each"),
    )  # fmt: skip
    given = options.parse_args()
    torch.set_num_threads(1)
    training, test = halves()
    rows: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        runs = Path(temporary) if given.runs == Path() else given.runs
        runs.mkdir(parents=True, exist_ok=True)
        networks = networks_of(trained(runs, list(VARIANTS)[-1], given.epochs))
        for seed in range(given.seeds):
            made = list(
                generation(networks, 500 + seed, given.images, 4 * PATCH, steps=given.steps)
            )
            classes = networks.model.prompts.classes
            synthetic = [
                np.concatenate([cut(image) for name, image in made if name == one])
                for one in classes
            ]
            random = np.random.default_rng(seed)
            few = [one[random.permutation(len(one))[: given.real]] for one in training]
            ways = {
                "few real ones": (False, []),
                "turned": (True, []),
                "synthetic": (False, synthetic),
                "both": (True, synthetic),
            }
            for name, (turn, more) in ways.items():
                rows.setdefault(name, []).append(scored(few, test, seed, turn, more))
            rows.setdefault("all real ones", []).append(scored(training, test, seed, True, []))
            print(seed, {name: round(values[-1], 3) for name, values in rows.items()}, flush=True)
    print("\n| trained on | F1 |\n|---|---|")
    for name, values in rows.items():
        print(f"| {name} | {np.mean(values):.3f} ± {np.std(values):.3f} |")
    save(given.json, rows)


if __name__ == "__main__":
    main()
