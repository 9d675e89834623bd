"""From the pixels of any slide to the colours of a screen: channels, ranges, encoded tiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from uhrtranslate.io import Pixels, Slide, fitted_thumbnail, open_view, to_bits

# High enough that nobody takes JPEG for a seam, low enough for a slow line. Colours keep their
# resolution, as stains are told apart by them.
QUALITY = 88
# Longer side in px of the picture in which the range of channels is found, and the share of its
# pixels that may be brighter than white.
SIDE, BRIGHTER = 512, 0.002


@dataclass(frozen=True)
class ChannelLook:
    """How a channel is shown.

    Attributes:
        number: which channel.
        colour: RGB of its brightest pixels.
        low, high: values shown as black and as the full colour.
    """

    number: int
    colour: tuple[int, int, int]
    low: float
    high: float


def read_looks(text: str, channels: int) -> tuple[ChannelLook, ...]:
    """Looks from the text of an address: `0:ff0000:0:4095,2:00ff00:10:900`.

    Raises:
        ValueError: it is anything else.
    """
    looks = []
    for part in text.split(",") if text else ():
        number, colour, low, high = part.split(":")
        red, green, blue = bytes.fromhex(colour)
        look = ChannelLook(int(number), (red, green, blue), float(low), float(high))
        if not 0 <= look.number < channels or not np.isfinite([look.low, look.high]).all():
            raise ValueError(part)
        looks.append(look)
    if len(looks) > channels:
        raise ValueError(text)
    return tuple(looks)


def plain_looks(slide: Slide) -> tuple[ChannelLook, ...]:
    """How channels are shown if nobody says; their range is found in a small picture."""
    channels = slide.info.channels
    if not channels:
        return ()
    picture = fitted_thumbnail(open_view(slide), SIDE, deep=True)
    values = picture.reshape(-1, picture.shape[2]).astype(np.float64)
    lows = values.min(axis=0)
    highs = np.quantile(values, 1 - BRIGHTER, axis=0)
    if picture.dtype.kind != "f":
        lows = np.zeros_like(lows)
    return tuple(
        ChannelLook(number, channel.colour, float(low), float(max(high, low + 1e-6)))
        for number, (channel, low, high) in enumerate(zip(channels, lows, highs, strict=True))
    )


def in_colour(pixels: Pixels, looks: Sequence[ChannelLook]) -> NDArray[np.uint8]:
    """Pixels as RGB of 8 bits.

    Args:
        pixels: [h, w, c] of any type: RGB without looks, else channels.
        looks: channels that are laid over each other as light; others are not shown.

    Returns:
        [h, w, 3] uint8.
    """
    if not looks:
        return to_bits(pixels, 8 * pixels.itemsize)[..., :3]
    light = np.zeros((*pixels.shape[:2], 3), np.float32)
    for look in looks:
        share = (pixels[..., look.number].astype(np.float32) - look.low) / max(
            look.high - look.low, 1e-6
        )
        light += share.clip(0, 1)[..., None] * np.array(look.colour, np.float32)
    return (light + 0.5).clip(0, 255).astype(np.uint8)


def encoded(rgb: NDArray[np.uint8], kind: str) -> bytes:
    """RGB, [h, w, 3] uint8, as the bytes of a `jpg` or a `png`."""
    file = BytesIO()
    image = Image.fromarray(np.ascontiguousarray(rgb))
    if kind == "png":
        image.save(file, "PNG", compress_level=1)
    else:
        image.save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()
