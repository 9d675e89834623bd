"""What the streaming loop streams."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from uhrtranslate.geometry import Tile, TilePlan
from uhrtranslate.io import Pixels


class Transform(Protocol):
    """Something that turns an image into another one of the same size, tile by tile.

    The loop calls `observe` for rows of cells from top to bottom, as many as `rows_needed` asks
    for, and `apply` for the tiles of each band. A transform without statistics needs no rows. Both
    take iterables, so that a transform may work on several items at once.

    Attributes:
        plan: how the image is cut.
    """

    @property
    def plan(self) -> TilePlan: ...  # noqa: D102

    def rows_needed(self, y0: int, y1: int) -> int:
        """Rows of cells, from the top, to be observed before the band `y0 <= y < y1`."""
        ...

    def first_row(self, y: int) -> int:
        """The first row of cells that bands from pixel row `y` on depend on."""
        ...

    def observe(self, row: int, batches: Iterable[Sequence[Pixels | None]]) -> None:
        """Take note of the cells of a row.

        Args:
            row: its number.
            batches: all its cells in order, [cell, cell, 3] each; None for a cell that a mask
                skips, so that it has no statistics.
        """
        ...

    def apply(
        self, batches: Iterable[tuple[Sequence[Tile], Sequence[Pixels]]]
    ) -> Iterator[list[Pixels]]:
        """Compute batches of tiles of equal shape, in order.

        Args:
            batches: tiles of one band, and the pixels of each tile's `source`, [h, w, 3].

        Yields:
            The pixels of each tile's `core`, [h, w, 3].
        """
        ...

    def forget_above(self, y: int) -> None:
        """Nothing above pixel row `y` will be asked for again."""
        ...
