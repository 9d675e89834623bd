"""The generators that ship: what they make of glass and of nuclei, on images that ship, too."""

import numpy as np
import pytest
import skimage.data
from PIL import Image
from scipy import ndimage

from uhrtranslate import translate

WHITE = (238, 238, 237)


def bare(height: int, width: int) -> np.ndarray:
    """Glass with a shade, noise and dust, [h, w, 3] uint8."""
    random = np.random.default_rng(0)
    shade = ndimage.zoom(random.normal(0, 2, (4, 4)), (height / 4, width / 4), order=3)
    pixels = np.array(WHITE) + shade[..., None] + random.normal(0, 1.5, (height, width, 3))
    for y, x in random.integers(8, min(height, width) - 8, (12, 2)):
        pixels[y - 1 : y + 2, x - 1 : x + 2] = random.integers(60, 160)
    return pixels.clip(0, 255).astype(np.uint8)


def on_glass(section: np.ndarray) -> np.ndarray:
    """A section in the corner of a slide that is mostly glass, half of it behind a slanted edge."""
    slide = bare(512, 1024)
    rows, cols = np.indices(section.shape[:2])
    kept = rows + cols < 700
    slide[: len(section), : section.shape[1]][kept] = section[kept]
    return slide


def glass_of(pixels: np.ndarray) -> np.ndarray:
    """Pixels brighter than 223 in every channel and more than 4 px from any that is not."""
    return ndimage.distance_transform_edt((pixels > 223).all(axis=2)) > 4


@pytest.fixture(scope="module")
def ihc() -> np.ndarray:
    return skimage.data.immunohistochemistry()


@pytest.fixture(scope="module")
def he(ihc, tmp_path_factory) -> np.ndarray:
    """No H&E section ships, so the other generator makes one."""
    return translated(ihc, tmp_path_factory.mktemp("he"), "ihc2he", "dn")


def translated(pixels, folder, model, norm) -> np.ndarray:
    Image.fromarray(pixels).save(folder / "source.png")
    translate(folder / "source.png", folder / "out.png", model=model, norm=norm, overwrite=True)
    return np.asarray(Image.open(folder / "out.png"))


@pytest.mark.parametrize("norm", ["dn", "pooled"])
@pytest.mark.parametrize("model", ["he2ihc", "ihc2he"])
def test_glass_stays_white(model, norm, he, ihc, tmp_path):
    """At most one pixel in a thousand of bare glass is further than 12 grey levels from white."""
    slide = on_glass(he if model == "he2ihc" else ihc)
    result = translated(slide, tmp_path, model, norm)
    worst = result.min(axis=2)[glass_of(slide)]
    assert worst.size > 250_000
    assert (worst < 255 - 12).mean() <= 0.001
    assert (worst < 255 - 64).mean() <= 0.0001  # no dark blots


@pytest.mark.parametrize("norm", ["dn", "pooled"])
def test_nuclei_stay_sharp(norm, ihc, tmp_path):
    """Blue nuclei are darker against their surroundings than before, and sharper."""
    result = translated(ihc, tmp_path, "ihc2he", norm)
    nuclei = ndimage.binary_opening(ihc[..., 2].astype(int) - ihc[..., 0] > 30)
    around = ndimage.binary_dilation(nuclei, iterations=6)
    around &= ~ndimage.binary_dilation(nuclei, iterations=2)
    edges = ndimage.binary_dilation(nuclei) & ~ndimage.binary_erosion(nuclei)
    assert nuclei.sum() > 3000

    def contrast_and_slope(pixels: np.ndarray) -> tuple[float, float]:
        grey = pixels.mean(axis=2)
        slope = np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))
        return grey[around].mean() - grey[nuclei].mean(), slope[edges].mean()

    before, after = contrast_and_slope(ihc), contrast_and_slope(result)
    assert after[0] > 1.2 * before[0]
    assert after[1] > 1.1 * before[1]


@pytest.mark.parametrize("norm", ["dn", "pooled"])
def test_nothing_is_green_in_h_and_e(norm, ihc, tmp_path):
    """Blobs of green or magenta are how generators tell norm layers how bright a patch is."""
    result = translated(ihc, tmp_path, "ihc2he", norm).astype(int)
    red, green, blue = np.moveaxis(result, 2, 0)
    assert (green - np.maximum(red, blue)).max() <= 5
    assert (np.minimum(red, blue) - green).max() <= 120
