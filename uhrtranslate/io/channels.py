"""Channels of images that are no colour pictures: markers, stains, probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.pixels import Pixels

MOST_CHANNELS = 64
# For channels whose colour nobody has chosen; as fluorescence is usually shown.
PALETTE = (
    (0, 0, 255), (0, 255, 0), (255, 0, 0), (0, 255, 255), (255, 0, 255), (255, 255, 0),
    (255, 255, 255),
)  # fmt: skip


@dataclass(frozen=True)
class Channel:
    """One channel of an image.

    Attributes:
        name: for people.
        colour: RGB of its brightest pixels, 0..255; black is where it is 0.
    """

    name: str
    colour: tuple[int, int, int]


def make_channels(names: Sequence[str]) -> tuple[Channel, ...]:
    """Channels with colours that tell them apart; a single one is grey."""
    colours = PALETTE if len(names) > 1 else PALETTE[-1:]
    return tuple(Channel(name, colours[i % len(colours)]) for i, name in enumerate(names))


def numbered_channels(count: int) -> tuple[Channel, ...]:
    """Channels that nobody has named."""
    return make_channels([f"channel {number + 1}" for number in range(count)])


def shown_name(found: object, plain: Channel) -> str:
    """The name that a file gives a channel, made safe for a terminal; else its plain one."""
    name = "".join(c for c in found[:100] if c.isprintable()) if isinstance(found, str) else ""
    return name.strip() or plain.name


def hex_colour(found: object, plain: Channel) -> tuple[int, int, int]:
    """The colour `RRGGBB` that a file gives a channel; else its plain one."""
    try:
        red, green, blue = bytes.fromhex(str(found))
    except ValueError:
        return plain.colour
    return red, green, blue


def ome_colour(found: str | None, plain: Channel) -> tuple[int, int, int]:
    """The colour that OME-XML gives a channel, RGBA in 32 bits with a sign; else its plain one."""
    try:
        red, green, blue, _ = int(found or "").to_bytes(4, "big", signed=True)
    except (ValueError, OverflowError):
        return plain.colour
    return red, green, blue


def compose(pixels: Pixels, channels: Sequence[Channel]) -> NDArray[np.uint8]:
    """Lay channels over each other as light of their colours.

    Args:
        pixels: [h, w, c] uint8 or uint16.
        channels: c of them.

    Returns:
        RGB, [h, w, 3] uint8; what is brighter than white is white.
    """
    colours = np.array([channel.colour for channel in channels], np.float32)
    light = pixels.astype(np.float32) @ (colours / np.iinfo(pixels.dtype).max)
    return (light + 0.5).clip(0, 255).astype(np.uint8)
