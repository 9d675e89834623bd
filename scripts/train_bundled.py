#!/usr/bin/env python3
"""Train the generators that ship with uhrt: H&E -> IHC (DAB) and IHC (DAB) -> H&E.

    python scripts/train_bundled.py --data images --out uhrtranslate/models/weights

Each generator imitates a classical re-staining of real sections, all freely licensed
(`bundled_sections.py`), with glass, specks and pen marks beside them (`bundled_windows.py`). First
its norm layers see the statistics of their own patch, as usual. Then half of the windows get those
that the fields of `uhrt translate` give: of the surrounding cells, interpolated as DN does or
pooled, so that the generator is right under any of them (`bundled_fields.py`). Same seed, same kind
of machine: the same weights. How those that ship were made: docs/bundled-generators.md.

The result demonstrates the tool. It is not for diagnosis.
"""

import argparse
import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from bundled_fields import Surroundings, Weighted
from bundled_sections import CELL, MPP, Section, sections
from bundled_windows import Scanner, draw
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import Action, plain_instance_norm
from uhrtranslate.engine.forward.layers import NormSwitch, replace_norms
from uhrtranslate.io.files.disk import write_png
from uhrtranslate.models import GeneratorInfo, ResnetGenerator, load_generator, save_native
from uhrtranslate.training.networks.making import initialise
from uhrtranslate.training.run.sample_grid import sample_grid

FILES = {"he2ihc": ("H&E", "IHC (DAB)"), "ihc2he": ("IHC (DAB)", "H&E")}
# Patches of a window, one after the other: recording its cells takes as long as learning
# from two.
PER_WINDOW = 3
# Standard deviations that a normalized value may be from the mean.
MOST = 5
# Convolutions in bfloat16 take about half as long on newer CPUs.
HALF = torch.autocast("cpu", torch.bfloat16)


@dataclass(frozen=True)
class Settings:
    """How to train.

    Attributes:
        ngf, blocks: size of the generators.
        own: steps with each patch's own statistics.
        field: steps after them, with those of fields.
        seed: of everything.
    """

    ngf: int = 16
    blocks: int = 6
    own: int = 3000
    field: int = 3000
    seed: int = 1

    @property
    def arguments(self) -> dict[str, object]:
        """Of the generators."""
        return {
            "ngf": self.ngf, "n_blocks": self.blocks, "antialias": True, "antialias_up": True,
        }  # fmt: skip

    def rate(self, step: int) -> float:
        """Learning rate: lower with fields, as their statistics are constants in a step."""
        if step < self.own:
            return 7e-4 * min(1.0, 2 * (self.own - step) / self.own + 0.15)
        return 1e-4 * min(1.0, 2 * (self.own + self.field - step) / self.field)


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


def train(
    name: str, data: Path, out: Path, settings: Settings, samples: Path | None, start: Path | None
) -> None:
    """Train one direction and write its file."""
    torch.manual_seed(settings.seed)
    random = np.random.default_rng(settings.seed)
    found = sections(data, FILES[name][0])
    generator = ResnetGenerator(**settings.arguments)
    initialise(generator)
    if start is not None:
        generator.load_state_dict(load_generator(start).module.state_dict())
    smooth = copy.deepcopy(generator)
    generator.model[-1] = nn.Identity()  # instead of the tanh; see `loss_of`
    generator.to(memory_format=torch.channels_last)
    switch = replace_norms(generator)
    optimiser = torch.optim.Adam(generator.parameters(), 1e-3, (0.5, 0.999))
    began, losses, more = time.time(), [], iter(())
    for step in range(settings.own + settings.field):
        loss = next(more, None)
        if loss is None:
            more = lessons(generator, switch, found, random, step >= settings.own)
            loss = next(more)
        optimiser.param_groups[0]["lr"] = settings.rate(step)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(generator.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        for slow, fast in zip(smooth.parameters(), generator.parameters(), strict=True):
            slow.data.lerp_(fast.data, 0.01)
        if step % 100 == 99:
            mean = np.mean(losses[-100:])
            print(f"{time.time() - began:6.0f} s, {name}, step {step + 1}: {mean:.3f}", flush=True)
        if step % 300 == 299:
            save(name, smooth, out, settings)
            if samples:
                show(smooth, found, samples / f"{name}-{step + 1:05d}.png")
    save(name, smooth, out, settings)


def save(name: str, generator: nn.Module, out: Path, settings: Settings) -> None:
    """Write a direction in the native format, as half floats."""
    a, b = FILES[name]
    info = GeneratorInfo(
        architecture="resnet",
        arguments=settings.arguments,
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
    )
    save_native(out / f"{name}.safetensors", generator, info, half=True)


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
    parser.add_argument("--data", type=Path, required=True, help="folder of the source images")
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    parser.add_argument("--samples", type=Path, help="folder for sample pictures")
    parser.add_argument("--only", choices=list(FILES), help="one direction; default: both")
    parser.add_argument("--start", type=Path, help="weights to begin with, instead of random ones")
    defaults = Settings()
    for name in ("own", "field", "seed", "ngf"):
        parser.add_argument(f"--{name}", type=int, default=getattr(defaults, name))
    given = vars(parser.parse_args())
    data, out, samples, only, start = (
        given.pop(name) for name in ("data", "out", "samples", "only", "start")
    )
    for name in [only] if only else FILES:
        train(name, data, out, Settings(**given), samples, start)


if __name__ == "__main__":
    main()
