"""What the tags of an output of uhrt say about its source and its borders."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from uhrtranslate.evaluation.options import SMALLEST_GRID
from uhrtranslate.io import (
    Slide,
    SlideView,
    Source,
    Stated,
    open_view,
    parsed,
    read_provenance,
    same_size,
)


class Made(BaseModel):
    """How an image was made; without values, an image of which nothing is known.

    Attributes:
        source_size: width and height of its source's level 0 in px, if only a part or another
            resolution of it was translated.
        level, mpp, region, source_mpp: options that it was made with.
        cell: px between the borders of its statistics cells.
        tile, overlap: of tiles that were blended.
        mismatch: how far two tilings of it differ, in grey levels.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    source_size: tuple[int, int] | None = None
    level: int | None = None
    mpp: float | None = None
    region: tuple[int, int, int, int] | None = None
    source_mpp: float | None = None
    cell: int | None = None
    tile: int | None = None
    overlap: int | None = None
    mismatch: float | None = None

    @property
    def spacing(self) -> int | None:
        """Px between borders that may show; None if there are none, or they are too close."""
        spacing = self.cell
        if self.tile is not None and self.overlap is not None:
            spacing = self.tile - self.overlap
        return spacing if spacing is not None and spacing >= SMALLEST_GRID else None

    def same_part(self, slide: Slide, view: SlideView) -> SlideView | None:
        """The part of a slide that this image was made from, at the size of a view of the image.

        Args:
            slide: perhaps the source.
            view: of this image, or of a part of it.

        Returns:
            None if the image was made from all of the slide, or from another.
        """
        if self.source_size != (slide.info.width, slide.info.height):
            return None
        if self.source_mpp is not None:
            Stated(self.source_mpp).of(slide)
        whole = open_view(slide, self.level, self.mpp, self.region)
        size = view.info.width, view.info.height
        if (whole.width, whole.height) != size:
            return None
        x, y, w, h = view.region
        if (w, h) == size == (view.width, view.height):
            return whole
        left, top, across, down = whole.region
        x0, y0 = left + x * across // size[0], top + y * down // size[1]
        box = (
            x0,
            y0,
            max(1, min(round(w * across / size[0]), left + across - x0)),
            max(1, min(round(h * down / size[1]), top + down - y0)),
        )
        return same_size(open_view(slide, None, None, box), view.width, view.height)


def read_made(place: Source) -> Made:
    """What an image's tags say; nothing of images of others."""
    return _made(read_provenance(place))


def made_of(description: str) -> Made:
    """What the description of an image says that is not written yet."""
    return _made(parsed(description))


def _made(values: Mapping[str, Any]) -> Made:
    try:
        return Made.model_validate_json(json.dumps(values))
    except ValidationError:
        return Made()
