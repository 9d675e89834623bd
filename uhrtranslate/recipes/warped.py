"""Copying a slide as it is seen in another slide's frame."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from uhrtranslate.engine import WarpedSlide
from uhrtranslate.io import Pixels, Slide, SlideView
from uhrtranslate.options import ImageOptions, Sampling
from uhrtranslate.recipes.colour import ColourRecipe
from uhrtranslate.recipes.recipe import ImagePlan
from uhrtranslate.registration import Transform, dump_transform
from uhrtranslate.tables import WARPED


class Warped(ColourRecipe):
    """Writes a slide as a `WarpedSlide` shows it; a `Recipe`.

    Args:
        options: region and resolution (of the fixed slide), format and so on.
        transform: which the slide is seen through.
        name: of the transform's file.
        sampling: of the slide.
    """

    suffix = WARPED

    def __init__(
        self,
        options: ImageOptions,
        transform: Transform,
        name: str,
        sampling: Sampling = "cubic",
    ) -> None:
        self.options = options
        self._transform, self._name, self._sampling = transform, name, sampling

    def plan(self, view: SlideView) -> ImagePlan:
        """See `Recipe`; tiles are only copied, and looking for borders would read all twice."""
        return replace(super().plan(view), seamless=True)

    def seen(self, slide: Slide) -> Slide:
        """See `Recipe`."""
        return WarpedSlide(slide, self._transform, self._sampling)

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
            "sampling": self._sampling,
        }

    def note(self, view: SlideView) -> str:
        """See `ImagePlan`."""
        return f"into the frame of {self._transform.fixed.name}"
