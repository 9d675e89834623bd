"""The base of transforms, which the streaming loop runs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from uhrtranslate.geometry import Tile, TilePlan
from uhrtranslate.io import Pixels

Recorded = Mapping[str, NDArray[Any]]
"""Statistics of a row of cells as arrays, which may be stored."""


class Transform:
    """Something that turns an image into another one of the same size, tile by tile.

    An executor of a `Schedule` calls `observe` for the rows of cells that the schedule lists, and
    `apply` for the tiles of each band. Both take iterables, so that a transform may work on several
    items at once.

    Attributes:
        plan: how the image is cut.
        reach: a tile needs the statistics of the cells it touches and of this many around them;
            None if it needs no statistics of cells.
    """

    plan: TilePlan
    reach: int | None = None

    def observe(self, row: int, batches: Iterable[Sequence[Pixels | None]]) -> None:
        """Record the statistics of a row of cells; by default, there are none.

        Args:
            row: its number.
            batches: all its cells in order, [cell, cell, 3] each; None for a cell that a mask
                skips, which has no statistics.
        """

    def recorded(self, row: int) -> Recorded:
        """The statistics of a row that has been observed, for `restore` of another process.

        Raises:
            NotImplementedError: there are none.
        """
        raise NotImplementedError

    def restore(self, row: int, recorded: Recorded) -> None:
        """Take the statistics of a row, instead of observing it."""
        raise NotImplementedError

    def apply(
        self, batches: Iterable[tuple[Sequence[Tile], Sequence[Pixels]]]
    ) -> Iterator[list[Pixels]]:
        """Compute batches of tiles of equal shape, in order.

        Args:
            batches: tiles of one band, and the pixels of each tile's `source`, [h, w, 3].

        Yields:
            The pixels of each tile's `core`, [h, w, 3].
        """
        raise NotImplementedError

    def forget_above(self, row: int) -> None:
        """Forget the cells above row `row` of cells, which are no longer needed."""
