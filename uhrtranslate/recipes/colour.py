"""Common part of recipes in which a pixel's result depends on its own colour alone."""

from collections.abc import Callable, Mapping
from typing import Any

from uhrtranslate.engine import ColourTransform
from uhrtranslate.geometry import CellGrid, TilePlan
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.recipes.recipe import ImagePlan, Recipe

# Side in px of what is computed at once; it does not affect the result.
TILE = 1024


class ColourRecipe(Recipe):
    """Common part of recipes that map colours; a member adds `options`, `suffix` and the below."""

    def plan(self, view: SlideView) -> ImagePlan:
        """See `Recipe`."""
        tiles = TilePlan(CellGrid(view.width, view.height, TILE), TILE, 0, 1)
        warnings: dict[str, str] = {}
        return ImagePlan(
            tiles,
            1,
            self.provenance(),
            self.note(view),
            lambda clock: ColourTransform(tiles, self.mapping(view, warnings)),
            beside=self.beside(),
            warnings=warnings,
        )

    def mapping(self, view: SlideView, warnings: dict[str, str]) -> Callable[[Pixels], Pixels]:
        """The function for pixels [h, w, 3] of a view; may read the view to find it.

        What may be wrong with the result is added to the warnings, see `ImagePlan`.

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
