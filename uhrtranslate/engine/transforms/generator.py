"""The generator as a transform: statistics of cells, then tiles through fields."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from PIL import Image

from uhrtranslate.engine.forward.layers import (
    AS_TRAINED,
    PUBLISHED_CELL,
    PUBLISHED_THUMBNAIL,
)
from uhrtranslate.engine.forward.memory import in_parts
from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.engine.statistics.fields import FieldSampler
from uhrtranslate.engine.statistics.tables import Moments, StatisticsRing
from uhrtranslate.engine.stream.clock import Clock
from uhrtranslate.engine.stream.lanes import Lanes
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
        lanes: the generator on each of its devices; other images may use them at the same time.
        normalizer: from table to field.
        plan: how the image is cut.
        thumbnail: makes a small picture of the whole image, [h, w, 3] uint8 with sides that are
            multiples of the stride; asked for once, by TIN, or when a flat cell is met.
        clock: told what the devices do.
    """

    def __init__(
        self,
        lanes: Lanes[GeneratorRunner],
        normalizer: Normalizer,
        plan: TilePlan,
        thumbnail: Callable[[], Pixels],
        clock: Clock | None = None,
    ) -> None:
        self.plan = plan
        runner = lanes.devices[0]
        self._device = runner.device
        # TIN's table, and the fallback of missing cells; see `_prepare`.
        self._whole: Moments | None = None
        self._lock = threading.Lock()
        self._lanes = lanes
        self._clock = clock or Clock()
        self._thumbnail = thumbnail
        self._ring = StatisticsRing(plan.grid.cols)
        self._reach = normalizer.reach
        self._fields = FieldSampler(plan, normalizer, self._ring, lambda: self._whole)
        # Generators without instance norm (batch norm in eval mode, say) need no statistics, and
        # a tile that is its own cell needs no second forward: its own statistics are what plain
        # instance normalization computes.
        self._plain = runner.switch.layers == 0 or (
            isinstance(normalizer, PatchIN) and plan.mirrored
        )
        self._observes = not self._plain and not isinstance(normalizer, TIN)

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

    def observe(self, row: int, batches: Iterable[Sequence[Pixels | None]]) -> None:
        """See `Transform`; flat cells are not forwarded."""
        valid: list[bool] = []

        def forwarded() -> Iterator[list[Pixels]]:
            for batch in batches:
                kept = [None if cell is None or is_flat(cell) else cell for cell in batch]
                valid.extend(cell is not None for cell in kept)
                if any(valid[-len(kept) :]):
                    yield [cell for cell in kept if cell is not None]

        parts = list(self._lanes.map(self._record, forwarded()))
        self._ring.put(row, valid, joined(parts) if parts else None)

    def apply(
        self, batches: Iterable[tuple[Sequence[Tile], Sequence[Pixels]]]
    ) -> Iterator[list[Pixels]]:
        """See `Transform`."""
        return self._lanes.map(self._translate, batches)

    def forget_above(self, y: int) -> None:
        """See `Transform`."""
        if self._observes and y < self.plan.grid.height:
            self._ring.drop_above(self.first_row(y))

    # The work of the lanes.

    def _prepare(self, runner: GeneratorRunner, tiles: Sequence[Tile]) -> None:
        """Make sure that the thumbnail's statistics are there if these tiles need them."""
        with self._lock:
            if self._whole is None and self._fields.need_whole(tiles):
                rule = PUBLISHED_THUMBNAIL if self.plan.mirrored else AS_TRAINED
                found = runner.record(runner.to_input([self._thumbnail()]), rule)
                self._whole = found.to(self._device)

    def _record(self, runner: GeneratorRunner, cells: Sequence[Pixels]) -> Moments:
        mirror = self.plan.halo if self.plan.mirrored else 0
        rule = PUBLISHED_CELL if self.plan.mirrored else AS_TRAINED
        with self._clock.at_work("statistics of cells"):
            parts = in_parts(
                cells, lambda some: [runner.record(runner.to_input(some, mirror), rule)]
            )
            return joined(parts).to(self._device)

    def _translate(
        self, runner: GeneratorRunner, batch: tuple[Sequence[Tile], Sequence[Pixels]]
    ) -> list[Pixels]:
        def translate(some: Sequence[tuple[Tile, Pixels]]) -> list[Pixels]:
            tiles, pixels = [tile for tile, _ in some], [part for _, part in some]
            x = runner.to_input(pixels, tiles[0].mirror)
            if self._plain:
                y = runner.plain(x)
            else:
                self._prepare(runner, tiles)
                y = runner.normalize(x, self._fields.over(tiles, runner.device))
            # In one piece: a GPU is waited for once per batch.
            done = zip(runner.to_pixels(y), tiles, strict=True)
            return [pixels[tile.crop] for pixels, tile in done]

        with self._clock.at_work("tiles"):
            return in_parts(list(zip(*batch, strict=True)), translate)


def is_flat(pixels: Pixels) -> bool:
    """Whether pixels [h, w, 3] vary so little that statistics of them mean nothing."""
    # Pillow counts values forty times as fast as numpy sums them up; a GPU waits for this.
    counts = np.reshape(Image.fromarray(pixels).histogram(), (3, 256)) / pixels[..., 0].size
    values = np.arange(256)
    variance = counts @ values**2 - (counts @ values) ** 2
    return bool((variance < FLAT_STD**2).all())


def joined(parts: Sequence[Moments]) -> Moments:
    """Statistics of consecutive cells, at least one, in one."""
    return Moments(
        tuple(torch.cat(mean) for mean in zip(*(part.mean for part in parts), strict=True)),
        tuple(torch.cat(std) for std in zip(*(part.std for part in parts), strict=True)),
    )
