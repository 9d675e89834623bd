#!/usr/bin/env python3
"""Train the generators that ship with uhrt: H&E -> IHC (DAB) and IHC (DAB) -> H&E.

    python scripts/train_bundled.py configs/train/bundled-he2ihc.yaml --data images --out weights

Each generator imitates a classical re-staining of real sections, all freely licensed
(`bundled_sections.py`), with glass, specks and pen marks beside them (`bundled_windows.py`). First
its norm layers see the statistics of their own patch, as usual. Then half of the windows get those
that the fields of `uhrt translate` give: of the surrounding cells, pooled or interpolated as DN
does, so that the generator is right under any of them (`bundled_fields.py`).

It is one run on one thread, from random weights: a configuration (`bundled_recipe.py`) gives the
same weights on every machine with the same kind of processor and the same versions of torch and
numpy. The weights say from which configuration they are.

The result demonstrates the tool. It is not for diagnosis.
"""

import argparse
import copy
import json
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bundled_fields import Surroundings, Weighted
from bundled_recipe import Recipe, read_recipe
from bundled_sections import CELL, MPP, Section, sections
from bundled_windows import Scanner, draw
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import Action, plain_instance_norm
from uhrtranslate.engine.forward.layers import NormSwitch, replace_norms
from uhrtranslate.io.files.disk import write_png
from uhrtranslate.models import GeneratorInfo, ResnetGenerator, load_generator, save_native
from uhrtranslate.training.networks.making import initialise
from uhrtranslate.training.run.sample_grid import sample_grid

# Patches of a window, one after the other: recording its cells takes as long as learning
# from two.
PER_WINDOW = 3
# Standard deviations that a normalized value may be from the mean.
MOST = 5
# Convolutions in bfloat16 take about half as long on newer CPUs.
HALF = torch.autocast("cpu", torch.bfloat16)


def lessons(
    generator: nn.Module,
    switch: NormSwitch,
    found: list[list[Section]],
    random: np.random.Generator,
    fields: bool,
) -> Iterator[Tensor]:
    """Losses of patches under their own statistics, or of several of a window under a field's."""
    scanner = Scanner.drawn(random)
    window = draw(found, scanner, random)
    around = None
    if fields and random.random() < 0.5:
        other = draw(found, scanner, random).x[:, :CELL, :CELL]
        with HALF:
            around = Surroundings.recorded(generator, switch, window.x, other)
    for _ in range(PER_WINDOW if fields else 1):
        y, x = (int(random.integers(0, CELL + 1)) for _ in range(2))
        part = (slice(None), slice(y, y + CELL), slice(x, x + CELL))
        patch, goal = window.x[part][None], window.goal[part][None]
        action = Bounded(
            plain_instance_norm if around is None else Weighted.drawn(around, y, x, random)
        )
        with switch.doing(action), HALF:
            output = generator(patch.contiguous(memory_format=torch.channels_last))
        yield loss_of(output.float(), goal) + action.excess


class Bounded:
    """Normalizes as another action does, and notes by how much values lie beyond some; an `Action`.

    Without this, a generator paints a bright blob in the corner of a patch that needs it least: a
    value so large that it sets the statistics, and so tells norm layers how bright the patch is.

    Args:
        inner: the other action.

    Attributes:
        excess: the mean by which normalized values are beyond `MOST`, summed over norm calls.
    """

    def __init__(self, inner: Action) -> None:
        self._inner = inner
        self.excess = torch.zeros(())

    def __call__(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """See `Action`."""
        y = self._inner(call, x, eps, share)
        self.excess = self.excess + (y.float().abs() - MOST).clamp(min=0).mean()
        return y


def loss_of(z: Tensor, goal: Tensor) -> Tensor:
    """How far an output [n, 3, h, w] before its tanh is from a goal in -1..1.

    Differences of colours, and for sharp edges of neighbours; and, weakly, before the tanh, whose
    gradient vanishes where a colour is wrong altogether.
    """
    error = z.tanh() - goal
    edges = sum(error.diff(dim=axis).abs().mean() for axis in (2, 3))
    return error.abs().mean() + edges + 0.05 * (z - goal.clamp(-0.98, 0.98).atanh()).abs().mean()


class Training:
    """One direction, from random weights.

    Args:
        recipe: how.
        data: folder of the images.

    Attributes:
        smooth: the generator that is kept, a moving average.
        steps: how many were done.
        losses: of the steps that were done here.
        first_losses: of the very first ones.
    """

    def __init__(self, recipe: Recipe, data: Path) -> None:
        torch.manual_seed(recipe.seed)
        self._recipe = recipe
        self.found = sections(data, recipe)
        self.smooth = ResnetGenerator(**recipe.generator)
        initialise(self.smooth)
        self.steps = 0
        self.losses: list[float] = []
        self.first_losses: list[float] = []
        self._begin(recipe.seed)

    def _begin(self, seed: int) -> None:
        """Go on from the generator that is kept."""
        generator = copy.deepcopy(self.smooth)
        generator.model[-1] = nn.Identity()  # instead of the tanh; see `loss_of`
        self._generator = generator.to(memory_format=torch.channels_last)
        self._switch = replace_norms(generator)
        self._optimiser = torch.optim.Adam(generator.parameters(), 1e-3, (0.5, 0.999))
        self._random = np.random.default_rng(seed)
        self._more: Iterator[Tensor] = iter(())

    def goes_on(self, path: Path, values: dict[str, Any]) -> None:
        """Take over what a run of the same configuration had saved before its steps with fields.

        Raises:
            SystemExit: the file is of another configuration or moment, or the steps with fields
                do not begin anew.
        """
        start = load_generator(path)
        origin = json.loads(start.info.origin or "{}")
        first = {key: value for key, value in values.items() if key != "field"}
        before = {key: v for key, v in origin.get("configuration", {}).items() if key != "field"}
        own = self._recipe.own.steps
        if first != before or origin["steps"] != own or not self._recipe.field.anew:
            raise SystemExit(
                f"{path}: is not what this configuration makes in {own} steps, or goes on"
            )
        self.smooth.load_state_dict(start.module.state_dict())
        self.steps, self.first_losses = own, origin["first_losses"]

    def step(self) -> None:
        """Learn from one patch."""
        fields = self.steps >= self._recipe.own.steps
        if self.steps == self._recipe.own.steps and self._recipe.field.anew:
            halves = {key: v.half().float() for key, v in self.smooth.state_dict().items()}
            self.smooth.load_state_dict(halves)
            self._begin(self._recipe.seed + 1)
        loss = next(self._more, None)
        if loss is None:
            self._more = lessons(self._generator, self._switch, self.found, self._random, fields)
            loss = next(self._more)
        self._optimiser.param_groups[0]["lr"] = self._recipe.rate(self.steps)
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._generator.parameters(), 1.0)
        self._optimiser.step()
        self.steps += 1
        self.losses.append(loss.item())
        if self.steps <= 3:
            self.first_losses.append(loss.item())
        pairs = zip(self.smooth.parameters(), self._generator.parameters(), strict=True)
        for slow, fast in pairs:
            slow.data.lerp_(fast.data, 0.01)


def train(config: Path, data: Path, out: Path, samples: Path | None, start: Path | None) -> None:
    """Train one direction and write its file."""
    torch.set_num_threads(1)  # sums of several threads are rounded otherwise
    recipe, values = read_recipe(config)
    name = config.stem.removeprefix("bundled-")
    out.mkdir(parents=True, exist_ok=True)
    training, began = Training(recipe, data), time.time()
    if start:
        training.goes_on(start, values)
    for step in range(training.steps + 1, recipe.own.steps + recipe.field.steps + 1):
        training.step()
        if step % 100 == 0:
            mean = np.mean(training.losses[-100:])
            print(f"{time.time() - began:6.0f} s, {name}, step {step}: {mean:.3f}", flush=True)
        if step % 300 == 0:
            save(out / f"{name}.safetensors", training, recipe, values)
            if samples:
                show(training.smooth, training.found, samples / f"{name}-{step:05d}.png")
    save(out / f"{name}.safetensors", training, recipe, values)


def save(path: Path, training: Training, recipe: Recipe, values: dict[str, Any]) -> None:
    """Write a direction in the native format, as half floats, with how it was made."""
    a, b = recipe.domains
    origin = {
        "configuration": values,
        "steps": training.steps,
        "first_losses": training.first_losses,
        "last_losses": training.losses[-3:],
        "torch": torch.__version__,
        "numpy": np.__version__,
        "processor": processor(),
    }
    info = GeneratorInfo(
        architecture="resnet",
        arguments=recipe.generator,
        cell=CELL,
        mpp=MPP,
        domains=(a, b),
        white_glass=True,
        description=(
            f"{a} to {b}. A demonstration, not for diagnosis: a small network trained on a "
            "handful of freely licensed sections (OpenSlide test data, TCGA, scikit-image). "
            "The stain it shows where there was none is invented. "
            "See docs/bundled-generators.md."
        ),
        origin=json.dumps(origin),
    )
    save_native(path, training.smooth, info, half=True)


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


@torch.no_grad()
def show(generator: nn.Module, found: list[list[Section]], path: Path) -> None:
    """A picture of patches, their goals and their translations."""
    random = np.random.default_rng(0)
    windows = [draw(found, Scanner.drawn(random), random) for _ in range(6)]
    x, goal = (
        torch.stack([getattr(window, part)[:, :CELL, :CELL] for window in windows])
        for part in ("x", "goal")
    )
    write_png(path, sample_grid([x, goal, generator(x)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path, help="a file of configs/train/bundled-*.yaml")
    parser.add_argument("--data", type=Path, required=True, help="folder of the source images")
    parser.add_argument("--out", type=Path, required=True, help="folder of the weights")
    parser.add_argument("--samples", type=Path, help="folder for sample pictures")
    parser.add_argument("--start", type=Path, help="what this had saved before steps with fields")
    train(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
