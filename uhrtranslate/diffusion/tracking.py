"""Patch-wise timestep tracking: all tiles of a canvas go through a timestep, then are merged.

What is merged are the network's outputs; then the step is taken once (see `schedulers`). Rows come
out from top to bottom as they become final, so that only as many as a tile has are in memory.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from uhrtranslate.diffusion.schedulers import Array, Prediction, Step
from uhrtranslate.diffusion.weights import Tiling
from uhrtranslate.errors import UhrError

Rows = Callable[[int, int], Array]
"""Reads the rows `y0 <= y < y1` of a canvas, [c, y1 - y0, width] float32."""
Tiles = Callable[[Sequence[tuple[int, int]]], Array]
"""Makes the tiles that begin at these y, x, [n, c, side, side] float32."""
Predict = Callable[[Array, int], Array]
"""A network's output for tiles [n, c, side, side] at a timestep."""
# Latents and timesteps and prompts, [n, c, h, w] and [n] and [n], to outputs, [n, c, h, w].
Denoiser = Callable[[Tensor, Tensor, Tensor], Tensor]


def merged(tiling: Tiling, tiles: Tiles, batch: int = 1) -> Iterator[tuple[int, Array]]:
    """Compute all tiles, and add them up by their weights (PathUp, eq. 8).

    Tiles are added from top to bottom and from left to right, whatever the batch. Where there is
    only one tile, the result is exactly its own.

    Args:
        tiling: the tiles.
        tiles: makes them.
        batch: how many are made together.

    Yields:
        The first of some rows, and the rows, [c, rows, width] float32; from top to bottom, together
        all rows.
    """
    side, starts, columns = tiling.side, tiling.rows, tiling.columns
    weights, held = tiling.weights(), None
    for top, end in zip(starts, [*starts[1:], tiling.height], strict=True):
        sums = tiling.sums(top, top + side)
        for first in range(0, len(columns), batch):
            places = columns[first : first + batch]
            for left, tile in zip(places, tiles([(top, x) for x in places]), strict=True):
                if held is None:
                    held = np.zeros((len(tile), side, tiling.width), np.float32)
                held[..., left : left + side] += tile * (weights / sums[:, left : left + side])
        assert held is not None
        yield top, held[:, : end - top].copy()
        held[:, : side - (end - top)] = held[:, end - top :].copy()
        held[:, side - (end - top) :] = 0


def tiles_of(rows: Rows, tiling: Tiling, change: Callable[[Array], Array]) -> Tiles:
    """Tiles made from those of a canvas; its rows are read once for each row of tiles."""
    kept: dict[int, Array] = {}

    def make(places: Sequence[tuple[int, int]]) -> Array:
        top = places[0][0]
        if top not in kept:
            kept.clear()
            kept[top] = rows(top, top + tiling.side)
        return change(np.stack([kept[top][..., x : x + tiling.side] for _, x in places]))

    return make


def advanced(
    rows: Rows,
    tiling: Tiling,
    predict: Predict,
    step: Step,
    prediction: Prediction = "epsilon",
    *,
    before: Rows | None = None,
    noise: Rows | None = None,
    batch: int = 1,
) -> Iterator[tuple[int, Array, Array]]:
    """Take one step on a canvas.

    Args:
        rows: the canvas before it.
        tiling: of the canvas.
        predict: the network; all tiles are given the same timestep.
        step: the step.
        prediction: what the network predicts.
        before: the clean latents that the step before has expected, if `step.past` is not 0.
        noise: one field of noise for all tiles, if `step.noise` is not 0: averaging noise of each
            tile's own would lower the variance where tiles overlap.
        batch: tiles that are predicted together.

    Yields:
        The first of some rows, these rows after the step, and the clean latents that it expected,
        both [c, rows, width] float32.

    Raises:
        UhrError: the network's outputs are not finite.
    """
    tiles = tiles_of(rows, tiling, lambda x: predict(x, step.timestep))
    for y, output in merged(tiling, tiles, batch):
        if not np.isfinite(output).all():
            raise UhrError(
                f"the network's outputs at timestep {step.timestep} are not finite; use "
                "--precision fp32, or another model."
            )
        end = y + output.shape[1]
        x = rows(y, end)
        clean = step.expected(x, output, prediction)
        past = before(y, end) if before and step.past else None
        yield y, step.after(x, clean, past, noise(y, end) if noise and step.noise else None), clean


def guided(
    denoiser: Denoiser,
    prompt: int,
    null: int,
    guidance: float = 1.0,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Predict:
    """A denoiser with a prompt, guided away from what it does without one (Ho & Salimans 2021).

    Args:
        denoiser: the network, on `device`.
        prompt, null: identifiers of the prompt, and of no prompt.
        guidance: 1 asks only with the prompt, 0 only without; more exaggerates the difference.
        device: where it runs.
        dtype: of its convolutions; other than float32 is autocast.
    """
    where = torch.device(device)

    both = guidance not in (0, 1)
    asked = (null, prompt) if both else (prompt if guidance else null,)

    @torch.inference_mode()
    def predict(tiles: Array, timestep: int) -> Array:
        x = torch.from_numpy(np.ascontiguousarray(tiles)).to(where)
        names = torch.tensor(asked, device=where).repeat_interleave(len(x))
        times = torch.full_like(names, timestep)
        with torch.autocast(where.type, dtype, enabled=dtype != torch.float32):
            output = denoiser(torch.cat([x] * len(asked)), times, names).float()
        if both:
            without, with_it = output.chunk(2)
            output = without + guidance * (with_it - without)
        made: Array = output.cpu().numpy()
        return made

    return predict
