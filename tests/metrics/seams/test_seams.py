import numpy as np
import pytest
import skimage.data

from uhrtranslate.metrics.seams.measure import measure_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles
from uhrtranslate.metrics.seams.ratio import seam_ratio


def reader(pixels):
    def read(x, y, w, h):
        assert x >= 0
        assert y >= 0
        block = pixels[y : y + h, x : x + w]
        assert block.shape[:2] == (h, w)
        return block

    return read


def ratio(pixels, spacing, **more):
    return seam_ratio(reader(pixels), pixels.shape[1], pixels.shape[0], spacing, **more)


@pytest.fixture(scope="module")
def tissue():
    return np.tile(skimage.data.immunohistochemistry(), (3, 2, 1))[:1500, :1000]


def checkered(pixels, spacing, step):
    y, x = np.indices(pixels.shape[:2]) // spacing
    return np.clip(pixels + ((x + y) % 2 * step)[..., None], 0, 255).astype(np.uint8)


def test_an_untouched_image_has_what_its_own_structures_give(tissue):
    profiles = measure_profiles(reader(tissue), *tissue.shape[1::-1])
    assert ratio(tissue, 100) == pytest.approx(measure_seams(profiles, 100).ratio, abs=0.1)
    assert 0.8 < ratio(tissue, 125) < 1.2


def test_of_few_borders_chance_leaves_none_out(tissue):
    assert len({ratio(tissue[:640, :640], 160, seed=seed) for seed in range(3)}) == 1
    assert len({ratio(tissue, 50, seed=seed) for seed in range(3)}) == 3


def test_the_ratio_grows_with_the_step(tissue):
    ratios = [ratio(checkered(tissue // 2, 100, step), 100) for step in (0, 8, 16, 32)]
    assert ratios == sorted(ratios)
    assert ratios[1] > 1.3
    assert ratios[3] > 3


def test_steps_along_either_axis_count(tissue):
    rows = np.indices(tissue.shape[:2])[0] // 100 % 2 * 30
    striped = np.clip(tissue // 2 + rows[..., None], 0, 255).astype(np.uint8)
    assert ratio(striped, 100) > 1.5
    assert ratio(striped.transpose(1, 0, 2), 100) > 1.5


def test_a_grid_of_another_spacing_is_not_seen(tissue):
    assert ratio(checkered(tissue // 2, 130, 32), 100) < 1.5


@pytest.mark.parametrize(("height", "width"), [(50, 50), (100, 100), (1, 1000)])
def test_images_without_borders_have_no_ratio(height, width):
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    assert ratio(noise, 100) is None


def test_a_bare_image_has_no_ratio():
    assert ratio(np.full((500, 500, 3), 240, np.uint8), 100) is None


def test_the_same_seed_gives_the_same_figure(tissue):
    assert ratio(tissue, 100) == ratio(tissue, 100)
    assert ratio(tissue, 100) != ratio(tissue, 100, seed=1)
