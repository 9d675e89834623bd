"""Statistics tables of all norm layers, for the rows of cells that are in use."""

from dataclasses import dataclass

import torch
from torch import Tensor

from uhrtranslate.normalizers import StatisticsTable


@dataclass(frozen=True)
class Moments:
    """Statistics of some cells at every norm call.

    Attributes:
        mean, std: per norm call one [cells, c] float32 tensor.
    """

    mean: tuple[Tensor, ...]
    std: tuple[Tensor, ...]

    def to(self, device: torch.device) -> "Moments":
        """The same on a device."""
        return Moments(
            tuple(mean.to(device) for mean in self.mean), tuple(std.to(device) for std in self.std)
        )

    def finite(self) -> Tensor:
        """Cells whose statistics are finite at every norm call, [cells] bool."""
        good = [
            torch.isfinite(mean).all(1) & torch.isfinite(std).all(1)
            for mean, std in zip(self.mean, self.std, strict=True)
        ]
        return torch.stack(good).all(0)


@dataclass(frozen=True)
class _Row:
    moments: Moments
    valid: Tensor


class StatisticsRing:
    """The tables' rows in use; older ones are dropped, so memory does not grow with the height.

    Args:
        cols: columns of the cell grid.
    """

    def __init__(self, cols: int) -> None:
        self.cols = cols
        self._rows: dict[int, _Row | None] = {}
        self._fallback: Moments | None = None

    def put(self, row: int, valid: list[bool], moments: Moments | None) -> None:
        """Store a row of cells.

        Args:
            row: its number.
            valid: for every column, whether the cell has statistics.
            moments: of the valid cells only, from left to right; None if there are none.
        """
        if moments is None:
            self._rows[row] = None
            return
        mask = torch.tensor(valid)

        def spread(compact: Tensor) -> Tensor:
            full = compact.new_ones(self.cols, compact.shape[1])
            full[mask.to(full.device)] = compact
            return full

        spread_moments = Moments(
            tuple(spread(mean) for mean in moments.mean), tuple(spread(std) for std in moments.std)
        )
        finite = mask.clone()
        finite[mask] = moments.finite().cpu()
        self._rows[row] = _Row(spread_moments, finite)

    def drop_above(self, row: int) -> None:
        """Forget rows above `row`."""
        for old in [r for r in self._rows if r < row]:
            del self._rows[old]

    def complete(self, r0: int, r1: int, c0: int, c1: int) -> bool:
        """Whether every cell of a window has statistics."""
        rows = [self._rows[r] for r in range(r0, r1)]
        return all(row is not None and bool(row.valid[c0:c1].all()) for row in rows)

    def window(
        self, call: int, r0: int, r1: int, c0: int, c1: int, fallback: Moments | None
    ) -> StatisticsTable:
        """The table of one norm call over rows `r0..r1` and columns `c0..c1` of cells.

        Args:
            call: number of the norm call.
            r0, r1, c0, c1: the window, ends excluded; its rows must be stored.
            fallback: statistics of one cell, for pixels that no valid cell reaches; needed where
                the window is not `complete`.
        """
        if fallback is None:
            rows = [row for r in range(r0, r1) if (row := self._rows[r]) is not None]
            mean = torch.stack([row.moments.mean[call][c0:c1] for row in rows])
            std = torch.stack([row.moments.std[call][c0:c1] for row in rows])
            return StatisticsTable(mean, std, torch.ones(mean.shape[:2], dtype=torch.bool))
        mean0, std0 = fallback.mean[call][0], fallback.std[call][0]
        nothing = torch.zeros(c1 - c0, dtype=torch.bool)
        blank = mean0.new_ones(c1 - c0, len(mean0))
        means, stds, valid = [], [], []
        for r in range(r0, r1):
            row = self._rows[r]
            means.append(blank if row is None else row.moments.mean[call][c0:c1])
            stds.append(blank if row is None else row.moments.std[call][c0:c1])
            valid.append(nothing if row is None else row.valid[c0:c1])
        return StatisticsTable(
            torch.stack(means), torch.stack(stds), torch.stack(valid), mean0, std0
        )
