"""How well two pictures lie on each other, place by place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2
from scipy.ndimage import uniform_filter

from uhrtranslate.registration.looks import Picture

# A window whose pixels vary less than this (std of a picture in 0..1) shows nothing to match.
FLAT = 0.02


@dataclass(frozen=True, eq=False)
class Places:
    """Windows of a picture, each looked for in another picture nearby.

    Attributes:
        centres: [n, 2] float64, x and y in px.
        shifts: [n, 2], where the window fits best, relative to its own place, in px.
        here: [n], normalized cross-correlation at its own place, -1..1.
        best: [n], the same where it fits best.
        reach: how far was looked, in px.
    """

    centres: NDArray[np.float64]
    shifts: NDArray[np.float64]
    here: NDArray[np.float64]
    best: NDArray[np.float64]
    reach: int

    def confirmed(self, within: float) -> float:
        """Share of windows that fit best within so many px of their place; 0 if there are none."""
        if not len(self.shifts):
            return 0.0
        return float((np.linalg.norm(self.shifts, axis=1) <= within).mean())

    def chance(self, within: float) -> float:
        """The same share if windows fitted best anywhere, as of unrelated pictures."""
        return min(np.pi * (within + 0.5) ** 2 / (2 * self.reach + 1) ** 2, 1.0)


def match_places(
    fixed: Picture, moving: Picture, valid: NDArray[np.bool_], window: int, reach: int, step: int
) -> Places:
    """Look for windows of `fixed` around the same place of `moving`.

    Args:
        fixed, moving: pictures of one look and size, [h, w] float32.
        valid: [h, w], where both show something; a window needs half of it.
        window: side of the windows in px.
        reach: how far to look, in px.
        step: distance of windows in px.
    """
    h, w = fixed.shape
    share = uniform_filter(valid.astype(np.float32), window, mode="constant")
    padded = np.pad(moving, reach + window, mode="edge")
    found: list[tuple[float, ...]] = []
    for y in range(0, h - window + 1, step):
        for x in range(0, w - window + 1, step):
            if share[y + window // 2, x + window // 2] < 0.5:
                continue
            template = fixed[y : y + window, x : x + window]
            if template.std() < FLAT:
                continue
            side = window + 2 * reach
            around = padded[y + window : y + window + side, x + window : x + window + side]
            scores = correlations(template, around)
            row, col = np.unravel_index(int(np.argmax(scores)), scores.shape)
            dx, dy = _subpixel(scores, int(row), int(col))
            centre = (x + window / 2, y + window / 2)
            here = float(scores[reach, reach])
            found.append((*centre, dx - reach, dy - reach, here, float(scores[row, col])))
    rows = np.array(found, np.float64).reshape(-1, 6)
    return Places(rows[:, :2], rows[:, 2:4], rows[:, 4], rows[:, 5], reach)


def correlations(template: Picture, around: Picture) -> NDArray[np.float64]:
    """Normalized cross-correlation of a template at every place within a larger picture.

    Returns: [H - h + 1, W - w + 1], -1..1; 0 where the picture is flat.
    """
    h, w = template.shape
    centred = template.astype(np.float64) - template.mean()
    picture = around.astype(np.float64) - around.mean()
    product = irfft2(rfft2(picture) * rfft2(centred, picture.shape).conj(), picture.shape)
    rows, cols = picture.shape[0] - h + 1, picture.shape[1] - w + 1
    total, squares = (_box(values, h, w) for values in (picture, picture * picture))
    spread = squares - total * total / (h * w)
    norm = np.sqrt(np.maximum(spread, 0) * (centred**2).sum())
    flat = spread < h * w * FLAT**2 / 4
    return np.where(flat, 0.0, product[:rows, :cols] / np.maximum(norm, 1e-12))


def _box(values: NDArray[np.float64], h: int, w: int) -> NDArray[np.float64]:
    """Sums over all windows of h x w."""
    sums = np.pad(values, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    return np.asarray(sums[h:, w:] - sums[:-h, w:] - sums[h:, :-w] + sums[:-h, :-w], np.float64)


def _subpixel(scores: NDArray[np.float64], row: int, col: int) -> tuple[float, float]:
    """The peak of a parabola through a maximum and its neighbours, x and y."""

    def along(before: float, at: float, after: float) -> float:
        bend = before - 2 * at + after
        return 0.0 if bend >= 0 else float(np.clip(0.5 * (before - after) / bend, -0.5, 0.5))

    dx = dy = 0.0
    if 0 < col < scores.shape[1] - 1:
        dx = along(*scores[row, col - 1 : col + 2])
    if 0 < row < scores.shape[0] - 1:
        dy = along(*scores[row - 1 : row + 2, col])
    return col + dx, row + dy
