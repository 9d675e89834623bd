"""Networks whose output is finer or coarser than their input, over images of any size.

Like generators, they are run over the cells of the image first, as they were trained, to learn what
each norm layer sees; then over tiles, whose norm layers apply fields made of that. A tile sees as
much around it as can change its output, so the result does not depend on tiles. The image is read
from top to bottom, and only the rows of cells that fields still need are remembered.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from uhrtranslate.engine.forward.actions import Action, Applier, Recorder
from uhrtranslate.engine.forward.layers import replace_norms
from uhrtranslate.engine.statistics.fields import BatchFields, TileFields
from uhrtranslate.geometry import Box, CellGrid
from uhrtranslate.geometry.cells import reflect
from uhrtranslate.normalizers import Normalizer, StatisticsTable

Array = NDArray[np.float32]
Read = Callable[[int, int, int, int], Array]
"""Reads x, y, w, h inside the image, [c, h, w]."""

_Row = list[tuple[Tensor, Tensor]]
"""Of a row of cells: mean and std at each norm call, [cols, c]."""


@dataclass(frozen=True)
class Dense:
    """A network that is run over images of any size.

    Attributes:
        run: [n, c, h, w] on the device to [n, c', h * up / down, w * up / down].
        module: whose norm layers `run` uses; they are replaced in place.
        up, down: how the size of the output follows that of the input.
        cell: side of the input that the network was trained on.
        halo: how far beyond a place the input can change its output.
        device: where it runs.
        dtype: of its convolutions.
    """

    run: Callable[[Tensor], Tensor]
    module: nn.Module
    up: int
    down: int
    cell: int
    halo: int
    device: torch.device
    dtype: torch.dtype = torch.float32

    def bands(
        self,
        read: Read,
        width: int,
        height: int,
        normalizer: Normalizer,
        tile: int | None = None,
        batch: int = 4,
    ) -> Iterator[Array]:
        """The output, in bands of whole rows from top to bottom, [c', h', w'] float32 each.

        Args:
            read: gives the input.
            width, height: of the input; multiples of `down`.
            normalizer: makes fields of tables; one that looks a few cells around.
            tile: side of what is computed at once, a multiple of `down`; None: a cell.
            batch: cells that are computed together.
        """
        grid = CellGrid(width, height, self.cell)
        side = tile or self.cell
        rows: dict[int, _Row] = {}
        for y in range(0, height, side):
            box = self._around(Box(0, y, width, min(side, height - y)), grid)
            first, end = grid.rows_within(box.y, box.y + box.h, normalizer.reach)
            for row in [one for one in rows if one < first]:
                del rows[row]
            for row in range(first, end):
                if row not in rows:
                    rows[row] = self._record(read, grid, row, batch)
            window = [rows[row] for row in range(first, end)]
            yield self._band(read, grid, normalizer, (y, side), first, window)

    def _band(
        self,
        read: Read,
        grid: CellGrid,
        normalizer: Normalizer,
        place: tuple[int, int],
        first: int,
        window: Sequence[_Row],
    ) -> Array:
        y, side = place
        parts = []
        for x in range(0, grid.width, side):
            inner = Box(x, y, min(side, grid.width - x), min(side, grid.height - y))
            box = self._around(inner, grid)
            left, right = grid.cols_within(box.x, box.x + box.w, normalizer.reach)
            tables = tuple(
                _table([row[call] for row in window], left, right) for call in range(len(window[0]))
            )
            fields = TileFields(normalizer, grid, box, (first, left), tables, grid.cols)
            source = BatchFields([fields], self.device)
            made = self._forward(read(box.x, box.y, box.w, box.h)[None], Applier(source))[0]
            top, start = (self._out(a - b) for a, b in ((y, box.y), (x, box.x)))
            h, w = self._out(inner.h), self._out(inner.w)
            parts.append(made[:, top : top + h, start : start + w].float().cpu())
        band: Array = torch.cat(parts, 2).numpy()
        return band

    def _record(self, read: Read, grid: CellGrid, row: int, batch: int) -> _Row:
        """What norm layers see of the cells of a row; beyond the image it is reflected."""
        found: list[Recorder] = []
        for start in range(0, grid.cols, batch):
            cells = [
                _reflected(read, grid, grid.box(row, col))
                for col in range(start, min(start + batch, grid.cols))
            ]
            found.append(Recorder())
            self._forward(np.stack(cells), found[-1])
        return [
            (
                torch.cat([one.mean[call] for one in found]),
                torch.cat([one.std[call] for one in found]),
            )
            for call in range(len(found[0].mean))
        ]

    def _forward(self, x: Array, action: Action) -> Tensor:
        switch = replace_norms(self.module)
        precise = self.dtype == torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self.dtype, enabled=not precise),
            switch.doing(action),
        ):
            return self.run(torch.from_numpy(np.ascontiguousarray(x)).to(self.device))

    def _around(self, box: Box, grid: CellGrid) -> Box:
        """A box with its halo, as far as that is inside the image; it begins where pixels do."""
        halo = -(-self.halo // self.down) * self.down
        x, y = max(box.x - halo, 0), max(box.y - halo, 0)
        right = min(box.x + box.w + halo, grid.width)
        return Box(x, y, right - x, min(box.y + box.h + halo, grid.height) - y)

    def _out(self, length: int) -> int:
        return length * self.up // self.down


def _table(rows: Sequence[tuple[Tensor, Tensor]], left: int, right: int) -> StatisticsTable:
    mean, std = (torch.stack([row[i][left:right] for row in rows]) for i in (0, 1))
    return StatisticsTable(mean, std, torch.ones(mean.shape[:2], dtype=torch.bool))


def _reflected(read: Read, grid: CellGrid, box: Box) -> Array:
    """The input in a box, continued by reflection beyond the image."""
    ys, xs = reflect(box.y, box.y + box.h, grid.height), reflect(box.x, box.x + box.w, grid.width)
    y, x = int(ys.min()), int(xs.min())
    part = read(x, y, int(xs.max()) + 1 - x, int(ys.max()) + 1 - y)
    whole: Array = part[:, (ys - y)[:, None], (xs - x)[None, :]]
    return whole
