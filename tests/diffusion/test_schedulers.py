import copy

import numpy as np
import pytest
import torch

from uhrtranslate.diffusion.schedulers import alphas_cumprod, ddim, dpm_solver, timesteps
from uhrtranslate.diffusion.tracking import advanced, guided
from uhrtranslate.diffusion.weights import Tiling
from uhrtranslate.tables import SAMPLERS

# diffusers makes arrays of tensors in a way that numpy 2 frowns upon.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")
ABAR = alphas_cumprod(1000, 0.00085, 0.012, "scaled_linear")


def their_scheduler(kind, **more):
    diffusers = pytest.importorskip("diffusers")
    return getattr(diffusers, kind)(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        timestep_spacing="trailing",
        **more,
    )


DDIM = {"kind": "DDIMScheduler", "clip_sample": False, "set_alpha_to_one": True}
DPM = {"kind": "DPMSolverMultistepScheduler", "final_sigmas_type": "zero"}


def network(x, timestep):
    """Something that depends on all that it is given."""
    return np.float32(0.6) * np.tanh(x) + np.float32(timestep / 5000) * np.sin(3 * x)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_the_share_of_the_clean_latent_is_that_of_diffusers(name):
    diffusers = pytest.importorskip("diffusers")
    theirs = diffusers.DDIMScheduler(200, 0.001, 0.02, name).alphas_cumprod.numpy()
    assert np.abs(alphas_cumprod(200, 0.001, 0.02, name) - theirs).max() < 1e-5
    with pytest.raises(ValueError, match="no schedule"):
        alphas_cumprod(200, 0.001, 0.02, "sigmoid")


@pytest.mark.parametrize("steps", [1, 7, 20, 50, 1000])
def test_the_timesteps_are_those_of_diffusers(steps):
    theirs = their_scheduler(**DDIM)
    theirs.set_timesteps(steps)
    assert timesteps(1000, steps) == theirs.timesteps.tolist()


def test_the_strength_is_the_share_of_the_steps():
    whole = timesteps(1000, 50)
    assert timesteps(1000, 50, 0.5) == whole[25:]
    assert timesteps(1000, 50, 0.58) == whole[21:]  # 29.0, though not in binary
    assert timesteps(1000, 50, 0.001) == whole[-1:]
    assert timesteps(1000, 50, 1) == whole
    assert timesteps(1000, 50, 0) == []


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize(
    ("sampler", "theirs"), [(ddim, DDIM), (dpm_solver, DPM)], ids=["ddim", "dpm"]
)
@pytest.mark.parametrize("steps", [5, 20])
def test_one_tile_goes_the_way_of_diffusers(sampler, theirs, steps, prediction):
    theirs = their_scheduler(**theirs, prediction_type=prediction)
    theirs.set_timesteps(steps)
    x = np.random.default_rng(1).standard_normal((4, 8, 8)).astype(np.float32)
    expected, before = torch.from_numpy(x.astype(np.float64)), None
    for t, step in zip(theirs.timesteps, sampler(ABAR, timesteps(1000, steps), 0), strict=True):
        output = torch.from_numpy(network(expected.numpy(), int(t)))
        expected = theirs.step(output, t, expected).prev_sample
        rows, clean = (lambda y0, y1, x=x: x), before
        ((_, x, before),) = advanced(
            rows, Tiling(8, 8, 8, 0), network, step, prediction,
            before=None if clean is None else (lambda y0, y1, clean=clean: clean),
        )  # fmt: skip
        assert np.abs(x - expected.numpy()).max() < 2e-3 * max(1, np.abs(x).max())
    assert np.abs(x - expected.numpy()).max() < 1e-3 * max(1, np.abs(x).max())


def test_noise_of_a_step_is_that_of_diffusers():
    theirs = their_scheduler(**DDIM)
    theirs.set_timesteps(20)
    x, z = np.random.default_rng(2).standard_normal((2, 4, 8, 8)).astype(np.float32)
    for t, step in zip(theirs.timesteps, ddim(ABAR, timesteps(1000, 20), 0.7), strict=True):
        output, drawn = (torch.from_numpy(one[None]) for one in (network(x, int(t)), z))
        expected = theirs.step(output, t, torch.from_numpy(x[None]), eta=0.7, variance_noise=drawn)
        found = step.after(x, step.expected(x, output[0].numpy(), "epsilon"), None, z)
        assert np.abs(found - expected.prev_sample[0].numpy()).max() < 1e-3
        assert (step.noise == 0) == (t == 49) or step.noise > 0


def test_a_scheduler_of_its_own_for_every_tile_gives_the_same():
    """The history of all tiles is one canvas, as every step is linear in what tiles predict."""
    theirs = their_scheduler(**DPM)
    theirs.set_timesteps(6)
    tiling = Tiling(12, 20, 8, 4)
    places = [(y, x) for y in tiling.rows for x in tiling.columns]
    own = {place: copy.deepcopy(theirs) for place in places}
    whole = np.random.default_rng(3).standard_normal((2, 12, 20)).astype(np.float32)
    ours, before, weights = whole, None, tiling.weights() / 1

    def at_place(tiles, timestep):  # sees where in the tile it is, so neighbours disagree
        return network(tiles, timestep) + np.linspace(-0.2, 0.2, 8, dtype=np.float32)

    for number, step in enumerate(dpm_solver(ABAR, timesteps(1000, 6))):
        total, sums = np.zeros_like(whole), np.zeros((12, 20), np.float32)
        for (y, x), scheduler in own.items():
            tile = whole[:, y : y + 8, x : x + 8]
            t = scheduler.timesteps[number]
            output = torch.from_numpy(at_place(tile, int(t)))
            after = scheduler.step(output, t, torch.from_numpy(tile)).prev_sample.numpy()
            total[:, y : y + 8, x : x + 8] += weights * after
            sums[y : y + 8, x : x + 8] += weights
        whole = total / sums
        rows = list(
            advanced(
                lambda y0, y1, ours=ours: ours[:, y0:y1], tiling, at_place, step, batch=3,
                before=None if before is None else (lambda y0, y1, b=before: b[:, y0:y1]),
            )
        )  # fmt: skip
        ours, before = (np.concatenate([one[i] for one in rows], 1) for i in (1, 2))
        assert np.abs(ours - whole).max() < 2e-3 * np.abs(whole).max()


def test_samplers_that_add_no_noise_refuse_eta():
    for name, sampler in SAMPLERS.items():
        assert sampler(ABAR, timesteps(1000, 10), 0)[-1].keep == 0, name  # ends in the clean latent
    with pytest.raises(ValueError, match="eta must be 0"):
        dpm_solver(ABAR, [999], 0.5)


def test_guidance_exaggerates_what_the_prompt_changes():
    def denoiser(x, times, prompts):
        return x + prompts[:, None, None, None] * times[:, None, None, None]

    tiles = np.zeros((3, 4, 8, 8), np.float32)
    for guidance, expected in ((0, 5 * 10), (1, 2 * 10), (3, 5 * 10 + 3 * (2 - 5) * 10)):
        found = guided(denoiser, 2, 5, guidance)(tiles, 10)
        assert found.shape == tiles.shape
        assert (found == expected).all()
