"""The forward process of diffusion, and the way back for pictures of progress."""

from typing import Any

import torch
from torch import Tensor, nn

from uhrtranslate.errors import require
from uhrtranslate.models.diffusion_networks import Denoiser
from uhrtranslate.models.noise import Noise


class Noising(nn.Module):
    """Covers latents with noise: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) eps.

    Args:
        noise: the schedule.

    Raises:
        MissingExtraError: diffusers is not installed.
    """

    kept: Tensor

    def __init__(self, noise: Noise) -> None:
        super().__init__()
        self.prediction = noise.prediction
        scheduler: Any = require("diffusers", "diffusion").DDPMScheduler(**settings(noise))
        self.register_buffer("kept", scheduler.alphas_cumprod.float(), persistent=False)

    def forward(self, latents: Tensor, eps: Tensor, timesteps: Tensor) -> tuple[Tensor, Tensor]:
        """The noisy latents, and what a denoiser is to predict of them.

        Args:
            latents, eps: [n, c, h, w].
            timesteps: [n] int64.
        """
        kept = self.kept[timesteps][:, None, None, None]
        a, b = kept.sqrt(), (1 - kept).sqrt()
        noisy = a * latents + b * eps
        if self.prediction == "epsilon":
            return noisy, eps
        return noisy, latents if self.prediction == "sample" else a * eps - b * latents


def settings(noise: Noise) -> dict[str, Any]:
    """What diffusers' schedulers call the same."""
    return {
        "num_train_timesteps": noise.train_timesteps,
        "beta_start": noise.beta_start,
        "beta_end": noise.beta_end,
        "beta_schedule": noise.beta_schedule,
        "prediction_type": noise.prediction,
        "clip_sample": False,
    }


@torch.no_grad()
def synthesised(
    denoiser: Denoiser,
    noise: Noise,
    prompts: Tensor,
    null: int,
    start: Tensor,
    steps: int,
    guidance: float,
) -> Tensor:
    """Latents of prompts, by DDIM without noise of its own.

    Args:
        denoiser: in eval mode.
        noise: the schedule that it was trained with.
        prompts: [n] int64.
        null: identifier of no prompt.
        start: pure noise, [n, c, h, w].
        steps: of the way.
        guidance: 1 follows the prompt as it is; more exaggerates it.
    """
    kind: Any = require("diffusers", "diffusion").DDIMScheduler
    scheduler = kind(**settings(noise), set_alpha_to_one=True, timestep_spacing="trailing")
    scheduler.set_timesteps(steps)
    x, nothing = start, torch.full_like(prompts, null)
    for t in scheduler.timesteps.tolist():
        times = torch.full_like(prompts, t)
        found = denoiser(x, times, prompts).float()
        if guidance != 1:
            plain = denoiser(x, times, nothing).float()
            found = plain + guidance * (found - plain)
        x = scheduler.step(found, t, x).prev_sample
    return x
