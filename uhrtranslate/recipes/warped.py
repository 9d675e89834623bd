"""Copying a slide as it is seen in another slide's frame."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.io import Pixels, Slide, SlideView
from uhrtranslate.options import ImageOptions
from uhrtranslate.recipes.colour import ColourRecipe
from uhrtranslate.registration import Transform, dump_transform
from uhrtranslate.tables import WARPED


class Warped(ColourRecipe):
    """Writes a slide as a `WarpedSlide` shows it; a `Recipe`.

    Args:
        options: region and resolution (of the fixed slide), format and so on.
        transform: which the slide is seen through.
        name: of the transform's file.
    """

    suffix = WARPED

    def __init__(self, options: ImageOptions, transform: Transform, name: str) -> None:
        self.options = options
        self._transform, self._name = transform, name

    def seen(self, slide: Slide) -> Slide:
        """See `Recipe`."""
        return WarpedSlide(slide, self._transform)

    def mapping(self, view: SlideView, warnings: dict[str, str]) -> Callable[[Pixels], Pixels]:
        """See `ColourRecipe`; the view has been warped already."""
        return lambda pixels: pixels

    def provenance(self) -> Mapping[str, Any]:
        """See `ImagePlan`."""
        steps = json.dumps(dump_transform(self._transform)["steps"])
        return {
            "method": WARPED,
            "fixed": self._transform.fixed.name,
            "transform": self._name,
            "transform_sha256": hashlib.sha256(steps.encode()).hexdigest(),
        }

    def note(self, view: SlideView) -> str:
        """See `ImagePlan`."""
        return f"into the frame of {self._transform.fixed.name}"
