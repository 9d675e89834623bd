"""What a region that somebody has drawn holds: means, spread, histograms."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from uhrtranslate.io import Slide

# Pixels that are read for a region at most; of larger ones a coarser level is measured.
MOST_PIXELS = 4 << 20
# Of an image without small levels so many times as many; every few are measured.
AT_MOST = 16
BINS = 64
MOST_CORNERS = 400
LARGEST = 1e8


def read_corners(text: str) -> NDArray[np.float64]:
    """Corners of a polygon from the text of an address, `x,y,x,y,...`; [n, 2] in level-0 px.

    Raises:
        ValueError: it is anything else, or has fewer than three or too many corners.
    """
    values = np.array([float(value) for value in text.split(",")], np.float64)
    if values.size % 2 or not 6 <= values.size <= 2 * MOST_CORNERS:
        raise ValueError("corners")
    if not np.isfinite(values).all() or np.abs(values).max() > LARGEST:
        raise ValueError("corners")
    return values.reshape(-1, 2)


def region_statistics(slide: Slide, corners: NDArray[np.float64]) -> dict[str, Any]:
    """Mean, standard deviation and histogram of each channel inside a polygon.

    Args:
        slide: of any depth.
        corners: [n, 2], level-0 px.

    Returns:
        JSON values: `pixels` (that were measured), `area` in level-0 px of the part on the slide,
        `downsample` of the level, and for each channel its name, mean, std, low, high, histogram.

    Raises:
        ValueError: the polygon does not meet the slide, or is too large for its levels.
        InputError: the file is damaged.
    """
    info = slide.info
    low = np.floor(corners.min(axis=0)).clip(0, (info.width, info.height))
    high = np.ceil(corners.max(axis=0)).clip(0, (info.width, info.height))
    span = high - low
    if span.min() < 1:
        raise ValueError("the region does not meet the image")
    number = next(
        (
            number
            for number, level in enumerate(info.levels)
            if span.prod() / level.downsample**2 <= MOST_PIXELS
        ),
        len(info.levels) - 1,
    )
    level = info.levels[number]
    x, y = (int(value) for value in low / level.downsample)
    w = max(min(int(np.ceil(span[0] / level.downsample)), level.width - x), 1)
    h = max(min(int(np.ceil(span[1] / level.downsample)), level.height - y), 1)
    if w * h > AT_MOST * MOST_PIXELS:
        raise ValueError("the region is too large for an image without small levels; draw less")
    step = max(int(np.ceil(np.sqrt(w * h / MOST_PIXELS))), 1)
    rows = []
    masks = []
    strip = max(MOST_PIXELS // w // step, 1) * step
    for top in range(0, h, strip):
        height = min(strip, h - top)
        mask = Image.new("1", (w, height))
        inside = corners / level.downsample - (x, y + top)
        ImageDraw.Draw(mask).polygon([tuple(one) for one in inside], fill=1)
        chosen = np.asarray(mask)[::step, ::step]
        masks.append(int(np.count_nonzero(np.asarray(mask))))
        if chosen.any():
            rows.append(slide.read(x, y + top, w, height, number)[::step, ::step][chosen])
    if not rows:
        raise ValueError("the region is smaller than a pixel")
    values = np.concatenate(rows)
    names = [channel.name for channel in info.channels] or ["red", "green", "blue"]
    top_value = 1.0 if info.bits == 32 else float(2**info.bits - 1)
    least = min(float(values.min()), 0.0) if info.bits == 32 else 0.0
    largest = max(float(values.max()), top_value) if info.bits == 32 else top_value
    return {
        "pixels": len(values),
        "area": sum(masks) * level.downsample**2,
        "downsample": level.downsample * step,
        "low": least,
        "high": largest,
        "channels": [_channel(name, values[:, i], least, largest) for i, name in enumerate(names)],
    }


def _channel(name: str, values: NDArray[Any], low: float, high: float) -> dict[str, Any]:
    counts, _ = np.histogram(values, BINS, (low, high + (0 if high == 1 else 1)))
    wide = values.astype(np.float64)
    return {
        "name": name,
        "mean": round(float(wide.mean()), 4),
        "std": round(float(wide.std()), 4),
        "least": float(values.min()),
        "largest": float(values.max()),
        "histogram": counts.tolist(),
    }
