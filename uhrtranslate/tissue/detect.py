"""Find tissue in a thumbnail, for any stain, by its difference from the background.

In bright field, tissue absorbs light that passes through glass. The optical density (OD) against
the colour of the glass, in the channel that absorbs most, is high for every stain (eosin in green,
haematoxylin in red and green, DAB in blue). In dark field and fluorescence, tissue is bright on
black. In both cases Otsu's threshold separates the two. It is kept within limits, because it fails
if the picture has only one of them, or if dark tissue draws it away from pale tissue. Missing
tissue is worse for a user than computing glass, so the limits rather include too much.
"""

import numpy as np
from numpy.typing import NDArray
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label
from skimage.morphology import dilation

from uhrtranslate.pixels import LUMA

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

# Parts of a slide that were not scanned are pure black, and so is much of fluorescence.
BLACK = 3
# A picture whose most frequent luma is below this is dark field. Measured: dark field 46 and 50,
# fluorescence 10; the densest H&E 82, other H&E and IHC from 102.
DARK_LUMA = 64
# Glass counts as at least this bright in each channel.
DARKEST_GLASS = 200.0
# Limits of the threshold of OD against glass: the lower one is for shading and noise of glass, the
# upper one for pale fat and stroma (0.08 to 0.2).
OD_LIMITS = (0.06, 0.12)
# Standard deviation in px of the smoothing that keeps the noise of glass below that.
SMOOTHING = 0.8
# The same for grey levels above a dark background; the upper limit is for dim cytoplasm.
GLOW_LIMITS = (4.0, 48.0)
# Brightest background of a dark field: a picture that is brighter everywhere is all tissue.
BRIGHTEST_DARK = 96.0
# Smaller pieces are dust; smaller holes belong to the tissue around them (diameters in um).
SMALLEST_TISSUE = 25.0
LARGEST_HOLE = 200.0
# The same in thumbnail pixels, if the resolution is not known.
SMALLEST_TISSUE_PX = 4.0
LARGEST_HOLE_PX = 12.0


def detect_tissue(thumbnail: Pixels, mpp: float | None = None) -> Mask:
    """Find tissue in a thumbnail of a slide, in bright field or dark field.

    Args:
        thumbnail: of the whole slide, [h, w, 3] uint8 RGB.
        mpp: micrometres per pixel of the thumbnail; None if unknown.

    Returns:
        [h, w] bool, tissue True, widened by a pixel. All False for bare glass, (nearly) all True
        if there is nothing but tissue.
    """
    dark = is_dark_field(thumbnail)
    found = _shining(thumbnail) if dark else _absorbing(thumbnail)
    tissue_px, hole_px = SMALLEST_TISSUE_PX, LARGEST_HOLE_PX
    if mpp is not None:
        # A piece of a single thumbnail pixel is noise, at any resolution.
        tissue_px, hole_px = max(SMALLEST_TISSUE / mpp, 1.5), LARGEST_HOLE / mpp
    found = ~_without_small(~found, _area(hole_px))
    found = _without_small(found, _area(tissue_px))
    if not dark:
        found = _without_ink(found, thumbnail)
    square = np.ones((3, 3), np.uint8)
    return np.asarray(dilation(found, square), np.bool_)


def is_dark_field(thumbnail: Pixels) -> bool:
    """Whether tissue is bright on black; judged by the most frequent luma.

    Args:
        thumbnail: [h, w, 3] uint8 RGB.
    """
    scanned = thumbnail.max(axis=2) > BLACK
    if scanned.mean() < 0.01:
        return True
    luma = thumbnail[scanned] @ np.array(LUMA, np.float32)
    # Bins of 4 grey levels, smoothed, so that noise does not decide.
    counts = np.convolve(np.histogram(luma, 64, (0, 256))[0], np.ones(5), "same")
    return bool(np.argmax(counts) * 4 + 2 < DARK_LUMA)


def _absorbing(thumbnail: Pixels) -> Mask:
    """Pixels of a bright field that absorb more than glass."""
    scanned = thumbnail.max(axis=2) > BLACK
    glass = np.percentile(thumbnail[scanned], 95, axis=0).clip(DARKEST_GLASS, 255)
    shine = thumbnail.astype(np.float32) + 1
    density = np.log((glass + 1) / shine)
    density = gaussian(density, SMOOTHING, channel_axis=2)  # type: ignore[no-untyped-call]
    density = density.max(axis=2).clip(0, 1)
    found = density > _parted(density[scanned], OD_LIMITS)
    return np.asarray(found & scanned, np.bool_)


def _shining(thumbnail: Pixels) -> Mask:
    """Pixels of a dark field that are brighter than its background, in any channel."""
    value = thumbnail.astype(np.float32)
    dark = np.percentile(value, 5, axis=(0, 1)).clip(0, BRIGHTEST_DARK)
    glow = (value - dark).max(axis=2)
    # Square roots, as light spots are far brighter than most tissue.
    low, high = np.sqrt(GLOW_LIMITS)
    found = np.sqrt(glow.clip(0)) > _parted(np.sqrt(glow.clip(0)), (float(low), float(high)))
    return np.asarray(found, np.bool_)


def _parted(values: NDArray[np.float32], limits: tuple[float, float]) -> float:
    """Otsu's threshold within limits."""
    low, high = limits
    if values.size == 0 or float(values.max()) <= low:
        return low
    otsu = threshold_otsu(values)  # type: ignore[no-untyped-call]
    return float(np.clip(otsu, low, high))


def _area(diameter: float) -> float:
    return np.pi / 4 * diameter**2


def _without_small(mask: Mask, area: float) -> Mask:
    """A mask without its connected parts of fewer pixels than `area`."""
    parts = label(mask, connectivity=2)  # type: ignore[no-untyped-call]
    large = np.bincount(parts.ravel()) >= area
    large[0] = False
    return np.asarray(large[parts], np.bool_)


def _without_ink(mask: Mask, thumbnail: Pixels) -> Mask:
    """A mask without its connected parts that are mostly pen marks.

    Tissue stained by H&E or IHC is never mostly bright green, cyan, marker blue or pure black. If
    ink runs over tissue, the part is kept.
    """
    r, g, b = (thumbnail[..., i].astype(np.int16) for i in range(3))
    green = (g > r + 30) & (g > b + 10)
    blue = (g > r + 45) | ((b > r + 90) & (b > g + 60))
    black = np.maximum(np.maximum(r, g), b) < 50
    ink = green | blue | black
    if not (mask & ink).any():
        return mask
    parts = label(mask, connectivity=2)  # type: ignore[no-untyped-call]
    size = np.bincount(parts.ravel())
    inked = np.bincount(parts.ravel(), ink.ravel())
    # A picture that consists mostly of such colours has another stain, and is not full of ink.
    if inked[1:].sum() > 0.5 * size[1:].sum():
        return mask
    keep = inked < 0.6 * size
    keep[0] = False
    return np.asarray(keep[parts], np.bool_)
