"""Rows of a table whose entries are pooled from the cells around, made when they are needed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.geometry import CellGrid
from uhrtranslate.normalizers import Normalizer, Pool

Shares = NDArray[np.floating]


@dataclass(frozen=True)
class Row:
    """A row of cells, or of entries.

    Attributes:
        moments: of all its columns; those of missing cells are not read.
        valid: [columns] bool, on the CPU.
    """

    moments: Moments
    valid: Tensor


@dataclass(frozen=True)
class _Counted:
    """A row of cells, how much each counts, and how much tissue it has: see `Normalizer.pool`."""

    moments: Moments
    weights: Tensor
    tissue: Tensor


class PooledRows:
    """Rows of entries, pooled from rows of cells.

    If all cells of the image make one entry, each row of cells is pooled when it comes, so that the
    statistics of hardly more than one row are kept.

    Args:
        grid: the image's cells.
        normalizer: says how cells are pooled.
        shares: makes the share of tissue of each cell, [rows, cols] in 0..1; called at most once.
    """

    def __init__(
        self, grid: CellGrid, normalizer: Normalizer, shares: Callable[[], Shares] | None = None
    ) -> None:
        self._grid = grid
        self._normalizer = normalizer
        self._make_shares = shares
        self._shares: Tensor | None = None
        self._cells: dict[int, _Counted | None] = {}
        self._entries: dict[int, Row] = {}

    def put(self, row: int, cells: Row | None) -> None:
        """Store a row of cells; None if all are missing."""
        if cells is None:
            self._cells[row] = None
            return
        tissue = self._share_of_tissue()[row] * cells.valid
        weights = self._normalizer.counts(tissue) * self._inside(row) * cells.valid
        if not self._normalizer.uniform:
            self._cells[row] = _Counted(cells.moments, weights, tissue)
        elif weights.any():
            self._cells[row] = _condensed(_Counted(cells.moments, weights, tissue))
        else:
            self._cells[row] = None

    def lack_fallback(self, first: int, end: int) -> bool:
        """Whether any of the entries of some rows needs a fallback."""
        missing = [row for row in range(first, end) if row not in self._entries]
        return any(self._pool(row).needs_fallback for row in missing)

    def entries(self, row: int, fallback: Moments | None) -> Row:
        """A row of entries; the rows of cells that it is made of must be stored.

        Args:
            row: its number; 0 if all cells of the image make one entry.
            fallback: the statistics of one cell, for where cells are missing.

        Raises:
            ValueError: cells are missing, and there is no fallback.
        """
        if row not in self._entries:
            self._entries[row] = self._made(row, fallback)
        return self._entries[row]

    def drop_above(self, row: int) -> None:
        """Forget the rows of cells above `row`, and the entries that are made of them."""
        around = self._normalizer.around or 0
        for old in [r for r in self._cells if r < row]:
            del self._cells[old]
        for old in [r for r in self._entries if r < row + around and row > 0]:
            del self._entries[old]

    def _numbers(self, row: int) -> range:
        """The rows of cells that a row of entries is made of."""
        around, rows = self._normalizer.around, self._grid.rows
        if around is None:
            return range(rows)
        return range(max(row - around, 0), min(row + around + 1, rows))

    def _window(self, row: int) -> list[_Counted | None]:
        return [self._cells[number] for number in self._numbers(row)]

    def _made(self, row: int, fallback: Moments | None) -> Row:
        pool, window = self._pool(row), self._window(row)
        some = next((one.moments for one in window if one is not None), fallback)
        if some is None:
            raise ValueError("cells are missing, and there is no fallback")
        means, stds = [], []
        for call, like in enumerate(some.mean):
            blank = like.new_ones(pool.weights.shape[1], like.shape[1])
            mean = [blank if one is None else one.moments.mean[call] for one in window]
            std = [blank if one is None else one.moments.std[call] for one in window]
            whole = None
            if fallback is not None:
                whole = fallback.mean[call][0], fallback.std[call][0]
            pooled = pool(torch.stack(mean), torch.stack(std), whole)
            means.append(pooled[0])
            stds.append(pooled[1])
        valid = torch.ones(len(means[0]), dtype=torch.bool)
        return Row(Moments(tuple(means), tuple(stds)), valid)

    def _pool(self, row: int) -> Pool:
        window = self._window(row)
        columns = 1 if self._normalizer.uniform else self._grid.cols
        nothing = torch.zeros(columns, dtype=torch.float64)
        rows = torch.tensor(self._numbers(row), dtype=torch.float64) - row
        weights = torch.stack([nothing if one is None else one.weights for one in window])
        tissue = torch.stack([nothing if one is None else one.tissue for one in window])
        return self._normalizer.pool(rows, weights, tissue)

    def _share_of_tissue(self) -> Tensor:
        """Of each cell, [rows, cols] float64; without glass, everything is tissue."""
        if self._shares is None:
            shape = self._grid.rows, self._grid.cols
            made = self._make_shares() if self._make_shares else np.ones(shape)
            self._shares = torch.as_tensor(made, dtype=torch.float64).reshape(shape)
        return self._shares

    def _inside(self, row: int) -> Tensor:
        """How much of each cell of a row is inside the image, [cols] float64."""
        grid = self._grid
        height = min(grid.height - row * grid.cell, grid.cell)
        first = torch.arange(grid.cols, dtype=torch.float64) * grid.cell
        return (grid.width - first).clamp(max=grid.cell) * height / grid.cell**2


def _condensed(cells: _Counted) -> _Counted:
    """A row of cells as a single one, which counts as much as all of them."""
    weights, tissue = (part.sum()[None] for part in (cells.weights, cells.tissue))
    one = torch.ones(1, dtype=torch.float64)
    pool = Pool(one, one.expand(1, len(cells.weights)), cells.weights[None], one * 0)
    found = [
        pool(mean[None], std[None])
        for mean, std in zip(cells.moments.mean, cells.moments.std, strict=True)
    ]
    moments = Moments(tuple(mean for mean, _ in found), tuple(std for _, std in found))
    return _Counted(moments, weights, tissue)
