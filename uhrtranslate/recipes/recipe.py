"""The base of recipes, which make one image from another."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from uhrtranslate.engine import Clock, Transform
from uhrtranslate.geometry import TilePlan
from uhrtranslate.io import Channel, Slide, SlideView
from uhrtranslate.options import ImageOptions


class Skipped(Exception):
    """An input is left out on purpose; the text says why."""


@dataclass(frozen=True)
class ImagePlan:
    """Everything a recipe decides about an image before computing it.

    Attributes:
        tiles: how the image is cut.
        batch: number of tiles computed together.
        provenance: how the result is made, as JSON values: names, digests, settings. It is stored
            in the result's description.
        note: the same in a few words, for the user.
        transform: makes the transform to stream; raises `Skipped` if there is nothing to do, and
            `UhrError` if it cannot be done.
        devices: where it is computed.
        mismatch: how far two ways to cut the image into tiles differ, in grey levels; None if
            tiles do not matter, or there is only one.
        beside: what the result's bytes depend on besides provenance, tiles, devices and options.
        warnings: what may be wrong with the result, in sentences, by kind. The transform's making
            may add to them.
        seamless: whether tiles cannot show, as nothing is computed by tiles; then the result is
            not searched for their borders.
        work: pixels that are gone over before the first one of the result; for the progress.
    """

    tiles: TilePlan
    batch: int
    provenance: Mapping[str, Any]
    note: str
    transform: Callable[[Clock], Transform]
    devices: tuple[torch.device, ...] = ()
    mismatch: float | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)
    warnings: dict[str, str] = field(default_factory=dict)
    seamless: bool = False
    work: int = 0


class Recipe:
    """Makes one image from another.

    Attributes:
        options: those that all recipes have.
        suffix: end of a result's name before the format's ending, such as `dn`.
        bits_in: the most bits per channel it accepts; inputs with more are scaled down to 8, except
            channels of float32.
        takes_channels: whether sources may have channels that are no colours.
        bits_out: bits per channel of results: 8, 16, or 32 for channels of float32.
        shown: values of these that viewers show as black and as full; None: the type's, or 0 and 1.
        channels: of results that are no colour pictures; empty for RGB.
    """

    options: ImageOptions
    suffix: str
    bits_in: int = 8
    takes_channels: bool = False
    bits_out: int = 8
    channels: tuple[Channel, ...] = ()
    shown: tuple[float, float] | None = None

    def seen(self, slide: Slide) -> Slide:
        """The slide that is worked on, given the one that was opened; usually the same."""
        return slide

    def plan(self, view: SlideView) -> ImagePlan:
        """Decide how to work on a view.

        Raises:
            UhrError: the recipe does not fit the image.
        """
        raise NotImplementedError
