"""From a table of statistics to a field: which mean and which rstd does each pixel get?

Every normalizer of this package is **separable**: the value at a pixel is a weighted sum over the
cells of the table, and the weights are a product of one factor for the row and one for the column
of the cell. So a field is two small matrices and a small table, and applying it is two small
matrix products per channel. Missing cells (no tissue, flat colour) leave the sum, and the
weights of the others are scaled up.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from uhrtranslate.options import TranslateOptions


@dataclass(frozen=True)
class StatisticsTable:
    """Statistics of one norm layer over a window of the cell grid.

    Attributes:
        mean, std: [rows, cols, c] float32; values of missing cells are not read.
        valid: [rows, cols] bool; False marks a missing cell. On the CPU whatever the device, so
            that asking whether cells are missing does not wait for a GPU.
        fallback_mean, fallback_std: [c] float32, what a pixel gets that no valid cell reaches;
            may be None as long as every cell is valid.
    """

    mean: Tensor
    std: Tensor
    valid: Tensor
    fallback_mean: Tensor | None = None
    fallback_std: Tensor | None = None

    def to(self, device: torch.device) -> "StatisticsTable":
        """The same with its statistics on a device."""
        if self.mean.device == device:
            return self
        parts = (self.fallback_mean, self.fallback_std)
        fallback = (None if part is None else part.to(device) for part in parts)
        return StatisticsTable(self.mean.to(device), self.std.to(device), self.valid, *fallback)


@dataclass(frozen=True, kw_only=True)
class Normalizer(ABC):
    """How a field is made from a table; each member of `tables.NORMALIZERS` is one.

    Attributes:
        source: whose statistics the table holds: those of all cells, or of one thumbnail of the
            whole image, which is then a table of one entry.
        reach: cells beyond a pixel's own cell that its field may read, in every direction; so
            also the look-ahead, in rows of cells.
        fade: below this sum of the weights of valid cells, the field fades into the fallback.
        averages_rstd: the field interpolates 1/std; else std, which is then inverted.
        own_cell: every pixel has the statistics of its own cell.
        published_halo: px of mirroring around a cell in the method's public code.
        published_eps: what that code adds to std before it takes 1/std.
        published_fill: that code gives missing cells the statistics of the cell that asks.
        reciprocal_eps: added to std before 1/std is taken.
    """

    source: ClassVar[Literal["cells", "thumbnail"]] = "cells"
    fade: ClassVar[float] = 1e-6
    averages_rstd: ClassVar[bool] = True
    own_cell: ClassVar[bool] = False
    published_halo: ClassVar[int] = 0
    published_eps: ClassVar[float] = 0.0
    published_fill: ClassVar[bool] = False
    reciprocal_eps: float = 0.0

    @classmethod
    def chosen(cls, options: TranslateOptions) -> Self:
        """The normalizer as a user wants it."""
        return cls(reciprocal_eps=cls.published_eps if options.pad == "reflect" else 0.0)

    def facts(self) -> dict[str, Any]:
        """What it was chosen with, as JSON values by option name; results carry it."""
        return {}

    @property
    def reach(self) -> int:
        """Cells beyond a pixel's own one that its field may read."""
        return 0

    @abstractmethod
    def weights(self, position: Tensor, cells: int) -> Tensor:
        """Weights of the cells of one axis for pixels at given positions.

        Args:
            position: [n] float64, pixel centres in units of cells: cell i has i <= p < i + 1.
                Positions outside 0..cells belong to the continued image.
            cells: number of cells of the axis.

        Returns:
            [n, cells] float64, non-negative; every row sums to 1.
        """


@dataclass(frozen=True)
class Gaps:
    """What the field is where cells are missing.

    A pixel's value is (sum over the valid cells + fallback * deficit) * gain.

    Attributes:
        fallback_mean, fallback_scale: [c].
        deficit: [h, w], how far the weights of the valid cells fall short of the normalizer's fade.
        gain: [h, w], what scales the weights up to 1.
    """

    fallback_mean: Tensor
    fallback_scale: Tensor
    deficit: Tensor
    gain: Tensor


@dataclass(frozen=True)
class Field:
    """mean and rstd for every pixel of a feature map, in factored form.

    mean(y, x) = sum over q of mean[y, q] * cols[x, q]; rstd likewise from `scale`, inverted at the
    end where `scale` holds standard deviations.

    Attributes:
        mean, scale: [c, h, q] float32, summed along the columns of cells already.
        cols: [w, q] float32, weights of the q columns of cells.
        inverse: `scale` is rstd (True) or std (False).
        gaps: None if all cells are valid.
    """

    mean: Tensor
    scale: Tensor
    cols: Tensor
    inverse: bool
    gaps: Gaps | None = None

    def of_rows(self, rows: slice) -> "Field":
        """The field of some rows of the feature map."""
        gaps = self.gaps and replace(
            self.gaps, deficit=self.gaps.deficit[rows], gain=self.gaps.gain[rows]
        )
        return replace(self, mean=self.mean[:, rows], scale=self.scale[:, rows], gaps=gaps)

    def mean_map(self, channels_last: bool = False) -> Tensor:
        """The mean of every pixel, [c, h, w]; with channels last [h, w, c]."""
        fallback = None if self.gaps is None else self.gaps.fallback_mean
        return self._map(self.mean, fallback, channels_last)

    def rstd_map(self, channels_last: bool = False) -> Tensor:
        """1/std of every pixel, [c, h, w]; with channels last [h, w, c]."""
        fallback = None if self.gaps is None else self.gaps.fallback_scale
        scale = self._map(self.scale, fallback, channels_last)
        return scale if self.inverse else scale.reciprocal_()

    def apply(self, x: Tensor) -> Tensor:
        """(x - mean) * rstd, for x [c, h, w] float32; a new tensor, laid out in memory as x."""
        last = x.stride(0) == 1
        y = x.permute(1, 2, 0) if last else x
        if self.gaps is None:
            # baddbmm subtracts the interpolated mean in the pass that makes the new tensor.
            y = torch.baddbmm(y, *self._factors(self.mean, last), alpha=-1)
        else:
            y = y - self.mean_map(last)
        y.mul_(self.rstd_map(last))
        return y.permute(2, 0, 1) if last else y

    def _map(self, table: Tensor, fallback: Tensor | None, channels_last: bool) -> Tensor:
        values = torch.bmm(*self._factors(table, channels_last))
        if self.gaps is not None and fallback is not None:
            axis = 2 if channels_last else 0
            deficit, gain = (part.unsqueeze(axis) for part in (self.gaps.deficit, self.gaps.gain))
            constant = fallback if channels_last else fallback[:, None, None]
            values.addcmul_(constant, deficit).mul_(gain)
        return values

    def _factors(self, table: Tensor, channels_last: bool) -> tuple[Tensor, Tensor]:
        """What is multiplied: a matrix for each row of pixels, or for each channel."""
        if channels_last:
            return self.cols.expand(table.shape[1], -1, -1), table.permute(1, 2, 0)
        return table, self.cols.T.expand(len(table), -1, -1)


def make_field(normalizer: Normalizer, table: StatisticsTable, rows: Tensor, cols: Tensor) -> Field:
    """Turn a window of a table into the field of a feature map.

    Args:
        normalizer: says what is averaged, and how missing cells fade.
        table: the window, r x q cells.
        rows, cols: the normalizer's weights for the window's cells, [h, r] and [w, q].

    Returns:
        The field of an h x w feature map.

    Raises:
        ValueError: a cell is missing and the table has no fallback.
    """
    std = table.std + normalizer.reciprocal_eps
    scale = std.reciprocal() if normalizer.averages_rstd else std
    mean = table.mean
    gaps = None
    if not bool(table.valid.all()):
        if table.fallback_mean is None or table.fallback_std is None:
            raise ValueError("the table has missing cells and no fallback")
        valid = table.valid.to(mean.device, non_blocking=True)
        keep = valid[..., None]
        mean = torch.where(keep, mean, 0.0)
        scale = torch.where(keep, scale, 0.0)
        coverage = rows @ valid.to(rows.dtype) @ cols.T
        fallback_std = table.fallback_std + normalizer.reciprocal_eps
        gaps = Gaps(
            table.fallback_mean,
            fallback_std.reciprocal() if normalizer.averages_rstd else fallback_std,
            (normalizer.fade - coverage).clamp_(min=0),
            coverage.clamp(min=normalizer.fade).reciprocal_(),
        )
    mean, scale = _along_rows(rows, mean), _along_rows(rows, scale)
    return Field(mean, scale, cols, normalizer.averages_rstd, gaps)


def fill_from_centre(table: StatisticsTable, row: int, col: int) -> StatisticsTable:
    """Give missing cells of a window the values of one of its cells, as the public code does.

    The result depends on the cell that asks, so a field made of it is not continuous: for the
    mirrored geometry only, where fields are not continuous anyway.

    Args:
        table: the window.
        row, col: the asking cell within the window; if it is missing itself, nothing changes.
    """
    if bool(table.valid.all()) or not bool(table.valid[row, col]):
        return table
    keep = table.valid[..., None].to(table.mean.device, non_blocking=True)
    return replace(
        table,
        mean=torch.where(keep, table.mean, table.mean[row, col]),
        std=torch.where(keep, table.std, table.std[row, col]),
        valid=torch.ones_like(table.valid),
    )


def _along_rows(rows: Tensor, table: Tensor) -> Tensor:
    """Sums over the rows of cells: [h, r] and [r, q, c] to [c, h, q], as one matrix product."""
    return (rows @ table.flatten(1)).reshape(len(rows), *table.shape[1:]).permute(2, 0, 1)


def one_hot(index: Tensor, cells: int) -> Tensor:
    """[n] integers, clamped to the grid, as [n, cells] float64 weights."""
    clamped = index.clamp(0, cells - 1)
    return torch.nn.functional.one_hot(clamped, cells).to(torch.float64)
