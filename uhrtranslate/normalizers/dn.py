"""Dense normalization (DN, ECCV 2024): mean and 1/std interpolated between cell centres."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from uhrtranslate.normalizers.base import StatisticsTable, one_hot


@dataclass(frozen=True)
class DN:
    """Bilinear interpolation of mean and of 1/std between the centres of cells (equations 2-3).

    Pixel centres are at half coordinates, as in the authors' code, so the field is symmetric and
    continuous; beyond the outermost centres it is constant.

    Where a neighbour is missing the remaining weights are scaled up, which is exact for every
    pixel of a valid cell (its own weight is never below 1/4); in missing cells the field fades
    into the fallback, continuously.
    """

    name: ClassVar[str] = "dn"
    fade: ClassVar[float] = 0.25
    averages_rstd: ClassVar[bool] = True
    reach: int = 1
    reciprocal_eps: float = 0.0

    def weights(self, position: Tensor, cells: int) -> Tensor:
        """Linear between the two nearest cell centres; see `Normalizer.weights`."""
        from_centre = position - 0.5
        before = from_centre.floor()
        share = (from_centre - before)[:, None]
        index = before.long()
        return (1 - share) * one_hot(index, cells) + share * one_hot(index + 1, cells)


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
    keep = table.valid[..., None].to(table.mean.device)
    return replace(
        table,
        mean=torch.where(keep, table.mean, table.mean[row, col]),
        std=torch.where(keep, table.std, table.std[row, col]),
        valid=torch.ones_like(table.valid),
    )
