"""Figures against a paired truth that lies a few pixels off.

Adjacent sections, and two scans of one section, never match to the pixel, and then PSNR and SSIM of
a good translation fall as low as those of a bad one. So each patch may be moved by whole pixels,
within a small reach, to where it fits best. The truth's outer pixels, as many as the reach, do not
count: figures of any shift are of the same area.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import fftconvolve

from uhrtranslate.metrics.planes import (
    Doubles,
    Pixels,
    colour,
    grey,
    levels,
    same_size,
)
from uhrtranslate.metrics.structure import SSIM_HALO, pair_sums, ssim_sums


@dataclass(frozen=True)
class Aligned:
    """Figures of a patch that was moved to where it fits best.

    Attributes:
        dx, dy: the output's content lies so many px to the right of, and below, the truth's.
        psnr, ssim: there: dB (peak 255, three channels), and -1..1 on grey.
    """

    dx: int
    dy: int
    psnr: float
    ssim: float


def best_shift(output: Pixels, truth: Pixels, reach: int) -> tuple[int, int]:
    """The shift (dx, dy) with the least squared error on grey, of all within the reach.

    `output[y + dy, x + dx]` then fits `truth[y, x]`. All (2 reach + 1)^2 shifts are compared, each
    over the truth without its outer `reach` px. Of equal ones, the smallest wins.

    Args:
        output, truth: [h, w, 3] uint8.
        reach: px, 0 or more.

    Raises:
        ValueError: the two differ in size, or are not larger than twice the reach.
    """
    same_size(output, truth)
    _check(output, reach, least=1)
    moved, fixed = levels(grey(output))[..., 0] - 128, levels(grey(truth))[..., 0] - 128
    inner = fixed[reach : len(fixed) - reach, reach : fixed.shape[1] - reach]
    energy = fftconvolve(moved**2, np.ones_like(inner), mode="valid")
    error: Doubles = energy - 2 * fftconvolve(moved, inner[::-1, ::-1], mode="valid")
    # Below what the transforms' rounding and an 8-bit file can tell, errors are equal.
    error = np.round(error / inner.size, 6)
    offsets = np.arange(-reach, reach + 1)
    distance = np.add.outer(offsets**2, offsets**2)
    row, column = np.unravel_index(np.lexsort((distance.ravel(), error.ravel()))[0], error.shape)
    return int(offsets[column]), int(offsets[row])


def aligned_scores(output: Pixels, truth: Pixels, reach: int) -> Aligned:
    """PSNR and SSIM after the best shift within +-reach px.

    Args:
        output, truth: [h, w, 3] uint8, a patch of 64 px or more: one shift has to do for all of it.
        reach: px; 0 gives the plain figures of the whole patch.

    Raises:
        ValueError: the two differ in size, or less than 11 px are left within the reach.
    """
    same_size(output, truth)
    _check(output, reach, least=2 * SSIM_HALO + 1)
    dx, dy = best_shift(output, truth, reach)
    height, width = truth.shape[:2]
    inner = truth[reach : height - reach, reach : width - reach]
    moved = output[reach + dy : height - reach + dy, reach + dx : width - reach + dx]
    psnr, ssim = pair_sums(moved, inner, planes=colour).psnr, ssim_sums(moved, inner).mean
    assert psnr is not None
    assert ssim is not None
    return Aligned(dx, dy, psnr, ssim)


def _check(pixels: Pixels, reach: int, least: int) -> None:
    if reach < 0 or min(pixels.shape[:2]) < 2 * reach + least:
        raise ValueError(f"a reach of {reach} px leaves less than {least} px of {pixels.shape}")
