"""Overlapping tiles of a canvas, and how much each counts where (PathUp, ACM MM 2024).

The paper's weight of a pixel p, q in a tile of side L with centre p', q' is
w = 1 - max(|p - p'|, |q - q'|) / L with pixels taken at their centres: 1 in the middle, 1/2 at the
edges (as printed, with min and without 1 -, it would be 0 in the middle). A merged pixel is
sum(w x) / sum(w) over the tiles that cover it.
"""

from dataclasses import dataclass, replace

import numpy as np

from uhrtranslate.geometry.windows.centre import centre
from uhrtranslate.geometry.windows.ramps import Window, WindowOf


@dataclass(frozen=True)
class Tiling:
    """Square tiles that cover a canvas; the last of a row or column is moved inwards.

    Attributes:
        height, width: of the canvas, at least `side`.
        side: of a tile.
        overlap: that neighbours share at least, less than `side`.
        window: weights of a tile of some height, width and overlap, a member of `tables.BLENDS`;
            the paper's by default.

    Raises:
        ValueError: the canvas is smaller than a tile, or the overlap is not.
    """

    height: int
    width: int
    side: int
    overlap: int
    window: WindowOf = centre

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.side <= min(self.height, self.width):
            raise ValueError(
                f"tiles of {self.side} that overlap by {self.overlap} on {self.width} x "
                f"{self.height}"
            )

    @property
    def rows(self) -> list[int]:
        """Where the rows of tiles begin."""
        return _starts(self.height, self.side, self.overlap)

    @property
    def columns(self) -> list[int]:
        """Where the columns of tiles begin."""
        return _starts(self.width, self.side, self.overlap)

    def scaled(self, factor: int) -> "Tiling":
        """The same tiles on a canvas of `factor` times as many pixels along each axis."""
        height, width, side, overlap = (
            factor * one for one in (self.height, self.width, self.side, self.overlap)
        )
        return replace(self, height=height, width=width, side=side, overlap=overlap)

    def weights(self) -> Window:
        """Weights of a tile that are not normalized, [side, side] float32."""
        return self.window(self.side, self.side, self.overlap)

    def sums(self, y0: int, y1: int) -> Window:
        """Sum of all tiles' weights in the rows `y0 <= y < y1`, [y1 - y0, width] float32."""
        weights, sums = self.weights(), np.zeros((y1 - y0, self.width), np.float32)
        for top in self.rows:
            first, end = max(top, y0), min(top + self.side, y1)
            if first < end:
                for left in self.columns:
                    sums[first - y0 : end - y0, left : left + self.side] += weights[
                        first - top : end - top
                    ]
        return sums


def _starts(size: int, side: int, overlap: int) -> list[int]:
    return [*range(0, size - side, side - overlap), size - side]
