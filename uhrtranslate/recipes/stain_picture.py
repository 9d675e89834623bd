"""The picture of what a stain normalization did to a slide: titled, labelled, with a legend."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from uhrtranslate.stain import Fit
from uhrtranslate.stain.base import Colours
from uhrtranslate.stain.density import to_density

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# Side in px of each panel, and optical density at a scatter's edge.
SIDE = 384
DENSEST = 2.0
# px around panels, of a line of text, and of what is left of a scatter for its scale.
_GAP, _LINE = 16, 22
_INK, _FAINT, _WARNING = (20, 20, 20), (110, 110, 110), (180, 30, 20)
_STAINS = (("first stain (haematoxylin)", "blue"), ("second stain", "deeppink"))


@dataclass(frozen=True, eq=False)
class Panel:
    """A part of the picture: pixels of a slide, or colours of its tissue as a scatter.

    Attributes:
        title: above it.
        pixels: [h, w, 3] uint8, at most `SIDE` px; None for a scatter.
        colours: [n, 3] uint8, for a scatter.
        fit: whose stains are drawn in the scatter.
    """

    title: str
    pixels: Colours | None = None
    colours: Colours | None = None
    fit: Fit | None = None


def picture_name(slide: Path, taken: Collection[str]) -> str:
    """Name of a slide's picture, which no other has: `a.png`, `a.svs.png`, `a.svs.2.png`."""
    folded = {name.casefold() for name in taken}
    names = (f"{slide.stem}.png", f"{slide.name}.png")
    more = (f"{slide.name}.{number}.png" for number in count(2))
    return next(name for name in chain(names, more) if name.casefold() not in folded)


def stain_picture(title: str, doubts: Sequence[str], panels: Sequence[Panel]) -> Colours:
    """Draw panels side by side, [h, w, 3] uint8.

    Args:
        title: of all.
        doubts: why the fit is implausible, in a few words each.
        panels: from left to right.
    """
    top = _GAP + _LINE * (2 + len(doubts))
    width = len(panels) * (SIDE + _GAP) + _GAP
    picture = Image.new("RGB", (width, top + SIDE + 3 * _LINE + _GAP), "white")
    draw = ImageDraw.Draw(picture)
    large, small = ImageFont.load_default(18), ImageFont.load_default(14)
    draw.text((_GAP, _GAP // 2), title, fill=_INK, font=large)
    for number, doubt in enumerate(doubts, 1):
        draw.text((_GAP, _GAP // 2 + _LINE * number), doubt, fill=_WARNING, font=small)
    for number, panel in enumerate(panels):
        x = _GAP + number * (SIDE + _GAP)
        draw.text((x, top - _LINE), panel.title, fill=_INK, font=small)
        pixels = panel.pixels
        if panel.colours is not None:
            pixels = scatter(panel.colours, panel.fit)
        if pixels is not None:
            picture.paste(Image.fromarray(np.ascontiguousarray(pixels[:SIDE, :SIDE])), (x, top))
        draw.rectangle((x - 1, top - 1, x + SIDE, top + SIDE), outline=_FAINT)
        if panel.colours is not None:
            _scale(draw, x, top, small)
            if panel.fit is not None and len(panel.fit.stains):
                _legend(draw, x, top + SIDE + 2 * _LINE, small)
    return np.asarray(picture)


def scatter(colours: Colours, fit: Fit | None) -> Colours:
    """Plot densities of red (right) and blue (up) with a fit's stains, [SIDE, SIDE, 3] uint8."""
    density = to_density(colours)[:, [0, 2]].clip(0, DENSEST - 1e-6)
    places = (density / DENSEST * SIDE).astype(int)
    count = np.zeros((SIDE, SIDE))
    np.add.at(count, (SIDE - 1 - places[:, 1], places[:, 0]), 1)
    shade = 255 - 255 * np.log1p(count) / max(float(np.log1p(count.max())), 1e-9)
    image = Image.fromarray(np.repeat(shade.astype(np.uint8)[..., None], 3, axis=2))
    if fit is not None:
        draw = ImageDraw.Draw(image)
        for stain, (_, colour) in zip(fit.stains, _STAINS, strict=False):
            reach = SIDE / DENSEST * 1.5
            draw.line((0, SIDE, stain[0] * reach, SIDE - stain[2] * reach), fill=colour, width=2)
    return np.asarray(image)


def _scale(draw: ImageDraw.ImageDraw, x: int, y: int, font: Font) -> None:
    """Names and ends of both axes, inside and below a scatter."""
    draw.text((x + 4, y + 2), f"{DENSEST:g}  blue's optical density (up)", fill=_FAINT, font=font)
    below = "0" + " " * 8 + "red's optical density (right)"
    draw.text((x, y + SIDE + 3), below, fill=_FAINT, font=font)
    draw.text((x + SIDE - 12, y + SIDE + 3), f"{DENSEST:g}", fill=_FAINT, font=font)


def _legend(draw: ImageDraw.ImageDraw, x: int, y: int, font: Font) -> None:
    """Which line is which stain."""
    for name, colour in _STAINS:
        draw.line((x, y + 8, x + 24, y + 8), fill=colour, width=3)
        draw.text((x + 30, y), name, fill=_INK, font=font)
        x += 40 + int(draw.textlength(name, font=font))
