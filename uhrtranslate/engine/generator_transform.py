"""The generator as a transform: statistics of cells, then tiles through fields."""

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
import torch

from uhrtranslate.engine.fields import FieldSampler
from uhrtranslate.engine.layers import (
    AS_TRAINED,
    PUBLISHED_CELL,
    PUBLISHED_THUMBNAIL,
)
from uhrtranslate.engine.runner import GeneratorRunner
from uhrtranslate.engine.statistics import Moments, StatisticsRing
from uhrtranslate.geometry import Tile, TilePlan
from uhrtranslate.io import Pixels
from uhrtranslate.normalizers import TIN, Normalizer, PatchIN

# A cell whose pixels vary less than this (std in grey levels, in every channel) is flat: bare
# glass with a speck at most, or the empty part of a scan. Its 1/std would be huge, and a neighbour
# that interpolates towards it would be blown up; so its statistics count as missing. Measured on
# an Aperio slide, cells of 256 px: glass 1 to 4, glass with specks to 8, half a cell of tissue 40.
FLAT_STD = 8.0


class GeneratorTransform:
    """A generator whose norm layers follow a normalizer; a `Transform`.

    In the context geometry statistics are defined as the generator was trained (biased variance,
    the layer's eps); in the mirrored geometry as the public code of the methods does.

    Args:
        runner: the generator on its device.
        normalizer: from table to field.
        plan: how the image is cut.
        thumbnail: makes a small picture of the whole image, [h, w, 3] uint8 with sides that are
            multiples of the stride; asked for once, by TIN, or when a flat cell is met.
    """

    def __init__(
        self,
        runner: GeneratorRunner,
        normalizer: Normalizer,
        plan: TilePlan,
        thumbnail: Callable[[], Pixels],
    ) -> None:
        self.plan = plan
        self._runner = runner
        self._thumbnail = thumbnail
        self._ring = StatisticsRing(plan.grid.cols)
        self._reach = normalizer.reach
        self._fields = FieldSampler(plan, normalizer, self._ring, lambda: self.whole)
        # Generators without instance norm (batch norm in eval mode, say) need no statistics, and
        # a tile that is its own cell needs no second forward: its own statistics are what plain
        # instance normalization computes.
        self._plain = runner.switch.layers == 0 or (
            isinstance(normalizer, PatchIN) and plan.mirrored
        )
        self._observes = not self._plain and not isinstance(normalizer, TIN)
        self._valid: list[bool] = []
        self._parts: list[Moments] = []

    def rows_needed(self, y0: int, y1: int) -> int:
        """See `Transform`."""
        if not self._observes:
            return 0
        top, bottom = self.plan.rows_read(y0, y1)
        return self.plan.grid.rows_within(top, bottom, self._reach)[1]

    def first_row(self, y: int) -> int:
        """See `Transform`."""
        if not self._observes:
            return 0
        top = self.plan.rows_read(y, y + 1)[0]
        return self.plan.grid.rows_within(top, top + 1, self._reach)[0]

    def observe(self, row: int, cells: Sequence[Pixels | None]) -> None:
        """See `Transform`; flat cells are not forwarded."""
        forwarded = []
        for cell in cells:
            valid = cell is not None and not is_flat(cell)
            self._valid.append(valid)
            if cell is not None and valid:
                forwarded.append(cell)
        if forwarded:
            x = self._runner.to_input(forwarded, self.plan.halo if self.plan.mirrored else 0)
            rule = PUBLISHED_CELL if self.plan.mirrored else AS_TRAINED
            self._parts.append(self._runner.record(x, rule))
        if len(self._valid) == self.plan.grid.cols:
            self._ring.put(row, self._valid, _joined(self._parts))
            self._valid, self._parts = [], []

    def apply(self, tiles: Sequence[Tile], pixels: Sequence[Pixels]) -> list[Pixels]:
        """See `Transform`."""
        x = self._runner.to_input(pixels, tiles[0].mirror)
        if self._plain:
            y = self._runner.plain(x)
        else:
            y = self._runner.normalize(x, self._fields.over(tiles))
        return [
            self._runner.to_pixels(y[i : i + 1, :, *tile.crop])[0] for i, tile in enumerate(tiles)
        ]

    def forget_above(self, y: int) -> None:
        """See `Transform`."""
        if self._observes and y < self.plan.grid.height:
            self._ring.drop_above(self.first_row(y))

    @cached_property
    def whole(self) -> Moments:
        """Statistics of the thumbnail: TIN's table, and the fallback of missing cells."""
        rule = PUBLISHED_THUMBNAIL if self.plan.mirrored else AS_TRAINED
        return self._runner.record(self._runner.to_input([self._thumbnail()]), rule)


def is_flat(pixels: Pixels) -> bool:
    """Whether pixels [h, w, 3] vary so little that statistics of them mean nothing."""
    return bool((np.std(pixels, axis=(0, 1), dtype=np.float32) < FLAT_STD).all())


def _joined(parts: Sequence[Moments]) -> Moments | None:
    """Statistics of consecutive cells in one, or None without any."""
    if not parts:
        return None
    return Moments(
        tuple(torch.cat(mean) for mean in zip(*(part.mean for part in parts), strict=True)),
        tuple(torch.cat(std) for std in zip(*(part.std for part in parts), strict=True)),
    )
