"""Histograms that are counted part by part, exact for 8 and 16 bits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.enhance.illuminance import illuminance
from uhrtranslate.errors import InputError
from uhrtranslate.geometry import spans
from uhrtranslate.pixels import Pixels, Source

VERSION = 1
# Width in px of what is read and counted at once.
READ_WIDTH = 4096


@dataclass(frozen=True, eq=False)
class Tally:
    """How many pixels have each level of illuminance.

    Attributes:
        counts: [256] or [65536] int64.
    """

    counts: NDArray[np.int64]

    @staticmethod
    def of(pixels: Pixels) -> "Tally":
        """The tally of pixels, [..., 3] RGB or [...] grey, of 8 or 16 bits.

        Raises:
            ValueError: they have another type.
        """
        if pixels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"pixels of {pixels.dtype}; 8 or 16 bits are needed")
        levels = 256 if pixels.dtype == np.uint8 else 65536
        return Tally(np.bincount(illuminance(pixels).reshape(-1), minlength=levels))

    @staticmethod
    def of_levels(counts: Sequence[int]) -> "Tally":
        """The tally with these counts of 256 or 65536 levels."""
        return Tally(np.array(counts, np.int64))

    @staticmethod
    def nothing(levels: int = 256) -> "Tally":
        """The tally of no pixels."""
        return Tally(np.zeros(levels, np.int64))

    @staticmethod
    def of_image(image: Source) -> "Tally":
        """The tally of all pixels of an image, in one pass that holds one strip at a time."""
        total = Tally.nothing(2 ** (8 * image.dtype.itemsize))
        for y0, y1 in spans(image.height, image.strip_height):
            for x0, x1 in spans(image.width, READ_WIDTH):
                total += Tally.of(image.read(x0, y0, x1 - x0, y1 - y0))
        return total

    def narrowed(self) -> "Tally":
        """The same tally with 8 bits: each level counts as the nearest one."""
        if self.levels == 256:
            return self
        nearest = (np.arange(65536) * 255 + 32767) // 65535
        counts = np.zeros(256, np.int64)
        np.add.at(counts, nearest, self.counts)
        return Tally(counts)

    def widened(self) -> "Tally":
        """The same tally with 16 bits: level 255 becomes 65535."""
        if self.levels == 65536:
            return self
        counts = np.zeros(65536, np.int64)
        counts[::257] = self.counts
        return Tally(counts)

    def __add__(self, other: "Tally") -> "Tally":
        """The sum of both; with 16 bits if one of them has 16."""
        if self.levels != other.levels:
            return self.widened() + other.widened()
        return Tally(self.counts + other.counts)

    @property
    def levels(self) -> int:
        """256 or 65536."""
        return len(self.counts)

    @property
    def total(self) -> int:
        """Number of pixels."""
        return int(self.counts.sum())

    @property
    def mean(self) -> float:
        """Of the pixels, 0 to 1."""
        return float(np.arange(self.levels) @ self.counts / (self.total * (self.levels - 1)))

    def clipped(self, share: float) -> "Tally":
        """A tally whose brightest pixels, such as a camera's hot ones, count as the next brightest.

        Args:
            share: how many of the pixels, 0 to 1.
        """
        keep = self.total - round(self.total * share)
        below = np.minimum(np.cumsum(self.counts), max(keep, 1))
        counts = np.diff(below, prepend=0)
        brightest = int(np.flatnonzero(counts).max(initial=0))
        counts[brightest] += self.total - counts.sum()
        return Tally(counts)


def dump_tally(tally: Tally) -> dict[str, Any]:
    """A tally as JSON values."""
    return {"version": VERSION, "illuminance": tally.counts.tolist()}


def load_tally(content: Any) -> Tally:
    """A tally from `dump_tally`.

    Raises:
        InputError: it is something else, or damaged; the message does not name the file.
    """
    counts = content.get("illuminance") if isinstance(content, dict) else None
    good = (
        isinstance(counts, list)
        and content.get("version") == VERSION
        and len(counts) in (256, 65536)
        and all(type(n) is int and 0 <= n < 2**53 for n in counts)
        and any(counts)
    )
    if not good:
        raise InputError("is not a saved histogram; make it again with --save-reference")
    return Tally(np.array(counts, np.int64))
