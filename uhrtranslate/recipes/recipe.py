"""What a recipe is: how an image is made of another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from uhrtranslate.engine import Clock, Transform
from uhrtranslate.geometry import TilePlan
from uhrtranslate.io import SlideView
from uhrtranslate.options import ImageOptions


class Skipped(Exception):
    """An input that is left out on purpose; the text says why."""


@dataclass(frozen=True)
class ImagePlan:
    """All that a recipe decides for one image before any of it is computed.

    Attributes:
        tiles: how the image is cut.
        batch: how many tiles are computed together.
        provenance: how the result is made, as JSON values: names, digests, settings. The result
            carries it in its description.
        note: the same in a few words for people.
        transform: makes what is done to the image; raises `Skipped` if nothing is to be done, and
            `UhrError` if it cannot be done.
        devices: where it is computed.
        beside: what the result's bytes depend on beside provenance, tiles, devices and options.
    """

    tiles: TilePlan
    batch: int
    provenance: Mapping[str, Any]
    note: str
    transform: Callable[[Clock], Transform]
    devices: tuple[torch.device, ...] = ()
    beside: Mapping[str, Any] = field(default_factory=dict)


class Recipe(Protocol):
    """How an image is made of another.

    Attributes:
        options: those that all recipes have.
        suffix: what names of results end with before the format's ending, such as `dn`.
        bits_in: the most bits per channel that it takes; inputs with more are scaled down to 8.
        bits_out: bits per channel of results, 8 or 16.
    """

    @property
    def options(self) -> ImageOptions: ...  # noqa: D102

    @property
    def suffix(self) -> str: ...  # noqa: D102

    @property
    def bits_in(self) -> int: ...  # noqa: D102

    @property
    def bits_out(self) -> int: ...  # noqa: D102

    def plan(self, view: SlideView) -> ImagePlan:
        """Decide how a view is worked on.

        Raises:
            UhrError: the recipe does not fit the image.
        """
        ...
