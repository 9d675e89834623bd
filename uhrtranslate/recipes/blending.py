"""Tiles that overlap and are blended: how large they are, and how far two tilings differ."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from uhrtranslate.engine import GeneratorRunner, shifted_pair
from uhrtranslate.errors import OptionError
from uhrtranslate.io import Pixels, SlideView
from uhrtranslate.options import TranslateOptions
from uhrtranslate.recipes.precision import probe


@dataclass(frozen=True)
class Blending:
    """How tiles overlap.

    Attributes:
        tile: side of a tile in px, overlap included.
        overlap: px that neighbours share at least.
        period: px of which places and sizes of tiles are multiples.
        blend: a name of `tables.BLENDS`.
    """

    tile: int
    overlap: int
    period: int
    blend: str

    @property
    def note(self) -> str:
        """In a few words, for the user."""
        return f"blended ({self.blend}) over {self.overlap} px"


def choose_blending(options: TranslateOptions, cell: int, period: int) -> Blending:
    """Take what the user chose, else tiles as large as cells, with a quarter of overlap.

    Tiles are near the size that the generator was trained on, as what such a generator does with
    others is anybody's guess; only where the period leaves no room to overlap are they larger.

    Raises:
        OptionError: the numbers do not fit the generator's period.
    """
    tile = options.tile or max(_up(cell, period), 2 * period)
    overlap = options.overlap
    if overlap is None:
        overlap = min(_up(tile // 4, period), tile - period)
        if overlap <= 0:
            raise OptionError(
                f"--tile {tile}: tiles of this generator begin at multiples of {period} px, so "
                f"they overlap only with {2 * period} px or more; --overlap 0 leaves seams."
            )
    for name, value in (("tile", tile), ("overlap", overlap)):
        if value % period:
            raise OptionError(
                f"--{name} {value}: must be a multiple of {period}, the generator's period."
            )
    if overlap >= tile:
        raise OptionError(f"--overlap {overlap}: must be less than the tile, {tile} px.")
    return Blending(tile, overlap, period, options.blend)


def tile_mismatch(
    runner: GeneratorRunner,
    view: SlideView,
    blending: Blending,
    inputs: Callable[[Pixels], Pixels],
) -> float | None:
    """How far two tilings differ on the part of an image with the most contrast.

    Two tiles shifted against each other by half a tile, down and to the right, are translated with
    the same statistics; `inputs` makes the generator's input of their pixels.

    Returns:
        The mean absolute difference where both are, in grey levels; None if the image is one tile.
    """
    tile, period = blending.tile, blending.period
    shift = max(tile // 2 // period, 1) * period
    if max(view.width, view.height) <= tile or shift >= tile:
        return None
    pixels = inputs(probe(view, tile + shift))
    first, second = shifted_pair(runner, pixels, tile, shift)
    difference = first[shift:, shift:].astype(np.int16) - second[:-shift, :-shift]
    return round(float(np.abs(difference).mean()), 2)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
