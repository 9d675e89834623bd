"""Large images are encoded and decoded as if there were no tiles."""

import numpy as np
import pytest
import skimage.data
import torch
from tiny_diffusion import tiny_autoencoder

from uhrtranslate.recipes.large_latents import decode_large, encode_large, is_seamless

CELL = 32


@pytest.fixture(scope="module")
def autoencoder():
    """Two blocks at each size, whose norm layers make a difference; of random weights."""
    made = tiny_autoencoder(factor=4, cell=CELL, layers_per_block=2)
    torch.manual_seed(5)
    for name, weight in made.named_parameters():
        if "norm" in name:
            weight.normal_(1 if name.endswith("weight") else 0, 0.3)
    return made


def image(height, width):
    """Real tissue, [3, h, w] in -1..1; its contrast and colour change from left to right."""
    pixels = skimage.data.immunohistochemistry()[:height, :width].transpose(2, 0, 1) / 127.5 - 1
    return (pixels * np.linspace(0.2, 1, width)).astype(np.float32)


def reader(whole):
    def read(x, y, w, h):
        assert min(x, y) >= 0
        assert y + h <= whole.shape[1]
        assert x + w <= whole.shape[2]
        return whole[:, y : y + h, x : x + w]

    return read


def encoded(whole, autoencoder, tile=CELL):
    image = encode_large(reader(whole), *whole.shape[:0:-1], autoencoder)
    return np.concatenate(list(image.bands(tile)), 1)


def decoded(latents, autoencoder, tile=CELL // 4):
    image = decode_large(reader(latents), *latents.shape[:0:-1], autoencoder)
    return np.concatenate(list(image.bands(tile)), 1)


@torch.no_grad()
def test_one_cell_is_what_the_network_makes_of_it(autoencoder):
    whole = image(CELL, CELL)
    plain = autoencoder.encode(torch.from_numpy(whole)[None])
    latents = encoded(whole, autoencoder)
    np.testing.assert_allclose(latents, plain[0].numpy(), atol=1e-4)
    back = autoencoder.decode(plain)[0].numpy()
    np.testing.assert_allclose(decoded(latents, autoencoder), back, atol=1e-4)


def test_the_result_does_not_depend_on_tiles(autoencoder):
    whole = image(104, 148)  # of which the last cells reach beyond it
    latents = encoded(whole, autoencoder)
    assert latents.shape == (4, 26, 37)
    scale = np.abs(latents).max()
    for tile in (20, 64, 200):
        assert np.abs(encoded(whole, autoencoder, tile) - latents).max() < 1e-4 * scale
    pixels = decoded(latents, autoencoder)
    assert pixels.shape == (3, 104, 148)
    for tile in (5, 16, 50):  # half a grey level is 1 / 255
        assert np.abs(decoded(latents, autoencoder, tile) - pixels).max() < 1 / 255


@torch.no_grad()
def test_tiles_by_themselves_would_show(autoencoder):
    """What fields are for: each tile with its own statistics is another picture."""
    ramp = np.linspace(-1, 1, 40) * np.ones((4, 24, 1)) * np.array([1, -1, 2, 0.5])[:, None, None]
    latents = ramp.astype(np.float32)  # smooth, so that steps are the tiles'
    seamless = decoded(latents, autoencoder)
    alone = np.zeros_like(seamless)
    for y in range(0, 24, 8):
        for x in range(0, 40, 8):
            part = torch.from_numpy(latents[:, y : y + 8, x : x + 8])[None]
            made = autoencoder.decode(part)[0].numpy()
            alone[:, 4 * y : 4 * y + 32, 4 * x : 4 * x + 32] = made

    def ratio(pixels):
        """Steps across the tiles' borders against those beside them."""
        steps = np.abs(np.diff(pixels, axis=2)).mean((0, 1))
        across = steps[31::32].mean()
        return across / np.delete(steps, np.arange(31, len(steps), 32)).mean()

    assert ratio(alone) > 1.1
    assert ratio(seamless) < 1.03


def test_only_rows_that_are_needed_are_read(autoencoder):
    """The first band comes before the lower half is looked at."""
    whole, lowest = image(512, 64), []

    def read(x, y, w, h):
        lowest.append(y + h)
        return whole[:, y : y + h, x : x + w]

    next(encode_large(read, 64, 512, autoencoder).bands(CELL))
    assert max(lowest) < 256


def test_attention_is_not_seamless(autoencoder):
    assert is_seamless(autoencoder)
    assert not is_seamless(tiny_autoencoder(mid_block_add_attention=True))
