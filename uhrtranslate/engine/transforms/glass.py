"""Bare glass that stays as it is, whatever a generator paints there."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from uhrtranslate.engine.stream.transform import Recorded, Transform
from uhrtranslate.geometry import Tile
from uhrtranslate.io import Pixels, to_bits
from uhrtranslate.pixels import GLASS
from uhrtranslate.stain.base import protect_white


class GlassKept(Transform):
    """A transform to RGB whose result is the source where that is bare glass; a `Transform`.

    Pixels that are nearly glass are changed in part, so there is no edge; see `protect_white`. As
    this depends on each pixel alone, tiles may be blended afterwards.

    Args:
        inner: makes the picture of each tile's `core`, or `shared` part if tiles are blended.
    """

    def __init__(self, inner: Transform) -> None:
        self._inner = inner
        self.plan, self.reach = inner.plan, inner.reach

    def observe(self, row: int, batches: Iterable[Sequence[Pixels | None]]) -> None:
        """See `Transform`."""
        self._inner.observe(row, batches)

    def recorded(self, row: int) -> Recorded:
        """See `Transform`."""
        return self._inner.recorded(row)

    def restore(self, row: int, recorded: Recorded) -> None:
        """See `Transform`."""
        self._inner.restore(row, recorded)

    def apply(
        self, batches: Iterable[tuple[Sequence[Tile], Sequence[Pixels]]]
    ) -> Iterator[list[Pixels]]:
        """See `Transform`."""
        sources: deque[list[Pixels]] = deque()  # the inner transform takes some in advance

        def noted() -> Iterator[tuple[Sequence[Tile], Sequence[Pixels]]]:
            for tiles, pixels in batches:
                sources.append([part[tile.crop] for tile, part in zip(tiles, pixels, strict=True)])
                yield tiles, pixels

        for made in self._inner.apply(noted()):
            yield [keep_glass(*pair) for pair in zip(sources.popleft(), made, strict=True)]

    def forget_above(self, row: int) -> None:
        """See `Transform`."""
        self._inner.forget_above(row)


def keep_glass(before: Pixels, after: Pixels) -> Pixels:
    """The pixels after a change, but where those before it are glass.

    Args:
        before: [h, w, 3] of 8 or 16 bits.
        after: [h, w, 3], likewise.

    Returns: [h, w, 3], of the type of `after`.
    """
    bits = 8 * before.itemsize
    bright = to_bits(before, bits).min(axis=2) > GLASS[0]
    if not bright.any():
        return after
    top = np.iinfo(after.dtype).max
    unit = np.float32(top / 255)
    own = to_bits(before, bits, 8 * after.itemsize)[bright].astype(np.float32)
    mapped = unit * protect_white(own / unit, after[bright].astype(np.float32) / unit)
    kept = after.copy()
    kept[bright] = (mapped + 0.5).clip(0, top).astype(after.dtype)
    return kept
