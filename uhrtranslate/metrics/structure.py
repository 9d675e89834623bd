"""How much of an image's structure another one keeps: block by block, as if it were whole.

Each function takes a pair of blocks [h, w, 3] uint8 and gives sums that add up over blocks with
`+`. Blocks come with a halo of true neighbours (`SSIM_HALO`, `MS_SSIM_HALO`, `GRADIENT_HALO` px or
more, less where the image ends); the figure is then that of the whole image at once. `planes` says
what is compared: `grey` as in the DSTGAN protocol (grey of the source and of the output), or
`colour`.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d

from uhrtranslate.metrics.planes import (
    NO_HALO,
    UNIT,
    Doubles,
    Halo,
    Pixels,
    Planes,
    Whole,
    grey,
    halved,
    inside,
    levels,
    same_size,
)
from uhrtranslate.metrics.sums import MS_WEIGHTS, GradientSums, MapSums, MultiScaleSums, PairSums

# A window of 11 x 11, sigma 1.5 (Wang et al. 2004).
SSIM_HALO = 5
_SIGMA = 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2

# The coarsest of five scales is 16 times coarser.
_COARSEST = 2 ** (len(MS_WEIGHTS) - 1)
MS_SSIM_HALO = SSIM_HALO * _COARSEST

GRADIENT_HALO = 1
# The constant of Xue et al. 2014 (for 0..255 and a kernel whose positive weights sum to 1).
_GRADIENT = 170.0

_MOST = 50_000_000  # sums of so many products of thousandths fit 64 bits


def pair_sums(a: Pixels, b: Pixels, halo: Halo = NO_HALO, planes: Planes = grey) -> PairSums:
    """Sums for PSNR and PCC of a pair of blocks.

    Args:
        a, b: [h, w, 3] uint8, the source and the output, or the truth and the output.
        halo: px on the left, top, right, bottom that belong to neighbours.
        planes: `grey` or `colour`; with `colour`, the three channels are values like any other.

    Raises:
        ValueError: the two do not fit each other, or have more than 5 * 10^7 values.
    """
    same_size(a, b)
    rows, columns = inside(a, halo)
    return _pairs(planes(a[rows, columns]), planes(b[rows, columns]))


def ssim_sums(a: Pixels, b: Pixels, halo: Halo = NO_HALO, planes: Planes = grey) -> MapSums:
    """Sums of the SSIM map of a block; see `pair_sums`.

    SSIM of each pixel (Wang et al. 2004; equation 6 of DSTGAN), Gaussian window of 11 x 11. The
    5 px at the image's own ends do not count, as in scikit-image. A halo is of 5 px or more.

    Raises:
        ValueError: the two do not fit each other.
    """
    same_size(a, b)
    luminance, structure = _ssim_parts(levels(planes(a)), levels(planes(b)))
    return _sums((luminance * structure)[inside(a, halo, SSIM_HALO)])


def ms_ssim_sums(
    a: Pixels, b: Pixels, halo: Halo = NO_HALO, planes: Planes = grey
) -> MultiScaleSums:
    """Sums of the maps of MS-SSIM (Wang, Simoncelli & Bovik 2003), by means of 2 x 2 px.

    Blocks start at multiples of 16 px of the image, and end there or at the image's end, halo and
    all. A halo is of 80 px or more.

    Raises:
        ValueError: the two do not fit each other, or a block is cut elsewhere.
    """
    same_size(a, b)
    height, width = a.shape[:2]
    left, top, right, bottom = halo
    ends = [size - side for size, side in ((width, right), (height, bottom)) if side]
    if any(place % _COARSEST for place in (left, top, *ends)):
        raise ValueError(f"a halo of {halo} px; blocks cut at multiples of 16 px are needed")
    x, y = levels(planes(a)), levels(planes(b))
    scales = []
    for scale in range(len(MS_WEIGHTS)):
        here = (
            left >> scale,
            top >> scale,
            x.shape[1] - (width - right >> scale),
            x.shape[0] - (height - bottom >> scale),
        )
        luminance, structure = _ssim_parts(x, y)
        last = scale == len(MS_WEIGHTS) - 1
        found = luminance * structure if last else structure
        scales.append(_sums(found[inside(x, here, SSIM_HALO)]))
        x, y = halved(x), halved(y)
    return MultiScaleSums(tuple(scales))


def gradient_sums(a: Pixels, b: Pixels, halo: Halo = NO_HALO) -> GradientSums:
    """Sums of the similarity of two grey blocks' Sobel gradients.

    The similarity of a pixel is (2 g h + c) / (g^2 + h^2 + c) with c = 170 (Xue et al. 2014, there
    with Prewitt's kernel); the correlation of the magnitudes does not mind another contrast. The
    1 px at the image's own ends does not count.

    Raises:
        ValueError: the two do not fit each other.
    """
    same_size(a, b)
    where = inside(a, halo, GRADIENT_HALO)
    g, h = (_sobel(levels(grey(pixels))[..., 0])[where] for pixels in (a, b))
    likeness = (2 * g * h + _GRADIENT) / (g**2 + h**2 + _GRADIENT)
    whole = [np.rint(m * UNIT).astype(np.int32) for m in (g, h)]
    return GradientSums(_sums(likeness), _pairs(*whole))


def _pairs(x: Whole, y: Whole) -> PairSums:
    if x.size > _MOST:
        raise ValueError(f"a block of {x.size} values; cut it into blocks of 5 * 10^7 at most")
    p, q = x.ravel().astype(np.int64), y.ravel().astype(np.int64)
    return PairSums(x.size, int(p.sum()), int(q.sum()), int(p @ p), int(q @ q), int(p @ q))


def _sums(values: Doubles) -> MapSums:
    return MapSums(values.size, float(values.sum()))


def _blur(x: Doubles) -> Doubles:
    if not x.size:
        return x
    weights = np.exp(-0.5 * (np.arange(-SSIM_HALO, SSIM_HALO + 1) / _SIGMA) ** 2)
    weights /= weights.sum()
    blurred: Doubles = correlate1d(correlate1d(x, weights, axis=0), weights, axis=1)
    return blurred


def _ssim_parts(x: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """The luminance term, and that of contrast and structure, [h, w, c] each."""
    mean_x, mean_y = _blur(x), _blur(y)
    var_x, var_y = _blur(x * x) - mean_x**2, _blur(y * y) - mean_y**2
    cov = _blur(x * y) - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x**2 + mean_y**2 + _C1)
    return luminance, (2 * cov + _C2) / (var_x + var_y + _C2)


def _sobel(x: NDArray[np.float64]) -> Doubles:
    """Gradient magnitude in grey levels per 2 px: kernels whose positive weights sum to 1."""
    smooth, step = np.array([0.25, 0.5, 0.25]), np.array([-1.0, 0.0, 1.0])
    across = correlate1d(correlate1d(x, step, axis=1), smooth, axis=0)
    down = correlate1d(correlate1d(x, step, axis=0), smooth, axis=1)
    return np.asarray(np.hypot(across, down), np.float64)
