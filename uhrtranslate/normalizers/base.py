"""From a table of statistics to a field: which mean and which rstd does each pixel get?

Every normalizer of this package is **separable**: the value at a pixel is a weighted sum over the
cells of the table, and each weight is the product of a factor for the cell's row and one for its
column. So a field is two small matrices and a small table, and applying it takes two small matrix
products per channel. Missing cells (no tissue, flat colour) are left out of the sum, and the
weights of the others are scaled up.

What a table has for a cell may be more than the cell's own statistics: a normalizer may **pool** it
from the cells around (`pooling.py`), once for each cell, whatever the size of the feature maps.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from uhrtranslate.normalizers.pooling import Pool
from uhrtranslate.options import TranslateOptions


@dataclass(frozen=True)
class StatisticsTable:
    """Statistics of one norm layer over a window of the cell grid.

    Attributes:
        mean, std: [rows, cols, c] float32; values of missing cells are not read.
        valid: [rows, cols] bool; False marks a missing cell. Always on the CPU, so that checking
            for missing cells does not wait for a GPU.
        fallback_mean, fallback_std: [c] float32, for pixels that no valid cell reaches; may be None
            if every cell is valid.
    """

    mean: Tensor
    std: Tensor
    valid: Tensor
    fallback_mean: Tensor | None = None
    fallback_std: Tensor | None = None

    def to(self, device: torch.device) -> "StatisticsTable":
        """The same table, with its statistics on a device."""
        if self.mean.device == device:
            return self
        parts = (self.fallback_mean, self.fallback_std)
        fallback = (None if part is None else part.to(device) for part in parts)
        return StatisticsTable(self.mean.to(device), self.std.to(device), self.valid, *fallback)


@dataclass(frozen=True, kw_only=True)
class Normalizer(ABC):
    """How a field is made from a table; each member of `tables.NORMALIZERS` is one.

    Attributes:
        source: where the table's statistics come from: all cells, or one thumbnail of the whole
            image, which gives a table of one entry.
        reach: entries of the table beyond a pixel's own cell that its field may read, in every
            direction.
        around: cells around a cell that its entry is pooled from, in every direction; None for all
            cells of the image, which gives a table of one entry.
        fade: if the weights of valid cells add up to less than this, the field fades into the
            fallback.
        averages_rstd: whether the field interpolates 1/std, or std and then inverts it.
        own_cell: whether every pixel has the statistics of its own cell.
        weighs: whether cells count by their share of tissue.
        published_halo: px of mirroring around a cell in the method's public code.
        published_eps: what that code adds to std before it takes 1/std.
        published_fill: whether that code replaces missing cells by the cell being computed.
        reciprocal_eps: added to std before 1/std is taken.
    """

    source: ClassVar[Literal["cells", "thumbnail"]] = "cells"
    fade: ClassVar[float] = 1e-6
    averages_rstd: ClassVar[bool] = True
    own_cell: ClassVar[bool] = False
    weighs: ClassVar[bool] = False
    published_halo: ClassVar[int] = 0
    published_eps: ClassVar[float] = 0.0
    published_fill: ClassVar[bool] = False
    reciprocal_eps: float = 0.0

    @classmethod
    def chosen(cls, options: TranslateOptions) -> Self:
        """The normalizer that a user's options describe."""
        return cls(reciprocal_eps=cls.published_eps if options.pad == "reflect" else 0.0)

    def facts(self) -> dict[str, Any]:
        """What it was chosen with, as JSON values by option name; results carry it."""
        return {}

    def at(self, cell_um: float | None, image: str) -> Self:
        """The normalizer for an image whose cells are so many micrometres wide; None: unknown.

        Raises:
            OptionError: the options need to know it; names the image.
        """
        return self

    @property
    def reach(self) -> int:
        """Entries of the table beyond a pixel's own cell that its field may read."""
        return 0

    @property
    def around(self) -> int | None:
        """Cells around a cell that its entry of the table is pooled from."""
        return 0

    @property
    def uniform(self) -> bool:
        """Whether every pixel of an image has the same statistics: a table of one entry."""
        return self.source == "thumbnail" or self.around is None

    def look_ahead(self, rows: int) -> int:
        """Rows of cells beyond a pixel's own that its field depends on, of an image's `rows`."""
        return rows if self.around is None else self.reach + self.around

    def counts(self, shares: Tensor) -> Tensor:
        """How much cells count by their shares of tissue, if entries are pooled."""
        return torch.ones_like(shares)

    def pool(self, rows: Tensor, weights: Tensor, tissue: Tensor) -> Pool:
        """How the entries of a row of the table are made of cells, if `around` is not 0.

        Args:
            rows: [r] float64, rows of cells, counted from the row of entries.
            weights: [r, q] float64, how much each cell counts whatever its distance: `counts`, and
                its part inside the image; 0 for missing cells. There are q entries, or one if
                `around` is None.
            tissue: [r, q] float64, cells' shares of tissue; 0 for missing cells.
        """
        raise NotImplementedError

    @abstractmethod
    def weights(self, position: Tensor, cells: int) -> Tensor:
        """Weights of the cells of one axis for pixels at given positions.

        Args:
            position: [n] float64, pixel centres in units of cells: cell i has i <= p < i + 1.
                Positions outside 0..cells belong to the continued image.
            cells: number of cells along the axis.

        Returns:
            [n, cells] float64, non-negative; every row sums to 1.
        """


@dataclass(frozen=True)
class Gaps:
    """What the field is where cells are missing.

    A pixel's value is (sum over the valid cells + fallback * deficit) * gain.

    Attributes:
        fallback_mean, fallback_scale: [c].
        deficit: [h, w], how much the weights of the valid cells lack to the normalizer's fade.
        gain: [h, w], the factor that scales the weights up to 1.
    """

    fallback_mean: Tensor
    fallback_scale: Tensor
    deficit: Tensor
    gain: Tensor


@dataclass(frozen=True)
class Field:
    """mean and rstd for every pixel of a feature map, in factored form.

    mean(y, x) = sum over q of mean[y, q] * cols[x, q]. The same applies to rstd and `scale`, except
    that the result is inverted if `scale` holds standard deviations.

    Attributes:
        mean, scale: [c, h, q] float32, already summed along the columns of cells.
        cols: [w, q] float32, weights of the q columns of cells.
        inverse: whether `scale` is rstd (True) or std (False).
        gaps: None if all cells are valid.
    """

    mean: Tensor
    scale: Tensor
    cols: Tensor
    inverse: bool
    gaps: Gaps | None = None

    def of_rows(self, rows: slice) -> "Field":
        """The part of the field that belongs to some rows of the feature map."""
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
        """(x - mean) * rstd, for x [c, h, w] float32; a new tensor with the memory layout of x."""
        last = x.stride(0) == 1
        y = x.permute(1, 2, 0) if last else x
        if self.gaps is None:
            # baddbmm makes the new tensor and subtracts the interpolated mean in one pass.
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
        """The matrices to multiply: one pair for each row of pixels, or for each channel."""
        if channels_last:
            return self.cols.expand(table.shape[1], -1, -1), table.permute(1, 2, 0)
        return table, self.cols.T.expand(len(table), -1, -1)


def make_field(normalizer: Normalizer, table: StatisticsTable, rows: Tensor, cols: Tensor) -> Field:
    """Turn a window of a table into the field of a feature map.

    Args:
        normalizer: determines what is averaged, and how missing cells fade.
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
    """Give the missing cells of a window the values of its cell at `row, col`.

    This is what the public code does. The result depends on the cell that is being computed, so the
    field is not continuous; it is only meant for the mirrored geometry, whose fields never are. If
    the cell is missing itself, nothing changes.
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
    """Sum over the rows of cells: [h, r] and [r, q, c] to [c, h, q], in one matrix product."""
    return (rows @ table.flatten(1)).reshape(len(rows), *table.shape[1:]).permute(2, 0, 1)


def one_hot(index: Tensor, cells: int) -> Tensor:
    """Turn integers [n], clamped to the grid, into weights [n, cells] float64."""
    clamped = index.clamp(0, cells - 1)
    return torch.nn.functional.one_hot(clamped, cells).to(torch.float64)


def linear(position: Tensor, cells: int) -> Tensor:
    """Weights that interpolate between cell centres, constant beyond the outermost ones.

    See `Normalizer.weights`.
    """
    from_centre = position - 0.5
    before = from_centre.floor()
    share = (from_centre - before)[:, None]
    index = before.long()
    return (1 - share) * one_hot(index, cells) + share * one_hot(index + 1, cells)
