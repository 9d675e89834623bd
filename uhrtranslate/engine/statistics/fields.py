"""The fields of tiles, as values: where statistics, geometry and a normalizer meet."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from uhrtranslate.geometry import Box, CellGrid
from uhrtranslate.normalizers import Field, Normalizer, StatisticsTable, make_field

# Torch computes so many values by one thread. By all of them it would be no faster, and they would
# spin for a while afterwards, on processors that decode and encode for a GPU.
ONE_THREADS = 1 << 15


@dataclass(frozen=True)
class TileFields:
    """Everything that the fields of a tile depend on, so that it can be sent to another process.

    Attributes:
        normalizer: turns tables into fields.
        grid: of the table: the image's cells, or a single one for a thumbnail.
        box: where the tile's features lie, in px of the image.
        first: row and column of the window's first cell.
        tables: for each norm call, the window of the table that the tile depends on.
    """

    normalizer: Normalizer
    grid: CellGrid
    box: Box
    first: tuple[int, int]
    tables: tuple[StatisticsTable, ...]

    def weights(self, h: int, w: int) -> tuple[Tensor, Tensor]:
        """Weights of the window's cells for h x w features, [h, r] and [w, q] float64.

        If n features cover `start..start + length` px, the centre of feature i is at
        start + (i + 1/2) * length / n: half-pixel centres at every resolution.
        """
        (row, col), (rows, cols) = self.first, self.tables[0].valid.shape
        grid, box = self.grid, self.box
        y = (box.y + (torch.arange(h, dtype=torch.float64) + 0.5) * box.h / h) / grid.cell
        x = (box.x + (torch.arange(w, dtype=torch.float64) + 0.5) * box.w / w) / grid.cell
        return (
            self._weights(y, grid.rows, slice(row, row + rows)),
            self._weights(x, grid.cols, slice(col, col + cols)),
        )

    def _weights(self, position: Tensor, cells: int, window: slice) -> Tensor:
        pieces = torch.split(position, max(1, ONE_THREADS // cells))
        return torch.cat([self.normalizer.weights(p, cells)[:, window] for p in pieces])


class BatchFields:
    """The fields of a batch of tiles on a device, made when norm layers ask for them.

    Weights depend on the size of a feature map, not on its layer, and are made once per size.
    """

    def __init__(self, tiles: Sequence[TileFields], device: torch.device) -> None:
        self._tiles = tiles
        self._device = device
        self._weights: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = {}

    @property
    def size(self) -> tuple[int, int]:
        """See `FieldSource`."""
        return self._tiles[0].box.h, self._tiles[0].box.w

    def within(self, part: Box) -> "BatchFields":
        """See `FieldSource`."""
        boxes = [Box(t.box.x + part.x, t.box.y + part.y, part.w, part.h) for t in self._tiles]
        parts = [replace(tile, box=box) for tile, box in zip(self._tiles, boxes, strict=True)]
        return BatchFields(parts, self._device)

    def field(self, call: int, sample: int, h: int, w: int) -> Field:
        """See `FieldSource`."""
        tile = self._tiles[sample]
        table = tile.tables[call].to(self._device)
        key = (sample, h, w)
        if key not in self._weights:
            # Not blocking, so that a GPU does not run out of work in the middle of a forward.
            rows, cols = (
                part.to(self._device, table.mean.dtype, non_blocking=True)
                for part in tile.weights(h, w)
            )
            self._weights[key] = rows, cols
        return make_field(tile.normalizer, table, *self._weights[key])
