"""The statistics that a field gives to a generator's norm layers, drawn at random for training.

A window of two by two cells is recorded as `uhrt translate` records it; a patch between the four
centres then gets interpolated or pooled statistics, in which any cell may count more or less.
"""

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from bundled_sections import CELL
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import Recorder, StatisticsComplete
from uhrtranslate.engine.forward.layers import NormSwitch

# As in the engine: cells that vary less, in grey levels, have no statistics of their own.
FLAT_STD = 8.0 / 127.5
# How dark a pixel in -1..1 of tissue is at least.
DARK = 210 / 127.5 - 1


@dataclass(frozen=True)
class Surroundings:
    """What norm layers saw around a patch: in four cells, in one elsewhere, and in a thumbnail.

    Attributes:
        mean, std: one [6, c] per norm call.
        tissue: the share of each, [6].
        flat: whether each is missing, [6] bool; the thumbnail never is.
    """

    mean: list[Tensor]
    std: list[Tensor]
    tissue: Tensor
    flat: Tensor

    @classmethod
    @torch.no_grad()
    def recorded(
        cls, generator: nn.Module, switch: NormSwitch, window: Tensor, elsewhere: Tensor
    ) -> "Surroundings":
        """Of a window [3, 2 * CELL, 2 * CELL] and of a cell [3, CELL, CELL]."""
        near = [window[:, y : y + CELL, x : x + CELL] for y in (0, CELL) for x in (0, CELL)]
        thumbnail = F.avg_pool2d(window[None], 2)[0]
        cells = torch.stack([*near, elsewhere, thumbnail])
        found = []
        for cell in cells.split(1):  # one after the other, which suits a CPU's caches
            found.append(Recorder(stop_after=switch.layers))
            with switch.doing(found[-1]), suppress(StatisticsComplete):
                generator(cell)
        mean, std = (
            [torch.cat(rows) for rows in zip(*(getattr(one, part) for one in found), strict=True)]
            for part in ("mean", "std")
        )
        flat = (cells.std(dim=(2, 3)) < FLAT_STD).all(dim=1)
        flat[-1] = False
        dark = (cells.amin(dim=1) < DARK).float().mean(dim=(1, 2))
        return cls(mean, std, dark, flat)


@dataclass(frozen=True)
class Weighted:
    """Normalizes with weighted statistics of surroundings; an `Action`.

    Attributes:
        around: the statistics.
        weights: [6, CELL, CELL], which add up to 1 at each pixel.
        pooled: the variance within cells is averaged, as `pooled` does; else 1/std, as DN does.
    """

    around: Surroundings
    weights: Tensor
    pooled: bool

    @classmethod
    def drawn(cls, around: Surroundings, y: int, x: int, random: np.random.Generator) -> "Weighted":
        """For the patch at `y, x` of the window, as one of the fields has them."""
        kind = random.random()
        places = [(torch.arange(CELL) + 0.5 + first) / CELL - 0.5 for first in (y, x)]
        weights = torch.zeros(6, CELL, CELL)
        if kind < 0.3:  # DN
            rows, cols = (torch.stack([1 - at, at]).clamp(0, 1) for at in places)
            weights[:4] = (rows[:, None, :, None] * cols[None, :, None, :]).flatten(0, 1)
            weights[around.flat] = 0
            weights[5] = (0.25 - weights.sum(0)).clamp(min=0)
        elif kind < 0.85:  # pooled, by tissue
            width = 0.5 * 2 ** random.uniform(0, 3)
            rows, cols = (
                torch.exp(-0.5 * ((at - torch.tensor([[0.0], [1.0]])) / width) ** 2)
                for at in places
            )
            weights[:4] = (rows[:, None, :, None] * cols[None, :, None, :]).flatten(0, 1)
            weights[4] = float(random.uniform(0, 2)) if random.random() < 0.7 else 0.0
            weights[:5] *= around.tissue[:5, None, None] + 0.01
            weights[around.flat] = 0
            weights[5] = (0.25 - weights.sum(0)).clamp(min=0)
        elif kind < 0.93:  # as TIN
            weights[5] = 1
        else:  # any
            weights += torch.from_numpy(random.dirichlet([0.3] * 6)).float()[:, None, None]
        return cls(around, weights / weights.sum(0), pooled=kind >= 0.3)

    def __call__(self, call: int, x: Tensor, eps: float, share: int = 1) -> Tensor:
        """See `Action`."""
        mean, std = self.around.mean[call], self.around.std[call]
        # A mean over blocks has half-pixel centres at every resolution. Channels are last.
        weights = F.adaptive_avg_pool2d(self.weights, x.shape[-2:]).permute(1, 2, 0)
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            m = weights @ mean
            if self.pooled:
                scale = (weights @ std**2).clamp_(min=eps).rsqrt_()
            else:
                scale = weights @ std.reciprocal()
            m *= scale
            scale, shift = (part.permute(2, 0, 1)[None].to(x.dtype) for part in (scale, m))
        return x * scale - shift
