"""What is computed in which order: plain values derived from geometry, for an executor to run."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from uhrtranslate.engine.stream.masking import Masking
from uhrtranslate.geometry import Box, Tile, TilePlan

EVERYTHING = Masking()
# Rows of cells that a tile may look ahead for their pixels to be kept until the tile is computed.
# DN and a small kernel do; if a normalizer looks further, keeping them would take much memory.
MOST_KEPT = 2


@dataclass(frozen=True)
class CellRow:
    """A row of cells whose statistics are recorded.

    Attributes:
        row: its number.
        batches: its cells from left to right, grouped by what is computed together; None for a
            cell that is left out.
    """

    row: int
    batches: tuple[tuple[Box | None, ...], ...]


@dataclass(frozen=True)
class Band:
    """A band of the image and everything needed to compute it after the bands above.

    Attributes:
        y0, y1: its pixel rows, `y0 <= y < y1`. Above the start of a schedule are only bands whose
            tiles reach below it; their background is left out, as it is in the result already.
        cells: rows of cells to be recorded first, from top to bottom.
        background: rectangles that are not computed.
        batches: groups of equally shaped tiles that are computed together. Tiles and background
            cover the band once.
        first_cells: the first row of cells whose statistics later bands need.
        first_pixels: the first pixel row that later bands need; if pixels are read twice, that
            their tiles need.
    """

    y0: int
    y1: int
    cells: tuple[CellRow, ...]
    background: tuple[Box, ...]
    batches: tuple[tuple[Tile, ...], ...]
    first_cells: int
    first_pixels: int


@dataclass(frozen=True)
class Schedule:
    """The bands of an image from top to bottom, each row of cells recorded once.

    It depends only on the image's size and the options, never on timing.

    Attributes:
        plan: how the image is cut.
        reach: see `Transform`.
        masking: which cells are computed.
        batch: the most tiles or cells that are computed together.
        recorded: statistics of cells are known already, and no pixels are read for them.
    """

    plan: TilePlan
    reach: int | None
    masking: Masking = EVERYTHING
    batch: int = 1
    recorded: bool = False

    @property
    def reads_twice(self) -> bool:
        """Whether pixels are read once for cells, and again for the tiles that come much later."""
        return self.reach is not None and (self.recorded or self.reach > MOST_KEPT)

    @property
    def tail(self) -> int:
        """Rows at the image's end that are mirrored beyond it, and so are needed until the end."""
        return max(self.plan.grid.cell, self.plan.margin) + 8 * self.plan.stride

    def first_pixels(self, start: int) -> int:
        """The first pixel row that the bands from pixel row `start` on need."""
        start = self.plan.first_band(start)
        first = self.plan.rows_read(start, start + 1)[0]
        if self.reach is None or self.reads_twice:
            return first
        return min(first, self.first_observed(start))

    def first_observed(self, start: int) -> int:
        """The first pixel row of the cells that the bands from pixel row `start` on need."""
        start = self.plan.first_band(start)
        return self._cells(start, start + 1)[0] * self.plan.grid.cell

    def bands(self, start: int = 0, end: int | None = None) -> Iterator[Band]:
        """The bands from pixel row `start` on, at which a band must begin, to row `end`."""
        plan, grid = self.plan, self.plan.grid
        first = plan.first_band(start)
        recorded = self._cells(first, first + 1)[0]
        for y0, y1 in plan.bands(first):
            if end is not None and y0 >= end:
                return
            last = max(recorded, self._cells(y0, y1)[1])
            cells = tuple(self.cell_row(row) for row in range(recorded, last))
            recorded = last
            tiles, background = self.masking.cut(plan, y0, y1)
            first_pixels = plan.rows_read(y1, y1 + 1)[0]
            if recorded and not self.reads_twice:
                first_pixels = min(first_pixels, recorded * grid.cell)
            yield Band(
                y0=y0,
                y1=y1,
                cells=cells,
                background=tuple(background) if y0 >= start else (),
                batches=tuple(_alike(tiles, self.batch)),
                first_cells=self._cells(y1, y1 + 1)[0],
                first_pixels=first_pixels,
            )

    def rows_needed(self, start: int, end: int) -> range:
        """Rows of cells whose statistics the pixel rows from `start` to `end` need."""
        first = self.plan.first_band(start)
        needed = [self._cells(y0, y1) for y0, y1 in self.plan.bands(first) if y0 < end]
        return range(min(one[0] for one in needed), max(one[1] for one in needed))

    def cell_row(self, row: int) -> CellRow:
        """What is recorded of a row of cells."""
        grid = self.plan.grid
        kept = self.masking.kept(row, grid)
        batches = (
            tuple(grid.box(row, col) if kept[col] else None for col in columns)
            for columns in _batches(kept, self.batch)
        )
        return CellRow(row, tuple(batches))

    def _cells(self, y0: int, y1: int) -> tuple[int, int]:
        """First and end of the rows of cells that the band `y0 <= y < y1` needs."""
        if self.reach is None:
            return 0, 0
        return self.plan.grid.rows_within(*self.plan.rows_read(y0, y1), self.reach)


def _batches(kept: Sequence[bool], size: int) -> Iterator[range]:
    """Groups of consecutive columns with `size` kept ones each, or fewer in the last."""
    first = count = 0
    for column, keep in enumerate(kept):
        count += keep
        if count == size:
            yield range(first, column + 1)
            first, count = column + 1, 0
    if first < len(kept):
        yield range(first, len(kept))


def _alike(tiles: Iterable[Tile], size: int) -> Iterator[tuple[Tile, ...]]:
    """Groups of at most `size` consecutive tiles of equal shape."""
    group: list[Tile] = []
    for tile in tiles:
        if group and (len(group) == size or tile.shape != group[0].shape):
            yield tuple(group)
            group = []
        group.append(tile)
    if group:
        yield tuple(group)
