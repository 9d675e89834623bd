"""What a recipe is: how an image is made of another."""

from typing import Any, Protocol

from uhrtranslate.engine import Clock, Transform
from uhrtranslate.geometry import TilePlan
from uhrtranslate.io import SlideView
from uhrtranslate.options import ImageOptions


class Skipped(Exception):
    """An input that is left out on purpose; the text says why."""


class Recipe(Protocol):
    """How an image is made of another.

    Attributes:
        options: that all tasks have.
        suffix: what the names of results end with, before the format's ending, as `dn`.
        deep: whether it takes pixels of 16 bits; else inputs are scaled to 8.
        bits: of results, 8 or 16.
    """

    @property
    def options(self) -> ImageOptions: ...  # noqa: D102

    @property
    def suffix(self) -> str: ...  # noqa: D102

    @property
    def deep(self) -> bool: ...  # noqa: D102

    @property
    def bits(self) -> int: ...  # noqa: D102

    def prepared(self, view: SlideView) -> "Recipe":
        """This recipe with all decided that depends on the image's pixels."""
        ...

    def plan(self, width: int, height: int) -> TilePlan:
        """How an image of this size is cut."""
        ...

    def batch(self, plan: TilePlan) -> int:
        """Tiles that are computed together."""
        ...

    def transform(self, view: SlideView, plan: TilePlan, clock: Clock) -> Transform:
        """What is done to a view.

        Raises:
            Skipped: nothing, on purpose.
            UhrError: it cannot be done.
        """
        ...

    def how(self) -> dict[str, Any]:
        """How results are made, for their descriptions; of what JSON can hold."""
        ...

    def identity(self, plan: TilePlan) -> dict[str, Any]:
        """What results depend on beside the input and `OF_THE_RESULT`; of what JSON can hold."""
        ...

    def facts(self, plan: TilePlan) -> dict[str, Any]:
        """Fields of `TranslateResult` that this recipe knows."""
        ...

    def note(self, view: SlideView, plan: TilePlan) -> str:
        """How a view is worked on, for people."""
        ...
