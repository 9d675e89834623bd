"""Small pictures of slides, computed in bounded memory."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from uhrtranslate.io.slide import Slide
from uhrtranslate.io.view import SlideView, open_view, resized
from uhrtranslate.pixels import Pixels, dtype_of, to_bits

# Side in px of the pieces that are read for the bilinear thumbnail.
PIECE = 2048
# OpenCV's weights for 8-bit images are whole numbers of 1 / 2**11.
WEIGHT = 1 << 11


def thumbnail(view: SlideView, width: int, height: int, deep: bool = False) -> Pixels:
    """An antialiased thumbnail of a view, [height, width, c] uint8; sides at least 1 px.

    It is made from the coarsest level that suffices. A deep one has the type of the view; others
    of floats are right only if these are 0 to 1.
    """
    pixels = resized(view, width, height).read(0, 0, width, height)
    return pixels if deep else to_bits(pixels, view.info.bits)


def fitted_thumbnail(view: SlideView, max_side: int, deep: bool = False) -> Pixels:
    """An antialiased thumbnail of a view, [h, w, c]; for its type see `thumbnail`.

    Its longer side has at most `max_side` px (at least 1); it is never enlarged.
    """
    shrink = min(max_side / max(view.width, view.height), 1)
    width, height = (max(round(side * shrink), 1) for side in (view.width, view.height))
    return thumbnail(view, width, height, deep)


def slide_thumbnail(slide: Slide, max_side: int) -> Pixels:
    """The same of a whole slide."""
    return fitted_thumbnail(open_view(slide), max_side)


def bilinear_thumbnail(view: SlideView, width: int, height: int, deep: bool = False) -> Pixels:
    """A thumbnail of a view without antialiasing, like cv2.resize with INTER_LINEAR.

    The public code of KIN and DN makes its thumbnails this way. Unlike `thumbnail`, it samples the
    view's own pixels. Returns [height, width, c] uint8, or if deep of the view's type; sides at
    least 1 px.
    """
    columns, x_weights = _samples(width, view.width)
    rows, y_weights = _samples(height, view.height)
    bits = view.info.bits
    kept = bits if deep else 8
    result = np.empty((height, width, view.info.samples), dtype_of(kept))
    for top, bottom in _groups(rows):
        for left, right in _groups(columns):
            x0, y0 = int(columns[left]), int(rows[top])
            w = min(int(columns[right - 1]) + 2, view.width) - x0
            h = min(int(rows[bottom - 1]) + 2, view.height) - y0
            result[top:bottom, left:right] = _interpolate(
                to_bits(view.read(x0, y0, w, h), bits, kept),
                rows[top:bottom] - y0,
                y_weights[top:bottom],
                columns[left:right] - x0,
                x_weights[left:right],
            )
    return result


def _samples(size: int, source: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """For each pixel, the source pixel before its centre and the weight of the next one."""
    position = ((np.arange(size) + 0.5) * (source / size) - 0.5).astype(np.float32)
    first = np.floor(position).astype(np.intp)
    weight = np.rint((position - first) * np.float32(WEIGHT)).astype(np.int64)
    outside = (first < 0) | (first >= source - 1)
    return first.clip(0, source - 1), np.where(outside, 0, weight)


def _groups(positions: NDArray[np.intp]) -> list[tuple[int, int]]:
    """Ranges of consecutive samples that lie in the same piece of the source."""
    starts = np.flatnonzero(np.diff(positions // PIECE, prepend=-1))
    return list(zip(starts.tolist(), [*starts[1:].tolist(), len(positions)], strict=True))


def _interpolate(
    pixels: Pixels,
    rows: NDArray[np.intp],
    y_weights: NDArray[np.int64],
    columns: NDArray[np.intp],
    x_weights: NDArray[np.int64],
) -> Pixels:
    below = np.minimum(rows + 1, pixels.shape[0] - 1)
    right = np.minimum(columns + 1, pixels.shape[1] - 1)
    v = y_weights[:, None, None]
    u = x_weights[:, None]

    def along_x(lines: NDArray[np.intp]) -> NDArray[Any]:
        taken = pixels[lines]
        return taken[:, columns] * (WEIGHT - u) + taken[:, right] * u

    if pixels.dtype.kind == "f":
        mixed = along_x(rows) * (WEIGHT - v) + along_x(below) * v
        return (mixed / WEIGHT**2).astype(np.float32)
    # Shifted twice because OpenCV truncates this way, to stay within 16-bit registers.
    upper = ((along_x(rows) >> 4) * (WEIGHT - v)) >> 16
    lower = ((along_x(below) >> 4) * v) >> 16
    return ((upper + lower + 2) >> 2).astype(pixels.dtype)
