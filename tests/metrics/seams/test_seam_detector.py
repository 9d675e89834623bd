import numpy as np
import pytest
import skimage.data
from metrics.planted import as_jpeg, reader, with_tiles
from PIL import Image

from uhrtranslate.io import open_slide
from uhrtranslate.metrics.seams.detector import find_grid
from uhrtranslate.metrics.seams.measure import search_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles


def searched(pixels):
    return search_seams(measure_profiles(reader(pixels), pixels.shape[1], pixels.shape[0]))


def of_scikit_image():
    names = ("immunohistochemistry", "retina", "astronaut", "coffee", "rocket")
    return {name: getattr(skimage.data, name)() for name in names}


def of_slides_and_photos(folder):
    found = {}
    for path in sorted(folder.glob("*/*")):
        if path.suffix in (".png", ".jpg", ".svs", ".ndpi") or path.name.endswith(".ome.tif"):
            with open_slide(path) as slide:
                size = [min(side, 2200) for side in (slide.info.width, slide.info.height)]
                found[path.name] = slide.read(0, 0, *size)
    return found


@pytest.fixture(params=["scikit-image", pytest.param("founders", marks=pytest.mark.shared)])
def images(request):
    if request.param == "scikit-image":
        found = of_scikit_image()
    else:
        found = of_slides_and_photos(request.getfixturevalue("shared") / "data")
    return {name: image for name, image in found.items() if min(image.shape[:2]) >= 390}


@pytest.fixture(scope="module")
def section():
    """1411 px square, no copy of itself."""
    return skimage.data.retina()


@pytest.mark.slow
def test_real_crops_have_no_grid(images):
    """Of 60 crops and more, as they are and compressed."""
    random = np.random.default_rng(3)
    found, crops = [], 0
    for turn in range(-(-60 // len(images)) + 1):
        for name, image in images.items():
            h, w = (int(random.integers(min(300, s - 1), min(s, 1200))) for s in image.shape[:2])
            y, x = (
                int(random.integers(0, s - n)) for s, n in zip(image.shape, (h, w), strict=False)
            )
            crop = image[y : y + h, x : x + w]
            if turn % 2:
                crop = as_jpeg(crop)
            crops += 1
            seams = searched(crop)
            if seams.period is not None:
                found.append((name, turn, crop.shape, seams))
    assert crops >= 60
    assert found == []


@pytest.mark.parametrize("period", [128, 200, 256])
def test_a_grid_below_what_is_seen_is_found(section, period):
    """One grey level: a person sees steps of two or three on a smooth background."""
    seams = searched(with_tiles(section, period, 1.0))
    assert seams.period == period
    assert (seams.grid.x, seams.grid.y) == (period, period)
    assert seams.p_value < 0.002


def test_blocks_of_an_enlarged_jpeg_are_not_tiles(section):
    """Every sixth block begins at a whole pixel: 6 * 8 * 1.73 is 83.04."""
    pixels = as_jpeg(section[300:589, 300:589], 12)
    enlarged = Image.fromarray(pixels).resize((500, 500), Image.Resampling.BICUBIC)
    assert searched(np.asarray(enlarged)).period is None


def test_two_borders_an_axis_are_found_if_tiles_begin_at_the_corner(section):
    """Of 200 px, in a crop of 500 px."""
    seams = searched(with_tiles(section[600:1100, 300:800], 200, 1.0))
    assert seams.period == 200
    assert seams.borders == 4


@pytest.mark.parametrize(("x", "y"), [(37, 0), (5, 111)])
def test_a_grid_may_begin_anywhere(section, x, y):
    seams = searched(with_tiles(section, 144, 2.0, x=x, y=y))
    assert seams.period == 144
    assert (seams.grid.x % 144, seams.grid.y % 144) == (x, y)


def test_a_grid_is_found_behind_compression(section):
    assert searched(as_jpeg(with_tiles(section, 128, 1.5), 80)).period == 128


def test_tiles_of_a_codec_are_no_seams(section):
    """Each tile compressed on its own, as slides hold them: chroma has no neighbour to lean on."""
    tiles = [
        np.concatenate(
            [as_jpeg(section[y : y + 256, x : x + 256], 75) for x in range(0, 1280, 256)], axis=1
        )
        for y in range(0, 1280, 256)
    ]
    stored = np.concatenate(tiles)
    assert searched(stored).period is None


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((700, 700, 3), 255, np.uint8),
        np.zeros((1, 1, 3), np.uint8),
        np.zeros((2000, 5, 3), np.uint8),
        np.zeros((100, 130, 3), np.uint8),
    ],
    ids=["white", "one", "thin", "small"],
)
def test_images_that_tell_nothing_have_no_grid(pixels):
    seams = searched(pixels)
    assert seams.period is None
    assert seams.ratio is None
    assert seams.borders == 0
    assert seams.p_value is None or seams.p_value > 0.1


def test_noise_has_no_grid():
    random = np.random.default_rng(0)
    noise = random.integers(0, 256, (600, 600, 3), np.uint8)
    assert searched(noise).period is None
    assert find_grid(measure_profiles(reader(noise), 600, 600)).p_value > 0.01
