"""Results that are being written: what is done so far, as a slide."""

import json
import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from uhrtranslate.errors import InputError
from uhrtranslate.geometry.levels import level_downsample, pyramid_sizes
from uhrtranslate.io.channels import Channel
from uhrtranslate.io.files.inputs import PARTIAL
from uhrtranslate.io.files.journal import NAME
from uhrtranslate.io.readers.unfinished_tiles import (
    COMPRESSIONS,
    LAYOUTS,
    ROWS,
    RowStore,
    Store,
    TileStore,
    read_saved,
)
from uhrtranslate.io.slide import Level, Slide, SlideInfo, read_padded
from uhrtranslate.pixels import Pixels, to_bits

# What the writer of an image says of it, beside its pixels.
ABOUT = "about.json"
# What is not done yet; of channels, their darkest.
NOTHING = (236, 236, 240)
LARGEST_SIDE = 1 << 31
MOST_CHANNELS = 4096


@dataclass(frozen=True)
class About:
    """How what an unfinished run has saved is to be read.

    Attributes:
        width, height: of the image in px.
        mpp: micrometres per pixel.
        tile: side of its tiles in px.
        smallest: see `OutputSpec`.
        bits: of a sample.
        compression: how tiles are encoded, a name in `COMPRESSIONS`.
        layout: how their bytes follow each other, a name in `LAYOUTS`; empty if the format has a
            way of its own, which is not read here.
        channels: of an image that is no colour picture.
        description: what the result will say of how it was made.
    """

    width: int
    height: int
    mpp: tuple[float, float] | None
    tile: int
    smallest: int
    bits: int
    compression: str
    layout: str
    channels: tuple[Channel, ...]
    description: str


def find_unfinished(folder: Path) -> list[Path]:
    """Folders of unfinished runs in a folder and its subfolders that have saved something."""
    found = []
    for where, folders, _ in os.walk(folder):
        partial_ones = [name for name in folders if name.endswith(PARTIAL)]
        found += [Path(where, name) for name in partial_ones if Path(where, name, NAME).is_file()]
        folders[:] = [name for name in folders if name[0] != "." and name not in partial_ones]
    return sorted(found)


def target_name(folder: Path) -> str:
    """The name that the result will have."""
    return folder.name.removesuffix(PARTIAL)


class UnfinishedSlide(Slide):
    """The part of an image that an unfinished run has saved; it is as it was when opened.

    Args:
        folder: of the unfinished run.

    Attributes:
        done: share of its rows.
        description: what the result will say of how it was made.

    Raises:
        InputError: the run has saved nothing, has ended, or its pixels cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        name = target_name(folder)
        try:
            about = _read_about(folder / ABOUT)
            if about.layout not in LAYOUTS or about.compression not in COMPRESSIONS:
                raise InputError(f"{name}: its format is shown only when it is complete; wait.")
            saved = read_saved(folder)
        except FileNotFoundError:
            raise InputError(
                f"{name}: its run has saved nothing yet, or has ended; look again."
            ) from None
        except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
            raise InputError(f"{name}: what its run has saved cannot be read ({error}).") from error
        self._tile = about.tile
        self.done, self.description = saved.done, about.description
        base = (about.width, about.height)
        rows = about.layout == ROWS
        sizes = [base] if rows else pyramid_sizes(*base, about.smallest)
        self.info = SlideInfo(
            path=str(folder),
            reader="unfinished",
            format="unfinished",
            levels=tuple(Level(*size, level_downsample(base, size)) for size in sizes),
            mpp=about.mpp,
            background=(0,) * len(about.channels) or NOTHING,
            bits=about.bits,
            channels=about.channels,
        )
        nothing = to_bits(np.array(self.info.background, np.uint8), 8, about.bits)
        try:
            self._store: Store = (
                RowStore(folder, saved, about.width)
                if rows
                else TileStore(
                    folder, saved, sizes, (about.tile, about.tile, self.info.samples), nothing,
                    about.compression, about.layout, name,
                )
            )  # fmt: skip
        except OSError as error:
            raise InputError(f"{name}: its run has ended; look again.") from error
        self._nothing = nothing

    def tile_size(self, level: int) -> tuple[int, int]:
        """See `Slide`."""
        return self._tile, self._tile

    def read(self, x: int, y: int, w: int, h: int, level: int = 0) -> Pixels:
        """See `Slide`; what is not done is background."""
        return read_padded(self.info, (x, y, w, h), level, partial(self._inside, level))

    def close(self) -> None:
        """See `Slide`."""
        self._store.close()

    def _inside(self, level: int, x: int, y: int, w: int, h: int) -> Pixels:
        pixels = np.empty((h, w, self.info.samples), self.info.dtype)
        pixels[:] = self._nothing
        self._store.read(level, x, y, pixels)
        return pixels


def _read_about(path: Path) -> About:
    facts = json.loads(path.read_bytes())
    mpp = facts["mpp"]
    channels = [
        Channel(str(name), (int(red), int(green), int(blue)))
        for name, (red, green, blue) in facts["channels"]
    ]
    about = About(
        int(facts["width"]),
        int(facts["height"]),
        None if mpp is None else (float(mpp[0]), float(mpp[1])),
        int(facts["tile"]),
        int(facts["smallest"]),
        int(facts["bits"]),
        str(facts["compression"]),
        str(facts["layout"]),
        tuple(channels),
        str(facts["description"]),
    )
    sides = (about.width, about.height, about.smallest)
    if not all(0 < side < LARGEST_SIDE for side in sides) or not 16 <= about.tile <= 4096:
        raise ValueError("sizes that no image has")
    if len(channels) > MOST_CHANNELS:
        raise ValueError("channels that no image has")
    return about
