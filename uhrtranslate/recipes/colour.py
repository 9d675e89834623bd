"""What recipes share whose pixels depend on their own colour alone."""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from uhrtranslate.engine import Clock, ColourTransform
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.recipes.recipe import ImagePlan

# Side in px of what is worked on at once; it changes nothing in the result.
TILE = 1024


class ColourRecipe:
    """The part of a `Recipe` that all of them share."""

    bits_in: ClassVar[int] = 8
    bits_out: int = 8

    def plan(self, view: SlideView) -> ImagePlan:
        """See `Recipe`."""
        tiles = TilePlan(CellGrid(view.width, view.height, TILE), TILE, 0, 1)

        def transform(clock: Clock) -> ColourTransform:
            return ColourTransform(tiles, self.mapping(view))

        return ImagePlan(
            tiles, 1, self.provenance(), self.note(view), transform, beside=self.beside()
        )

    def mapping(self, view: SlideView) -> Callable[[Pixels], Pixels]:
        """What becomes of pixels [h, w, 3] of a view; found out by reading it.

        Raises:
            Skipped: the view is left out on purpose.
        """
        raise NotImplementedError

    def provenance(self) -> Mapping[str, Any]:
        """See `ImagePlan`."""
        raise NotImplementedError

    def beside(self) -> Mapping[str, Any]:
        """See `ImagePlan`."""
        return {}

    def note(self, view: SlideView) -> str:
        """See `ImagePlan`."""
        raise NotImplementedError
