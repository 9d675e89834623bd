import errno

import numpy as np
import pytest

from uhrtranslate.diffusion import canvas as canvases
from uhrtranslate.diffusion.canvas import Canvas, denoise, put
from uhrtranslate.diffusion.noise import noise_rows
from uhrtranslate.diffusion.schedulers import alphas_cumprod, ddim, dpm_solver, timesteps
from uhrtranslate.diffusion.weights import Tiling
from uhrtranslate.errors import UhrError

ABAR = alphas_cumprod(1000, 0.00085, 0.012, "scaled_linear")
TILING = Tiling(40, 56, 16, 8)


def network(x, timestep):
    return (0.4 * np.tanh(x) + np.linspace(-0.2, 0.2, 16)).astype(np.float32)


def begun(folder):
    folder.mkdir()
    canvas = Canvas(folder, "a", 2, 40, 56)
    with canvas.writing(0) as file:
        for y in range(0, 40, 13):
            put(file, noise_rows(5, 0, 2, 56, y, min(y + 13, 40)))
    return canvas


def test_noise_depends_on_its_place_alone():
    whole = noise_rows(7, 3, 4, 33, 0, 20)
    assert np.array_equal(noise_rows(7, 3, 4, 33, 6, 9), whole[:, 6:9])
    others = [noise_rows(8, 3, 4, 33, 0, 20), noise_rows(7, 4, 4, 33, 0, 20), whole[:, ::-1]]
    assert all(abs(np.corrcoef(whole.ravel(), one.ravel())[0, 1]) < 0.1 for one in others)
    many = noise_rows(1, 1, 4, 512, 0, 64)
    assert (abs(many.mean()), many.std()) == pytest.approx((0, 1), abs=0.01)


@pytest.mark.parametrize("sampler", [ddim, dpm_solver])
@pytest.mark.parametrize("stop", [1, 2, 4])
def test_an_interrupted_run_goes_on_with_equal_bytes(tmp_path, sampler, stop):
    steps = sampler(ABAR, timesteps(1000, 5), 0.5 if sampler is ddim else 0)
    whole = begun(tmp_path / "whole")
    denoise(whole, TILING, network, steps, seed=9, stream=1, batch=2)
    broken, behind, calls = begun(tmp_path / "broken"), [0], []

    def fails(x, timestep):
        calls.append(timestep)
        if timestep == steps[stop].timestep and len(calls) > 8 * stop + 4:
            raise KeyboardInterrupt  # in mid-step
        return network(x, timestep)

    def finished(number, files):
        behind.append(number)

    with pytest.raises(KeyboardInterrupt):
        denoise(broken, TILING, fails, steps, seed=9, stream=1, batch=2, finished=finished)
    assert behind[-1] == stop
    denoise(broken, TILING, network, steps, seed=9, stream=1, batch=7, start=stop)
    assert np.array_equal(broken.rows(5)(0, 40), whole.rows(5)(0, 40))
    assert np.isfinite(whole.rows(5)(0, 40)).all()


def test_a_full_disk_in_mid_step_loses_nothing(tmp_path, monkeypatch):
    steps = dpm_solver(ABAR, timesteps(1000, 4))
    canvas, behind = begun(tmp_path / "a"), [0]
    room = [3]

    def full(file, rows):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        put(file, rows)

    with monkeypatch.context() as patch:
        patch.setattr(canvases, "put", full)
        with pytest.raises(OSError, match="No space"):
            denoise(canvas, TILING, network, steps, finished=lambda n, files: behind.append(n))
        assert behind == [0]
        room[0] = 2 * len(TILING.rows) + 3
        with pytest.raises(OSError, match="No space"):
            denoise(canvas, TILING, network, steps, finished=lambda n, files: behind.append(n))
        assert behind == [0, 1]
    denoise(canvas, TILING, network, steps, start=1)
    whole = begun(tmp_path / "b")
    denoise(whole, TILING, network, steps)
    assert np.array_equal(canvas.rows(4)(0, 40), whole.rows(4)(0, 40))


def test_eta_draws_one_field_for_all_tiles(tmp_path):
    """Where tiles overlap, the variance is that of anywhere else."""
    canvas = Canvas(tmp_path, "a", 4, 64, 64)
    with canvas.writing(0) as file:
        put(file, np.zeros((4, 64, 64), np.float32))
    step = ddim(ABAR, [500, 250], 1.0)[0]
    denoise(canvas, Tiling(64, 64, 32, 16), lambda x, t: 0 * x, [step], seed=1)
    found = canvas.rows(1)(0, 64)
    assert found.std() == pytest.approx(step.noise, rel=0.03)
    assert found[:, 20:28].std() == pytest.approx(found[:, 2:10].std(), rel=0.15)


def test_outputs_that_are_not_finite_are_told(tmp_path):
    canvas = begun(tmp_path / "a")
    with pytest.raises(UhrError, match="timestep 999 are not finite"):
        denoise(canvas, TILING, lambda x, t: x * np.nan, ddim(ABAR, [999]))


def test_progress_adds_up_to_the_steps(tmp_path):
    canvas, done = begun(tmp_path / "a"), []
    denoise(canvas, TILING, network, ddim(ABAR, [999, 500]), progress=done.append)
    assert sum(done) == pytest.approx(2)
