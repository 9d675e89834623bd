"""What recipes share whose pixels depend on their own colour alone."""

from typing import ClassVar, Self

from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.io import SlideView

# Side of what is worked on at once in px; there is nothing that a tile could change.
TILE = 1024


class ColourRecipe:
    """The part of a `Recipe` that is the same for all of them."""

    deep: ClassVar[bool] = False
    bits: int = 8

    def prepared(self, view: SlideView) -> Self:
        """See `Recipe`; there is nothing to prepare."""
        return self

    def batch(self, plan: TilePlan) -> int:
        """See `Recipe`."""
        return 1

    def plan(self, width: int, height: int) -> TilePlan:
        """See `Recipe`."""
        return TilePlan(CellGrid(width, height, TILE), TILE, 0, 1)
