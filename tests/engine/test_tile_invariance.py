"""Tiles are an accident of memory: the result does not depend on them."""

import math

import numpy as np
import pytest
import skimage.data
import torch
from support import as_generator, small_resnet, translate_array

from uhrtranslate.engine import GeneratorRunner, measure_halo
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN, Pooled

CELL = 128
NORMALIZERS = [
    DN(),
    KIN(kernel=3),
    KIN(kernel=5, kernel_type="gaussian"),
    TIN(),
    PatchIN(),
    Pooled(),
    Pooled(bandwidth=0.6),
    Pooled(bandwidth=math.inf),
]


@pytest.fixture(scope="module")
def section():
    """A real stained section of a size that is no multiple of anything."""
    image = skimage.data.immunohistochemistry()
    return np.ascontiguousarray(np.tile(image, (2, 2, 1))[:601, :709])


@pytest.fixture(scope="module")
def network():
    return small_resnet(ngf=4, n_blocks=3)


@pytest.fixture(scope="module")
def halo(network):
    return measure_halo(GeneratorRunner(as_generator(network), torch.device("cpu")))


def run(section, network, normalizer, halo, **how):
    thumbnail = section[::5, ::5][:116, :128].copy()
    return translate_array(
        section, network, normalizer, cell=CELL, halo=halo, thumbnail=thumbnail, **how
    )


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=repr)
def test_output_does_not_depend_on_tiles_batches_or_workers(section, network, halo, normalizer):
    whole = run(section, network, normalizer, halo, tile=1024)
    assert whole.std() > 20, "a flat result would prove nothing"
    for how in (
        {"tile": 256, "workers": 1},
        {"tile": 384, "batch": 3, "strip_height": 77},
        {"tile": 100, "batch": 4, "workers": 5, "strip_height": 601},
    ):
        other = run(section, network, normalizer, halo, **how)
        assert np.abs(whole.astype(int) - other).max() <= 1, how


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [{}, {"antialias": True, "antialias_up": True}], ids=str)
def test_tiles_from_256_to_2048_agree(arguments):
    network = small_resnet(ngf=4, n_blocks=2, **arguments)
    halo = measure_halo(GeneratorRunner(as_generator(network), torch.device("cpu")))
    image = np.tile(skimage.data.immunohistochemistry(), (5, 5, 1))[:2089, :2311]
    results = [
        translate_array(image, network, DN(), cell=512, tile=tile, halo=halo)
        for tile in (256, 512, 1024, 2048)
    ]
    for other in results[1:]:
        assert np.abs(results[0].astype(int) - other).max() <= 1


def test_the_same_job_gives_the_same_bytes(section, network, halo):
    once = run(section, network, DN(), halo, tile=256, workers=1, batch=2)
    again = run(section, network, DN(), halo, tile=256, workers=4, batch=2)
    assert np.array_equal(once, again)


def test_a_reflected_border_is_not_seamless(section, network):
    """The check can fail: without true neighbours, tiles show."""
    whole = run(section, network, DN(), 64, tile=1024)
    bare = run(section, network, DN(), 0, tile=256)
    assert np.abs(whole.astype(int) - bare).max() > 20


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (3, 5), (127, 129), (128, 128), (130, 17)])
@pytest.mark.parametrize("normalizer", NORMALIZERS[:1] + NORMALIZERS[3:], ids=repr)
@pytest.mark.parametrize("mirrored", [False, True])
def test_images_of_any_size(section, network, normalizer, size, mirrored):
    height, width = size
    result = translate_array(
        section[:height, :width],
        network,
        normalizer,
        cell=CELL,
        halo=16,
        mirrored=mirrored,
        thumbnail=section[:32, :32],
    )
    assert result.shape == (height, width, 3)


def test_one_cell_of_dn_is_plain_instance_norm(section, network):
    patch = section[:CELL, :CELL]
    dense = translate_array(patch, network, DN(), cell=CELL, halo=0, floats=True)
    x = torch.from_numpy(patch.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        plain = small_resnet(ngf=4, n_blocks=3)(x)[0].permute(1, 2, 0).numpy()
    assert np.abs(dense - plain).max() < 1e-4
