"""The statistics tables of all norm layers, for the rows of cells in use."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from uhrtranslate.engine.statistics.fields import TileFields
from uhrtranslate.engine.statistics.moments import Moments
from uhrtranslate.engine.statistics.pooled_rows import PooledRows, Row, Shares
from uhrtranslate.geometry import CellGrid, Tile, TilePlan
from uhrtranslate.normalizers import Normalizer, StatisticsTable, fill_from_centre


class Tables:
    """The rows of the tables that are in use; older ones are dropped to save memory.

    For normalizers that give all pixels the same statistics, the table has a single entry.

    Args:
        plan: how the image is cut.
        normalizer: whose tables these are.
        shares: see `PooledRows`; None counts all cells alike.
    """

    def __init__(
        self,
        plan: TilePlan,
        normalizer: Normalizer,
        shares: Callable[[], Shares] | None = None,
    ) -> None:
        image = plan.grid
        whole = CellGrid(image.width, image.height, max(image.width, image.height))
        self._grid = whole if normalizer.uniform else image
        self._plan = plan
        self._normalizer = normalizer
        self._rows: dict[int, Row | None] = {}
        self._pooled: PooledRows | None = None
        if normalizer.around != 0:
            self._pooled = PooledRows(image, normalizer, shares if normalizer.weighs else None)
        self._thumbnail: Moments | None = None

    def put(self, row: int, valid: list[bool], moments: Moments | None) -> None:
        """Store a row of cells.

        Args:
            row: its number.
            valid: for every column, whether the cell has statistics.
            moments: those of the valid cells, from left to right; None if there are none.
        """
        cells = None if moments is None else self._spread(valid, moments)
        if self._pooled:
            self._pooled.put(row, cells)
        else:
            self._rows[row] = cells

    @staticmethod
    def _spread(valid: list[bool], moments: Moments) -> Row:
        """A whole row of cells, of the statistics of the valid ones."""
        mask = torch.tensor(valid)
        # Indices, since with a mask each norm call would wait for the GPU to count what it keeps.
        columns = mask.nonzero()[:, 0].to(moments.mean[0].device, non_blocking=True)

        def spread(compact: Tensor) -> Tensor:
            full = compact.new_ones(len(valid), compact.shape[1])
            return full.index_copy_(0, columns, compact)

        spread_moments = Moments(
            tuple(spread(mean) for mean in moments.mean), tuple(spread(std) for std in moments.std)
        )
        finite = mask.clone()
        finite[mask] = moments.finite().cpu()
        return Row(spread_moments, finite)

    def put_thumbnail(self, moments: Moments) -> None:
        """Store the statistics of a thumbnail of the whole image, one cell."""
        self._thumbnail = moments
        if self._normalizer.source == "thumbnail":
            self.put(0, [True], moments)

    def drop_above(self, row: int) -> None:
        """Forget rows above `row`."""
        for old in [r for r in self._rows if r < row]:
            del self._rows[old]
        if self._pooled:
            self._pooled.drop_above(row)

    def lack_thumbnail(self, tiles: Sequence[Tile]) -> bool:
        """Whether the fields of some tiles need the thumbnail's statistics, which are missing."""
        return self._thumbnail is None and not all(
            self._complete(*self._window(tile)) for tile in tiles
        )

    def fields(self, tiles: Sequence[Tile]) -> list[TileFields]:
        """What the fields of each tile depend on; the rows of cells needed must be stored.

        Raises:
            ValueError: cells are missing, and so are the thumbnail's statistics.
        """
        plan, grid = self._plan, self._grid
        found = []
        for tile in tiles:
            r0, r1, c0, c1 = self._window(tile)
            tables = self._tables(r0, r1, c0, c1)
            if plan.mirrored and self._normalizer.published_fill:
                row, col = tile.core.y // grid.cell - r0, tile.core.x // grid.cell - c0
                tables = [fill_from_centre(table, row, col) for table in tables]
            found.append(TileFields(self._normalizer, grid, tile.field, (r0, c0), tuple(tables)))
        return found

    def constants(self) -> Moments:
        """The statistics of the only entry; see `Normalizer.uniform`."""
        tables = self._tables(0, 1, 0, 1)
        return Moments(tuple(t.mean[0] for t in tables), tuple(t.std[0] for t in tables))

    def _window(self, tile: Tile) -> tuple[int, int, int, int]:
        """Rows `r0..r1` and columns `c0..c1` of the cells that a tile's fields depend on."""
        grid, box, reach = self._grid, tile.field, self._normalizer.reach
        return (
            *grid.rows_within(box.y, box.y + box.h, reach),
            *grid.cols_within(box.x, box.x + box.w, reach),
        )

    def _complete(self, r0: int, r1: int, c0: int, c1: int) -> bool:
        """Whether every cell of a window has statistics, or every entry cells enough."""
        if self._pooled:
            return not self._pooled.lack_fallback(r0, r1)
        rows = [self._rows.get(r) for r in range(r0, r1)]
        return all(row is not None and bool(row.valid[c0:c1].all()) for row in rows)

    def _row(self, row: int) -> Row | None:
        """A row of entries; None if there are none."""
        if self._pooled:
            return self._pooled.entries(row, self._thumbnail)
        return self._rows[row]

    def _tables(self, r0: int, r1: int, c0: int, c1: int) -> list[StatisticsTable]:
        """The tables of all norm calls over rows `r0..r1` and columns `c0..c1` of cells."""
        rows = [self._row(r) for r in range(r0, r1)]
        whole = None if self._complete(r0, r1, c0, c1) else self._thumbnail
        nothing = torch.zeros(c1 - c0, dtype=torch.bool)
        valid = torch.stack([nothing if row is None else row.valid[c0:c1] for row in rows])
        some = whole or next((row.moments for row in rows if row is not None), None)
        if some is None:
            raise ValueError("cells are missing, and so are the thumbnail's statistics")
        tables = []
        for call, like in enumerate(some.mean):
            blank = like.new_ones(c1 - c0, like.shape[1])
            mean = [blank if row is None else row.moments.mean[call][c0:c1] for row in rows]
            std = [blank if row is None else row.moments.std[call][c0:c1] for row in rows]
            fallback = (None, None) if whole is None else (whole.mean[call][0], whole.std[call][0])
            tables.append(StatisticsTable(torch.stack(mean), torch.stack(std), valid, *fallback))
        return tables
