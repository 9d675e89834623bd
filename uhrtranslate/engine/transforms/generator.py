"""The generator as a transform: records statistics of cells, then computes tiles with fields."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from uhrtranslate.engine.forward.actions import (
    AS_TRAINED,
    PUBLISHED_CELL,
    PUBLISHED_THUMBNAIL,
    MomentRule,
)
from uhrtranslate.engine.forward.glass import (
    box_of_stain,
    boxes_of_stain,
    glass_share,
    is_all_glass,
    whitened,
)
from uhrtranslate.engine.forward.memory import in_parts
from uhrtranslate.engine.forward.runner import GeneratorRunner
from uhrtranslate.engine.statistics.fields import BatchFields, TileFields
from uhrtranslate.engine.statistics.moments import Moments, joined
from uhrtranslate.engine.statistics.pooled_rows import Shares
from uhrtranslate.engine.statistics.tables import Tables
from uhrtranslate.engine.stream.clock import Clock
from uhrtranslate.engine.stream.lanes import Lanes
from uhrtranslate.engine.stream.transform import Recorded, Transform
from uhrtranslate.geometry import Box, Tile, TilePlan
from uhrtranslate.io import Pixels
from uhrtranslate.models import GeneratorInfo
from uhrtranslate.normalizers import Normalizer

# Tiles of equal shape, their pixels, and their fields if norm layers need any.
Batch = tuple[Sequence[Tile], Sequence[Pixels], Sequence[TileFields] | None]

# A cell whose pixels vary less than this (std in grey levels, in every channel) is flat: bare
# glass with at most a speck, or the empty part of a scan. Its 1/std would be huge and distort
# neighbours that interpolate towards it, so its statistics count as missing. Measured on an Aperio
# slide, cells of 256 px: glass 1 to 4, glass with specks up to 8, half a cell of tissue 40. Of a
# slide that uses a part of its range, it is that part of it.
FLAT_STD = 8.0


class GeneratorTransform(Transform):
    """A generator whose norm layers follow a normalizer; a `Transform`.

    In the context geometry statistics are defined as the generator was trained (biased variance,
    the layer's eps); in the mirrored geometry as the public code of the methods does.

    Args:
        lanes: the generator on each of its devices; other images may use them at the same time.
        normalizer: turns tables into fields.
        plan: how the image is cut.
        thumbnail: makes a small picture of the whole image, [h, w, c] with sides that are
            multiples of the stride; called at most once, by TIN or if a cell is missing.
        clock: measures how long devices work.
        shares: makes the share of tissue of each cell, [rows, cols] in 0..1; called at most once,
            if the normalizer weighs cells by it. None: everything is tissue.
        stack: makes the generator's input, [h, w, c], of the image's pixels, as `to_input` takes
            it; must be thread-safe.
        bits: of the result; see `GeneratorRunner.to_pixels`.
        contrast: the part of the range of values that the whole slide uses, in 0..1; called if a
            cell might be flat.
        white_glass: whether the result is white where the source is bare glass; for pictures only.
    """

    def __init__(
        self,
        lanes: Lanes[GeneratorRunner],
        normalizer: Normalizer,
        plan: TilePlan,
        thumbnail: Callable[[], Pixels],
        clock: Clock | None = None,
        stack: Callable[[Pixels], Pixels] = lambda pixels: pixels,
        shares: Callable[[], Shares] | None = None,
        bits: int = 8,
        contrast: Callable[[], float] = lambda: 1.0,
        white_glass: bool = False,
    ) -> None:
        self.plan = plan
        self._white_glass = white_glass
        self._contrast = contrast
        self._bits = bits
        self._stack = stack
        runner = lanes.devices[0]
        self._device = runner.device
        self._lanes = lanes
        self._clock = clock or Clock()
        self._thumbnail = thumbnail
        self._tables = Tables(plan, normalizer, shares)
        self._last: tuple[int, list[bool], Moments | None] = -1, [], None
        # Generators without instance norm (such as batch norm in eval mode) need no statistics, and
        # a tile that is its own cell needs no second forward, since plain instance normalization
        # computes its own statistics.
        self._plain = runner.switch.layers == 0 or (normalizer.own_cell and plan.mirrored)
        observes = not self._plain and normalizer.source == "cells"
        self.reach = normalizer.look_ahead(plan.grid.rows) if observes else None

    def observe(self, row: int, batches: Iterable[Sequence[Pixels | None]]) -> None:
        """See `Transform`; flat cells are left out."""
        valid: list[bool] = []

        def forwarded() -> Iterator[list[Pixels]]:
            for batch in batches:
                made = [None if cell is None else self._stack(cell) for cell in batch]
                kept = [
                    None if cell is None or is_flat(cell, self._contrast) else cell for cell in made
                ]
                valid.extend(cell is not None for cell in kept)
                if any(valid[-len(kept) :]):
                    yield [cell for cell in kept if cell is not None]

        rule = PUBLISHED_CELL if self.plan.mirrored else AS_TRAINED
        mirror = self.plan.halo if self.plan.mirrored else 0
        parts = list(self._lanes.map(partial(self._record, rule, mirror), forwarded()))
        self._last = row, valid, joined(parts) if parts else None
        self._tables.put(*self._last)

    def recorded(self, row: int) -> Recorded:
        """See `Transform`; only of the row that was observed last."""
        last, valid, moments = self._last
        if last != row:
            raise ValueError(f"row {row} was not observed last")
        return {"valid": np.array(valid), **({} if moments is None else moments.arrays())}

    def restore(self, row: int, recorded: Recorded) -> None:
        """See `Transform`."""
        valid = [bool(one) for one in recorded["valid"]]
        moments = Moments.of_arrays(recorded).to(self._device) if any(valid) else None
        self._tables.put(row, valid, moments)

    def apply(
        self, batches: Iterable[tuple[Sequence[Tile], Sequence[Pixels]]]
    ) -> Iterator[list[Pixels]]:
        """See `Transform`."""
        if self._plain:
            return self._lanes.map(self._translate, ((*batch, None) for batch in batches))
        return self._lanes.map(self._translate, map(self._with_fields, batches))

    def forget_above(self, row: int) -> None:
        """See `Transform`."""
        self._tables.drop_above(row)

    def constants(self) -> Moments:
        """The statistics of every pixel, as of one cell, for a normalizer that is `uniform`.

        All cells must have been observed, if there is a `reach`.
        """
        if self._plain:
            return Moments((), ())
        height, width = self.plan.grid.height, self.plan.grid.width
        self._complete([self.plan.tile_over(Box(0, 0, width, height), 0, height)])
        return self._tables.constants()

    def _with_fields(self, batch: tuple[Sequence[Tile], Sequence[Pixels]]) -> Batch:
        tiles, pixels = batch
        self._complete(tiles)
        return tiles, pixels, self._tables.fields(tiles)

    def _complete(self, tiles: Sequence[Tile]) -> None:
        """Record the thumbnail's statistics if the fields of some tiles need them."""
        if self._tables.lack_thumbnail(tiles):
            rule = PUBLISHED_THUMBNAIL if self.plan.mirrored else AS_TRAINED
            (found,) = self._lanes.map(
                partial(self._record, rule, 0), [[self._stack(self._thumbnail())]]
            )
            self._tables.put_thumbnail(found)

    # The work of the lanes.

    def _record(
        self, rule: MomentRule, mirror: int, runner: GeneratorRunner, cells: Sequence[Pixels]
    ) -> Moments:
        with self._clock.at_work("statistics of cells"):
            parts = in_parts(
                cells, lambda some: [runner.record(runner.to_input(some, mirror), rule)]
            )
            return joined(parts).to(self._device)

    def _translate(self, runner: GeneratorRunner, batch: Batch) -> list[Pixels]:
        tiles, pixels, fields = batch

        def translate(some: Sequence[int]) -> list[Pixels]:
            stacked = [self._stack(pixels[i]) for i in some]
            crops = [tiles[i].crop for i in some]
            if self._white_glass and all(map(is_all_glass, stacked)):
                return _white(runner, crops, self._bits)
            x = runner.to_input(stacked, tiles[0].mirror)
            part = _around(crops)
            of_some = [fields[i] for i in some] if fields is not None else None
            compute = partial(_compute, runner, x, of_some)
            if self._white_glass:
                share = glass_share(x, runner.info.value_range)[..., *part.slices]
                # Without stages, or if tiles have statistics of their own, a part costs all of it.
                cheaper = of_some is not None and bool(runner.stages)
                boxes = _worth_computing(share, self.plan.halo if cheaper else None)
                y = _on_white(compute, part, boxes, share, runner.info)
            else:
                y = compute(part)
            # Converted together, so as to wait for a GPU only once per batch.
            done = runner.to_pixels(y, self._bits)
            inside = [tuple(map(_moved, crop, (-part.y, -part.x))) for crop in crops]
            return [made[crop] for made, crop in zip(done, inside, strict=True)]

        with self._clock.at_work("tiles"):
            return in_parts(range(len(tiles)), translate)


def _compute(
    runner: GeneratorRunner, x: Tensor, fields: Sequence[TileFields] | None, part: Box
) -> Tensor:
    """A part of the result of x, [n, c, part.h, part.w] float32."""
    if fields is None:
        return runner.plain(x)[..., *part.slices]
    return runner.normalize_part(x, BatchFields(fields, runner.device), part)


def _white(
    runner: GeneratorRunner, crops: Sequence[tuple[slice, slice]], bits: int
) -> list[Pixels]:
    """White pixels for the crops of some tiles, as the generator's would be."""
    white = torch.full((1, runner.info.out_channels, 1, 1), runner.info.value_range[1])
    (dot,) = runner.to_pixels(white, bits)
    sizes = [[span.stop - span.start for span in crop] for crop in crops]
    return [np.broadcast_to(dot, (*size, dot.shape[-1])).copy() for size in sizes]


def _worth_computing(share: Tensor, halo: int | None) -> list[Box]:
    """Parts of a batch outside of which all is glass, by its share [n, 1, h, w].

    Args:
        share: of glass.
        halo: of each part, in px; None if one costs as much as all.
    """
    if share.device.type != "cpu":  # to ask a GPU what is glass would be to wait for it
        return [Box(0, 0, share.shape[-1], share.shape[-2])]
    if halo is not None:
        return boxes_of_stain(share, halo)
    box = box_of_stain(share)
    return [] if box is None else [box]


def _on_white(
    compute: Callable[[Box], Tensor],
    part: Box,
    boxes: Sequence[Box],
    share: Tensor,
    info: GeneratorInfo,
) -> Tensor:
    """A part of a result, white where the source is glass.

    Args:
        compute: gives a part of what the generator makes.
        part: of the batch.
        boxes: of that part, outside of which nothing is computed, as it is glass.
        share: of glass, [n, 1, part.h, part.w].
        info: of the generator.
    """
    white = info.value_range[1]
    y = torch.full((len(share), info.out_channels, part.h, part.w), white, device=share.device)
    for box in boxes:
        stained = share[..., *box.slices]
        made = compute(Box(part.x + box.x, part.y + box.y, box.w, box.h))
        y[..., *box.slices] = whitened(made, stained, white)
    return y


def _around(crops: Sequence[tuple[slice, slice]]) -> Box:
    """The smallest part of tiles that has the crops of all."""
    top, left = (min(crop[axis].start for crop in crops) for axis in (0, 1))
    bottom, right = (max(crop[axis].stop for crop in crops) for axis in (0, 1))
    return Box(left, top, right - left, bottom - top)


def _moved(span: slice, by: int) -> slice:
    return slice(span.start + by, span.stop + by)


def is_flat(pixels: Pixels, contrast: Callable[[], float] = lambda: 1.0) -> bool:
    """Whether pixels [h, w, c] vary so little that their statistics are meaningless.

    They are uint8, or float32 in 0..1, where a grey level is likewise a 255th. See
    `GeneratorTransform` for the contrast.
    """
    spread = largest_std(pixels)
    return spread < FLAT_STD and spread < FLAT_STD * contrast()


def largest_std(pixels: Pixels) -> float:
    """Standard deviation in grey levels of the channel of [h, w, c] that varies most."""
    if pixels.dtype != np.uint8:
        # In float64, since the range of a dim slide is a small part of its mean.
        stds = [pixels[..., c].std(dtype=np.float64) for c in range(pixels.shape[2])]
        return float(max(stds)) * 255
    # Pillow counts values forty times as fast as numpy adds them up, and a GPU waits for this.
    parts = [pixels] if pixels.shape[2] == 3 else [pixels[..., c] for c in range(pixels.shape[2])]
    found = [Image.fromarray(part).histogram() for part in parts]
    counts = np.reshape(found, (-1, 256)) / pixels[..., 0].size
    values = np.arange(256)
    variance = counts @ values**2 - (counts @ values) ** 2
    return float(np.sqrt(variance.max().clip(0)))
