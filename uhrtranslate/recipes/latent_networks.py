"""A latent diffusion model on a device, as functions of arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from uhrtranslate.diffusion.schedulers import Array, Doubles, alphas_cumprod
from uhrtranslate.diffusion.tracking import Predict, guided
from uhrtranslate.engine import DTYPES, choose_device
from uhrtranslate.errors import OptionError
from uhrtranslate.models.diffusion_networks import Autoencoder
from uhrtranslate.models.latent_diffusion import LatentDiffusion, load_latent_diffusion
from uhrtranslate.models.load import digest_file, digest_state
from uhrtranslate.models.prompts import Level
from uhrtranslate.options import DiffusionOptions
from uhrtranslate.recipes.large_latents import is_seamless

# Tiles that are computed together by default, on a CPU and on a GPU.
BATCHES = {"cpu": 4, "cuda": 16}
# The autoencoder needs much more memory for a tile: so many are encoded or decoded together.
AT_ONCE = 4


@dataclass(frozen=True)
class LatentNetworks:
    """A model that is ready to run.

    Attributes:
        model: its networks are on the device.
        name, digest: of its file or folder.
        device: where it runs.
        dtype: of its convolutions.
        guidance: see `diffusion.tracking.guided`.
        batch: tiles that are computed together.
        abar: see `alphas_cumprod`.
    """

    model: LatentDiffusion
    name: str
    digest: str
    device: torch.device
    dtype: torch.dtype
    guidance: float
    batch: int
    abar: Doubles

    def predict(self, prompt: str, level: Level) -> Predict:
        """The denoiser's outputs for a class at a level.

        Raises:
            OptionError: the model does not know the class.
        """
        prompts = self.model.prompts
        return guided(
            self.model.denoiser,
            prompts.identifier(prompt, level),
            prompts.null,
            self.guidance,
            self.device,
            self.dtype,
        )

    @property
    def autoencoder(self) -> Autoencoder:
        """The model's."""
        return cast(Autoencoder, self.model.autoencoder)

    @property
    def seamless(self) -> bool:
        """Whether large images are encoded and decoded without seams; else they are blended."""
        return is_seamless(self.autoencoder)

    def encode(self, images: Array) -> Array:
        """Images [n, 3, h, w] in -1..1 to latents [n, c, h / factor, w / factor]."""
        return self._run(self.autoencoder.encode, images)

    def decode(self, latents: Array) -> Array:
        """The inverse of `encode`, nearly."""
        return self._run(self.autoencoder.decode, latents)

    @torch.inference_mode()
    def _run(self, function: Callable[[Tensor], Tensor], x: Array) -> Array:
        made = []
        for first in range(0, len(x), AT_ONCE):
            part = torch.from_numpy(np.ascontiguousarray(x[first : first + AT_ONCE]))
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
                made.append(function(part.to(self.device)).float().cpu())
        result: Array = torch.cat(made).numpy()
        return result


def open_networks(options: DiffusionOptions) -> LatentNetworks:
    """Load the model that is asked for, and check that it knows the class.

    Raises:
        OptionError: no model, no class, or one that it does not know; no such device.
        CheckpointError, MissingExtraError: see `load_latent_diffusion`.
    """
    if options.model is None:
        raise OptionError(
            "--model: name a latent diffusion model, which uhrt train makes with method: pathup."
        )
    path = Path(options.model)
    model = load_latent_diffusion(path)
    if options.prompt is None:
        raise OptionError(
            f"--class: name what to show; the model knows {', '.join(model.prompts.classes)}."
        )
    model.prompts.identifier(options.prompt, "patch")
    device = choose_device(options.device)
    parts = nn.ModuleList([model.denoiser, model.autoencoder])
    digest = digest_state(parts) if path.is_dir() else digest_file(path)
    parts.to(device)
    noise = model.noise
    return LatentNetworks(
        model,
        path.name,
        digest,
        device,
        DTYPES[options.precision],
        options.guidance,
        options.batch or BATCHES[device.type],
        alphas_cumprod(
            noise.train_timesteps, noise.beta_start, noise.beta_end, noise.beta_schedule
        ),
    )
