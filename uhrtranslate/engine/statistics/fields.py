"""Fields of tiles: where statistics, geometry and normalizer meet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from uhrtranslate.engine.statistics.tables import Moments, StatisticsRing
from uhrtranslate.geometry import Tile, TilePlan
from uhrtranslate.normalizers import (
    DN,
    TIN,
    Field,
    Normalizer,
    StatisticsTable,
    fill_from_centre,
    make_field,
)


@dataclass(frozen=True)
class FieldSampler:
    """Samples the field of a normalizer over tiles.

    Attributes:
        plan: how the image is cut.
        normalizer: from table to field.
        ring: the cells' statistics.
        whole: gives the statistics of the thumbnail, one cell, where tiles `need_whole`.
    """

    plan: TilePlan
    normalizer: Normalizer
    ring: StatisticsRing
    whole: Callable[[], Moments | None]

    def over(self, tiles: Sequence[Tile], device: torch.device) -> "BatchFields":
        """The fields of a batch of tiles, on a device."""
        return BatchFields(self, tiles, device)

    def need_whole(self, tiles: Sequence[Tile]) -> bool:
        """Whether fields of some tiles depend on the statistics of the thumbnail."""
        if isinstance(self.normalizer, TIN):
            return True
        return not all(self.ring.complete(*self.window(tile)) for tile in tiles)

    def table(self, call: int, tile: Tile) -> StatisticsTable:
        """The window of the table of one norm call that a tile's field depends on."""
        if isinstance(self.normalizer, TIN):
            whole = self.whole()
            if whole is None:
                raise ValueError("the thumbnail's statistics are not there")
            mean, std = whole.mean[call][None], whole.std[call][None]
            return StatisticsTable(mean, std, torch.ones((1, 1), dtype=torch.bool))
        window = r0, _, c0, _ = self.window(tile)
        fallback = None if self.ring.complete(*window) else self.whole()
        table = self.ring.window(call, *window, fallback)
        if self.plan.mirrored and isinstance(self.normalizer, DN):
            cell = self.plan.grid.cell
            table = fill_from_centre(table, tile.core.y // cell - r0, tile.core.x // cell - c0)
        return table

    def window(self, tile: Tile) -> tuple[int, int, int, int]:
        """Rows `r0..r1` and columns `c0..c1` of the cells that a tile's field depends on."""
        if isinstance(self.normalizer, TIN):
            return 0, 1, 0, 1
        grid, box, reach = self.plan.grid, tile.field, self.normalizer.reach
        return (
            *grid.rows_within(box.y, box.y + box.h, reach),
            *grid.cols_within(box.x, box.x + box.w, reach),
        )

    @property
    def columns(self) -> int:
        """Columns of cells that a tile's field depends on, at most."""
        if isinstance(self.normalizer, TIN):
            return 1
        plan = self.plan
        touched = -(-(plan.tile + 2 * plan.halo * (not plan.mirrored)) // plan.grid.cell) + 1
        return min(touched + 2 * self.normalizer.reach, plan.grid.cols)

    def weights(self, tile: Tile, h: int, w: int) -> tuple[Tensor, Tensor]:
        """Weights of the window's cells for h x w features, [h, r] and [w, q] float64.

        Feature i of n that lie over `start..start + length` px has its centre at
        start + (i + 1/2) * length / n: half-pixel centres at every resolution.
        """
        r0, r1, c0, c1 = self.window(tile)
        grid, box = self.plan.grid, tile.field
        if isinstance(self.normalizer, TIN):
            rows = cols = 1
        else:
            rows, cols = grid.rows, grid.cols
        y = (box.y + (torch.arange(h, dtype=torch.float64) + 0.5) * box.h / h) / grid.cell
        x = (box.x + (torch.arange(w, dtype=torch.float64) + 0.5) * box.w / w) / grid.cell
        return (
            self.normalizer.weights(y, rows)[:, r0:r1],
            self.normalizer.weights(x, cols)[:, c0:c1],
        )


class BatchFields:
    """The fields of a batch of tiles; a `FieldSource` for the norm layers.

    Weights depend on the size of a feature map, not on its layer, and are made once per size.
    """

    def __init__(self, sampler: FieldSampler, tiles: Sequence[Tile], device: torch.device) -> None:
        self._sampler = sampler
        self._device = device
        self._tiles = tiles
        self._weights: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = {}

    @property
    def columns(self) -> int:
        """See `FieldSource`."""
        return self._sampler.columns

    def field(self, call: int, sample: int, h: int, w: int) -> Field:
        """See `FieldSource`."""
        tile = self._tiles[sample]
        table = self._sampler.table(call, tile).to(self._device)
        key = (sample, h, w)
        if key not in self._weights:
            rows, cols = self._sampler.weights(tile, h, w)
            self._weights[key] = rows.to(table.mean), cols.to(table.mean)
        return make_field(self._sampler.normalizer, table, *self._weights[key])
