"""Pooling the statistics of cells: the mean and std of their pixels taken together."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pool:
    """What each of m entries is pooled from: a window of r x q cells, and a fallback.

    Attributes:
        rows: [r] float64, the factor of each row of cells.
        cols: [m, q] float64, the factor of each column of cells for each entry.
        weights: [r, q] float64, how much each cell counts whatever the entry; 0 for missing cells,
            whose statistics are not read.
        lack: [m] float64, how much the fallback counts: 0 where there are cells enough.
    """

    rows: Tensor
    cols: Tensor
    weights: Tensor
    lack: Tensor

    @property
    def needs_fallback(self) -> bool:
        """Whether any entry is made of the fallback, at least in part."""
        return bool((self.lack > 0).any())

    def __call__(
        self, mean: Tensor, std: Tensor, fallback: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Pool the statistics of one norm layer, by the law of total variance.

        With weights w that add up to 1, the mean is sum(w mean), and the variance
        sum(w var) + sum(w mean^2) - sum(w mean)^2: that within cells plus that between them.

        Args:
            mean, std: [r, q, c] float32.
            fallback: mean and std, [c] each.

        Returns:
            Mean and std of the entries, [m, c] float32 each.

        Raises:
            ValueError: entries lack cells, and there is no fallback.
        """
        if self.needs_fallback and fallback is None:
            raise ValueError("entries lack cells, and there is no fallback")
        weights = self.rows[:, None] * self.weights
        mass = float(weights.sum()) or 1.0
        keep = (weights > 0).to(mean.device, non_blocking=True)[..., None]
        total = (self.cols @ weights.sum(0) + self.lack) / mass
        cols, lack, total, weights = (
            part.to(mean.device, torch.float32, non_blocking=True)
            for part in (self.cols, self.lack[:, None] / mass, total[:, None], weights / mass)
        )
        weights = weights[..., None]
        mean, std = torch.where(keep, mean, 0.0), torch.where(keep, std, 0.0)
        # Distances from a mean of the window, since squares of the means themselves would cancel.
        centre = (weights * mean).sum((0, 1))
        distance = mean - centre
        within = cols @ (weights * std.square()).sum(0)
        first = cols @ (weights * distance).sum(0)
        second = cols @ (weights * distance.square()).sum(0)
        if fallback is not None:
            distance = fallback[0] - centre
            within = within + lack * fallback[1].square()
            first = first + lack * distance
            second = second + lack * distance.square()
        first = first / total
        between = (second / total - first.square()).clamp(min=0)
        return centre + first, (within / total + between).sqrt()
