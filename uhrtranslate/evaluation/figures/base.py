"""What every group of figures has: titles, what it needs, and how it is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from uhrtranslate.evaluation.images import Partner
from uhrtranslate.evaluation.patches import Populations, Setup
from uhrtranslate.evaluation.seams import SeamReport
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.metrics.planes import Halo
from uhrtranslate.report import Group

Figures = dict[str, Any]
# Sums over pixels, each of which adds up over areas with +.
Sums = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Area:
    """A part of an image, and the same part of the images it is compared with.

    Attributes:
        pixels: [h, w, 3] uint8.
        partners: of the same shape; those that the figures need.
        halo: px on the left, top, right and bottom that belong to neighbouring areas.
    """

    pixels: Pixels
    partners: Mapping[Partner, Pixels]
    halo: Halo


@dataclass(frozen=True, eq=False)
class Evaluated:
    """An open image that is evaluated.

    Attributes:
        view: of the image.
        partners: views of the same size: source, truth and baseline, as far as the user named them.
        seams: what was found at its borders.
        cell: px between its borders, or what is assumed where none are known.
    """

    view: SlideView
    partners: Mapping[Partner, SlideView]
    seams: SeamReport
    cell: int


class Figure:
    """A group of figures that are computed together; each member of `tables.FIGURES` is one.

    A member overrides `sums` and `of_image`, or `of_image` alone, or `of_all`.

    Attributes:
        group: how they are shown.
        needs: partners that an image must have; without them, it has none of these figures.
        areas: what `sums` is given: blocks (with a halo), cells (squares between the image's
            borders, without a halo), or nothing.
    """

    group: ClassVar[Group]
    needs: ClassVar[tuple[Partner, ...]] = ()
    areas: ClassVar[Literal["blocks", "cells"] | None] = None

    def __init__(self, setup: Setup) -> None:
        """Read what all images need.

        Raises:
            UhrError: it cannot be read.
        """
        self.setup = setup

    def sums(self, area: Area) -> Sums:
        """Sums over the pixels of one area; several threads call this at once."""
        return ()

    def of_image(self, image: Evaluated, sums: Sums) -> Figures:
        """Figures of one image, by name: numbers, strings or None, fit for JSON.

        Args:
            image: open.
            sums: over all its areas.
        """
        return {}

    def of_all(self, images: Populations) -> Figures:
        """Figures of all images together, made of patches that are drawn from them.

        Raises:
            UhrError: there is no patch.
        """
        return {}
