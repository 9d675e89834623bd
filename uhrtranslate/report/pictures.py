"""Arrays as `data:` URIs."""

import base64
import io
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from uhrtranslate.pixels import LUMA
from uhrtranslate.report.facts import Pixels

# From no step to one that everybody sees: colours that also differ in lightness, and stand out
# from a grey picture.
HEAT_COLOURS = np.array(
    [
        [68, 1, 84, 0],
        [80, 40, 160, 90],
        [190, 40, 130, 200],
        [250, 120, 50, 235],
        [255, 240, 60, 250],
    ],
    np.float32,
)
QUALITIES = (90, 85, 75, 60, 40)


def png(pixels: NDArray[np.uint8]) -> str:
    """Pixels without loss, [h, w, 3] or [h, w, 4] uint8."""
    return _uri(pixels, "png", optimize=True)


def jpeg(pixels: Pixels, quality: int = 90) -> str:
    """Pixels as a photo, [h, w, 3] uint8."""
    return _uri(pixels, "jpeg", quality=quality)


def jpegs(pictures: Sequence[Pixels], budget: int) -> list[str]:
    """Photos at the best quality at which they take at most `budget` characters together.

    All have the same quality, so that they can be compared; the lowest if none suffices.
    """
    uris: list[str] = []
    for quality in QUALITIES:
        uris = []
        left = budget
        for pixels in pictures:
            uris.append(jpeg(pixels, quality))
            left -= len(uris[-1])
            if left < 0 and quality != QUALITIES[-1]:
                break
        else:
            break
    return uris


def heat_png(heat: NDArray[np.float32], top: float) -> str:
    """A heat map: from violet (0) to yellow (`top` or more), transparent where NaN."""
    share = np.nan_to_num(np.clip(heat / top, 0, 1)) * (len(HEAT_COLOURS) - 1)
    below = np.minimum(share.astype(int), len(HEAT_COLOURS) - 2)
    weight = (share - below)[..., None]
    colours = HEAT_COLOURS[below] * (1 - weight) + HEAT_COLOURS[below + 1] * weight
    colours[np.isnan(heat)] = 0
    return png(colours.round().astype(np.uint8))


def heat_top(heats: Iterable[NDArray[np.float32]]) -> float:
    """The end of the scale shared by several heat maps: nearly the largest step, at least 2."""
    values = [heat[np.isfinite(heat)] for heat in heats]
    steps = np.concatenate([*values, np.zeros(1, np.float32)])
    return max(2.0, float(np.ceil(np.percentile(steps, 99.5))))


def grey(pixels: Pixels) -> Pixels:
    """Luma (Rec. 601) in all three channels, paled, as a backdrop."""
    luma = pixels @ np.array(LUMA, np.float32)
    return np.repeat((luma * 0.6 + 80).clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)


def _uri(pixels: NDArray[np.uint8], kind: str, **options: int) -> str:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
