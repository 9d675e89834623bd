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
from uhrtranslate.geometry import Box, CellGrid, spans
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

    def forward(self, x: Array, action: Action) -> Tensor:
        """The output of some input, [n, c, h, w], with norm layers that do as `action` says."""
        switch = replace_norms(self.module)
        precise = self.dtype == torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, self.dtype, enabled=not precise),
            switch.doing(action),
        ):
            return self.run(torch.from_numpy(np.ascontiguousarray(x)).to(self.device))


class DenseImage:
    """What a network makes of one image, computed where it is asked for.

    Args:
        dense: the network.
        read: gives the input.
        width, height: of the input; multiples of `dense.down`.
        normalizer: makes fields of tables; one that looks a few cells around.
        batch: cells that are computed together.
    """

    def __init__(
        self,
        dense: Dense,
        read: Read,
        width: int,
        height: int,
        normalizer: Normalizer,
        batch: int = 4,
    ) -> None:
        self._dense, self._read, self._batch = dense, read, batch
        self._grid = CellGrid(width, height, dense.cell)
        self._normalizer = normalizer
        self._rows: dict[int, _Row] = {}

    def bands(self, tile: int) -> Iterator[Array]:
        """The output, in bands of whole rows from top to bottom, [c', h', w'] float32 each.

        Args:
            tile: side of the input that is computed at once, a multiple of `down`.
        """
        for y0, y1 in spans(self._grid.height, tile):
            boxes = (Box(x0, y0, x1 - x0, y1 - y0) for x0, x1 in spans(self._grid.width, tile))
            yield np.concatenate([self.part(box) for box in boxes], 2)

    def part(self, inner: Box) -> Array:
        """The output of a box of the input, [c', h', w'] float32.

        Rows of cells are recorded when a box first needs them, and forgotten when one lies below
        them: boxes that come from top to bottom record each row once.

        Args:
            inner: inside the image; begins and ends at multiples of `down`.
        """
        dense, grid, reach = self._dense, self._grid, self._normalizer.reach
        box = self._around(inner)
        first, end = grid.rows_within(box.y, box.y + box.h, reach)
        for row in [one for one in self._rows if one < first]:
            del self._rows[row]
        for row in range(first, end):
            if row not in self._rows:
                self._rows[row] = self._record(row)
        window = [self._rows[row] for row in range(first, end)]
        left, right = grid.cols_within(box.x, box.x + box.w, reach)
        tables = tuple(
            _table([row[call] for row in window], left, right) for call in range(len(window[0]))
        )
        fields = TileFields(self._normalizer, grid, box, (first, left), tables)
        source = BatchFields([fields], dense.device)
        pixels = self._read(box.x, box.y, box.w, box.h)
        made = dense.forward(pixels[None], Applier(source))[0]
        top, start, h, w = (
            one * dense.up // dense.down
            for one in (inner.y - box.y, inner.x - box.x, inner.h, inner.w)
        )
        found: Array = made[:, top : top + h, start : start + w].float().cpu().numpy()
        return found

    def _record(self, row: int) -> _Row:
        """What norm layers see of the cells of a row; beyond the image it is reflected."""
        grid, found = self._grid, list[Recorder]()
        for start, end in spans(grid.cols, self._batch):
            boxes = [grid.box(row, col) for col in range(start, end)]
            found.append(Recorder())
            cells = np.stack([_reflected(self._read, grid, box) for box in boxes])
            self._dense.forward(cells, found[-1])
        return [
            (
                torch.cat([one.mean[call] for one in found]),
                torch.cat([one.std[call] for one in found]),
            )
            for call in range(len(found[0].mean))
        ]

    def _around(self, box: Box) -> Box:
        """A box with its halo, as far as that is inside the image; it begins where pixels do."""
        grid, down = self._grid, self._dense.down
        halo = -(-self._dense.halo // down) * down
        x, y = max(box.x - halo, 0), max(box.y - halo, 0)
        right = min(box.x + box.w + halo, grid.width)
        return Box(x, y, right - x, min(box.y + box.h + halo, grid.height) - y)


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
