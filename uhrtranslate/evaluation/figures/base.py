"""The base of all groups of figures: titles, needs, and computation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from uhrtranslate.evaluation.images import Partner
from uhrtranslate.evaluation.made import Made
from uhrtranslate.evaluation.patches import Populations, Setup
from uhrtranslate.evaluation.seams import SeamReport
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.metrics.planes import Halo
from uhrtranslate.report import Group

Figures = dict[str, Any]
# Sums over pixels; those of several areas are added with +.
Sums = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Area:
    """A part of an image, and the same part of its partners.

    Attributes:
        pixels: [h, w, 3] uint8.
        partners: of the same shape; only those that figures need.
        halo: px on the left, top, right and bottom that belong to neighbouring areas.
        image: that it is a part of.
        place: x and y of its first own pixel in the image.
    """

    pixels: Pixels
    partners: Mapping[Partner, Pixels]
    halo: Halo
    image: "Evaluated"
    place: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An open image that is being evaluated.

    Attributes:
        view: of the image.
        partners: views of the same size: those that the user named.
        seams: what was found at its borders.
        cell: px between its borders, or a default if there are none.
        made: what its tags say.
    """

    view: SlideView
    partners: Mapping[Partner, SlideView]
    seams: SeamReport
    cell: int
    made: Made


class Figure:
    """A group of figures that are computed together; each member of `tables.FIGURES` is one.

    A member overrides `sums` and `of_image`, or `of_image` alone, or `of_all`.

    Attributes:
        group: how they are shown.
        needs: partners that an image must have; without them, these figures are left out.
        wants: partners that are used if they are there.
        areas: what `sums` is called with: blocks (with a halo), cells (squares between the image's
            borders, without a halo), or nothing.
        of_channels: whether images of channels that are no colours have these figures.
    """

    group: ClassVar[Group]
    needs: ClassVar[tuple[Partner, ...]] = ()
    wants: ClassVar[tuple[Partner, ...]] = ()
    areas: ClassVar[Literal["blocks", "cells"] | None] = None
    of_channels: ClassVar[bool] = False

    def __init__(self, setup: Setup) -> None:
        """Read what is needed for all images.

        Raises:
            UhrError: a file cannot be read.
        """
        self.setup = setup

    @property
    def wanted(self) -> bool:
        """Whether the options ask for it; most figures are measured wherever they can be."""
        return True

    def sums(self, area: Area) -> Sums:
        """Sums over the pixels of one area; called by several threads at once."""
        return ()

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """Figures of one image, by name: numbers, strings or None, fit for JSON.

        `sums` are those over all areas of the image.
        """
        return {}

    def of_all(self, images: Populations) -> Figures:
        """Figures of all images together, made from patches drawn from them.

        Raises:
            UhrError: no patch can be cut.
        """
        return {}
