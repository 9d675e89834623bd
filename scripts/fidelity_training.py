"""The small generators of bench_fidelity.py: trained once, then kept in a folder."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from fidelity_tasks import Picture, Task
from torch import Tensor

from uhrtranslate import load_generator
from uhrtranslate.models import Generator, GeneratorInfo, ResnetGenerator, save_native
from uhrtranslate.training.configuration import make_train_options
from uhrtranslate.training.methods.cut import Cut
from uhrtranslate.training.networks.making import initialise


@dataclass(frozen=True)
class Settings:
    """How the generators are trained.

    Attributes:
        ngf, blocks: size of the networks.
        patch: side of patches in px.
        steps: of one patch each; unpaired ones take as many.
        unpaired_patch: side of the patches of unpaired trainings.
        tissue: least share of a patch that is no glass, as `uhrt train` takes them by default.
    """

    ngf: int = 8
    blocks: int = 4
    patch: int = 256
    steps: int = 1200
    unpaired_patch: int = 160
    tissue: float = 0.25

    @property
    def arguments(self) -> dict[str, object]:
        """Of the network."""
        return {
            "ngf": self.ngf, "n_blocks": self.blocks, "antialias": True, "antialias_up": True,
        }  # fmt: skip


def trained(name: str, task: Task, seed: int, settings: Settings, folder: Path) -> Generator:
    """The generator of a task and a seed, from the folder if it is there."""
    facts = json.dumps([name, seed, asdict(settings)])
    digest = hashlib.sha256(facts.encode()).hexdigest()[:8]
    path = folder / f"{name}{seed}-{digest}.safetensors"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        torch.manual_seed(seed)
        random = np.random.default_rng(seed)
        train = _without_pairs if task.unpaired else _with_pairs
        network, loss = train(task, settings, random)
        info = GeneratorInfo("resnet", settings.arguments, cell=settings.patch)
        save_native(path, network.eval(), info)
        print(f"trained {path.name}: {time.monotonic() - began:.0f} s, {loss}", flush=True)
    return load_generator(path)


def _with_pairs(task: Task, settings: Settings, random: np.random.Generator):
    """L1 between the result and the answer; the rate falls over the second half."""
    network = initialise(ResnetGenerator(**settings.arguments))
    optimiser = torch.optim.Adam(network.parameters(), 2e-3, (0.5, 0.999))
    losses = []
    for step in range(settings.steps):
        optimiser.param_groups[0]["lr"] = 2e-3 * _rate(step, settings.steps)
        x, y = draw([task.sources, task.answers], settings.patch, settings.tissue, random)
        loss = F.l1_loss(network(x), y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return network, f"L1 {np.mean(losses[-100:]):.3f}"


def _without_pairs(task: Task, settings: Settings, random: np.random.Generator):
    """CUT, as `uhrt train` has it."""
    last = 11 + settings.blocks  # the last residual block
    options = make_train_options(
        {
            "method": "cut", "data": {"a": "a", "b": "b", "patch": settings.unpaired_patch},
            "generator": {
                "architecture": "resnet", "ngf": settings.ngf, "blocks": settings.blocks,
                "antialias": True, "init": "xavier",
            },
            "discriminator": {"ndf": 16, "antialias": True, "init": "xavier"},
            "layers": [0, 4, 8, 12, last], "patches": 128, "width": 64, "lr": 1e-3,
        }
    )  # fmt: skip
    method = Cut(options)
    method.networks.train()
    optimisers = method.optimisers()
    losses = []
    for step in range(settings.steps):
        side = settings.unpaired_patch
        (a,) = draw([task.sources], side, settings.tissue, random)
        (b,) = draw([task.answers], side, settings.tissue, random)
        for phase in method.step({"A": a, "B": b}):
            optimiser = optimisers[phase.group]
            optimiser.param_groups[0]["lr"] = 1e-3 * _rate(step, settings.steps)
            optimiser.zero_grad()
            phase.loss.backward()
            optimiser.step()
            losses.append(phase.loss.item())
    return method.networks["A2B"], f"losses {np.mean(losses[-200:]):.3f}"


def _rate(step: int, steps: int) -> float:
    """1, then falling to 0 over the second half."""
    return min(1.0, 2 * (steps - step) / steps)


def draw(
    pictures: Sequence[Sequence[Picture]], side: int, tissue: float, random: np.random.Generator
) -> list[Tensor]:
    """The same random patch of one or of paired pictures, turned, [1, 3, side, side] in -1..1.

    Patches with less tissue are seldom taken, one in ten: some are in every real training set.
    """
    areas = np.sqrt([picture.size for picture in pictures[0]])
    while True:
        number = random.choice(len(areas), p=areas / areas.sum())
        h, w = pictures[0][number].shape[:2]
        y, x = (int(random.integers(0, max(n - side, 0) + 1)) for n in (h, w))
        patches = [group[number][y : y + side, x : x + side] for group in pictures]
        bare = (patches[0].min(axis=2) > 200).mean() > 1 - tissue
        if not bare or random.random() < 0.1:
            break
    quarters, flip = int(random.integers(4)), random.random() < 0.5
    turned = [np.rot90(patch, quarters)[:, :: -1 if flip else 1] for patch in patches]
    return [
        torch.from_numpy(patch.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
        for patch in turned
    ]
