"""What workers are told to do: plain values, with all that they depend on."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from uhrtranslate.io.files.atomic import LockedError
from uhrtranslate.options import ImageOptions
from uhrtranslate.recipes.recipe import Recipe
from uhrtranslate.runs.events import ImageResult, OnEvent
from uhrtranslate.runs.one_image import process_file

# Seconds that a worker may hold on to a slide after the scheduler has lost it.
DYING = 60

Maker = Callable[[ImageOptions], Recipe]
"""Makes a recipe on a worker; a plain value that can be sent."""


class Order(Protocol):
    """Something to be done by one worker."""

    def repeated(self) -> "Order":
        """The same, for another worker, after one that may have begun it."""

    def carry_out(self, tell: OnEvent) -> Any:
        """Do it; the answer must be a plain value.

        Args:
            tell: takes events; it raises `Interrupted` if nobody wants the answer any more.

        Raises:
            Exception: it cannot be done, by any worker.
        """


@dataclass(frozen=True)
class Made:
    """A `Maker` for recipes that are plain values themselves."""

    recipe: Recipe

    def __call__(self, options: ImageOptions) -> Recipe:
        """The recipe."""
        return self.recipe


@dataclass(frozen=True)
class SlideOrder:
    """A slide is to be worked on.

    Attributes:
        source: path or URL.
        target: of the result.
        options: of this slide.
        maker: makes its recipe.
        again: a worker has begun it before, and died.
    """

    source: Path | str
    target: Path
    options: ImageOptions
    maker: Maker
    again: bool = False

    def repeated(self) -> "SlideOrder":
        """See `Order`."""
        return replace(self, again=True)

    def carry_out(self, tell: OnEvent) -> ImageResult:
        """See `Order`; a worker that had the slide before may need a moment to die."""
        recipe, end = self.maker(self.options), time.monotonic() + DYING
        while True:
            try:
                result = process_file(recipe, self.source, self.target, tell, again=self.again)
                wanted = self.options.resume or self.options.skip_existing
                if self.again and not wanted and result.status == "skipped" and result.output:
                    return replace(result, status="done")  # the receipt had been lost
                return result
            except LockedError:
                if time.monotonic() > end or not (self.again or self.options.resume):
                    raise
            time.sleep(1)
