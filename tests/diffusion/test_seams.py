"""Seams by the measure of `uhrt evaluate`, of a network that knows where in its tile it is."""

import numpy as np
import pytest

from uhrtranslate.diffusion.canvas import Canvas, denoise
from uhrtranslate.diffusion.noise import noise_rows
from uhrtranslate.diffusion.schedulers import alphas_cumprod, ddim, timesteps
from uhrtranslate.diffusion.weights import Tiling
from uhrtranslate.geometry.windows.centre import centre
from uhrtranslate.geometry.windows.cosine import cosine
from uhrtranslate.geometry.windows.linear import linear
from uhrtranslate.metrics.seams.measure import measure_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles

SIDE, TILE = 384, 64


def alike(height, width, overlap):
    return np.ones((height, width), np.float32)


def seam(folder, overlap, window, bias=0.04):
    folder.mkdir()
    place = np.linspace(-1, 1, TILE, dtype=np.float32)
    bias = np.float32(bias) * (place - place[:, None] + place**2)

    def network(x, timestep):
        """Expects what is there, a little lighter to the right of a tile and to its top."""
        return np.float32(0.9) * x + bias

    canvas = Canvas(folder, "a", 3, SIDE, SIDE)
    canvas.fill(lambda y0, y1: noise_rows(1, 0, 3, SIDE, y0, y1), TILE)
    abar = alphas_cumprod(1000, 0.00085, 0.012, "scaled_linear")
    steps = ddim(abar, timesteps(1000, 8, 0.5))
    denoise(canvas, Tiling(SIDE, SIDE, TILE, overlap, window), network, steps, "sample", batch=8)
    pixels = canvas.rows(len(steps))(0, SIDE).transpose(1, 2, 0)
    pixels = (128 + 40 * pixels / pixels.std()).clip(0, 255).astype(np.uint8)
    profiles = measure_profiles(lambda x, y, w, h: pixels[y : y + h, x : x + w], SIDE, SIDE)
    return measure_seams(profiles, TILE - overlap).ratio


def test_weights_that_fall_to_zero_leave_no_seams_and_tiles_side_by_side_the_most(tmp_path):
    half = TILE // 2
    none = seam(tmp_path / "none", half, linear, bias=0)
    found = {
        name: seam(tmp_path / name, overlap, window) / none
        for name, overlap, window in (
            ("side by side", 0, alike),
            ("without weights", half, alike),
            ("the paper's", half, centre),
            ("linear", half, linear),
            ("cosine", half, cosine),
        )
    }
    assert found["side by side"] > 2 > found["without weights"]
    assert found["without weights"] > found["the paper's"] + 0.05
    assert found["the paper's"] > 1.1
    assert found["linear"] == pytest.approx(1, abs=0.03)
    assert found["cosine"] == pytest.approx(1, abs=0.03)
