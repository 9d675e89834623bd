"""The autoencoder of latent diffusion (Rombach 2022): images to few channels, and back.

Its middle block has no attention, so that what it makes of a place depends on its surroundings and
on statistics alone, and large images can be encoded and decoded without seams.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn

from uhrtranslate.models.diffusion_networks import Autoencoder, AutoencoderConfig
from uhrtranslate.models.latent_diffusion import save_autoencoder
from uhrtranslate.training.data.drawn import Drawn
from uhrtranslate.training.data.levels import open_images
from uhrtranslate.training.data.patches import Patches
from uhrtranslate.training.level_options import ImageOptions
from uhrtranslate.training.losses import adversarial, perceptual, telling_apart
from uhrtranslate.training.methods.base import Method, Phase, Samples
from uhrtranslate.training.networks.features import Vgg16
from uhrtranslate.training.networks.making import frozen, make_discriminator
from uhrtranslate.training.networks.moments import Moments
from uhrtranslate.training.options import (
    Beta,
    DiscriminatorOptions,
    RunOptions,
    Section,
    Weight,
)

FILE = "autoencoder"
# Layers of VGG16 that LPIPS compares (Zhang 2018): the last ones before its halvings.
LAYERS = (2, 4, 7, 10, 13)


class AutoencoderNetwork(Section):
    """The network: diffusers' `AutoencoderKL`.

    Attributes:
        factor: how many pixels become one of the latents, along a side.
        latents: channels of the latents.
        width: channels after the first convolution.
        multiples: of the width, at each size; None: 1, 2, 4, as many as factor 4 has, and 4.
        layers: residual blocks at each size.
        groups: of channels that are normalized together.
        attention: in the middle block. With it, large images show seams, or are blended.
    """

    factor: Literal[4, 8] = 8
    latents: Annotated[int, Field(ge=1, le=64)] = 4
    width: Annotated[int, Field(ge=1, le=1024)] = 128
    multiples: tuple[Annotated[int, Field(ge=1, le=64)], ...] | None = None
    layers: Annotated[int, Field(ge=1, le=16)] = 2
    groups: Annotated[int, Field(ge=1, le=1024)] = 32
    attention: bool = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        levels = self.factor.bit_length()
        if self.multiples is not None and len(self.multiples) != levels:
            raise ValueError(f"multiples must be {levels} numbers with factor {self.factor}")
        if self.width % self.groups:
            raise ValueError(f"groups must divide the width, {self.width}")
        return self

    def config(self, patch: int) -> AutoencoderConfig:
        """Its configuration, for patches of a side in px."""
        levels = self.factor.bit_length()
        multiples = self.multiples or (1, 2, 4, 4)[:levels]
        values = {
            "sample_size": patch,
            "latent_channels": self.latents,
            "block_out_channels": tuple(self.width * m for m in multiples),
            "down_block_types": ("DownEncoderBlock2D",) * levels,
            "up_block_types": ("UpDecoderBlock2D",) * levels,
            "layers_per_block": self.layers,
            "norm_num_groups": self.groups,
            "mid_block_add_attention": self.attention,
            "scaling_factor": 1.0,
        }
        return AutoencoderConfig.model_validate(values)


class AutoencoderOptions(RunOptions):
    """The autoencoder's options.

    Attributes:
        network: section, see its class.
        l1: weight of the absolute difference.
        kl: weight of the latents' distance from a normal distribution, per value of the image.
        perceptual: weight of the difference of VGG16's features, as far as weights are given.
        vgg: VGG16 weights in torchvision's layout (.pth, .safetensors).
        adversarial: weight of a discriminator's opinion; 0 trains without one.
        adversarial_from: the step from which on it counts.
        discriminator: section, see its class.
    """

    data: ImageOptions
    network: AutoencoderNetwork = AutoencoderNetwork()
    epochs: Annotated[int, Field(ge=0)] = 50
    decay: Annotated[int, Field(ge=0)] = 10
    batch: Annotated[int, Field(ge=1, le=1024)] = 4
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4
    betas: tuple[Beta, Beta] = (0.5, 0.9)
    l1: Weight = 1.0
    kl: Weight = 1e-6
    perceptual: Weight = 1.0
    vgg: Path | None = None
    adversarial: Weight = 0.0
    adversarial_from: Annotated[int, Field(ge=0)] = 10_000
    discriminator: DiscriminatorOptions = DiscriminatorOptions()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.data.patch % self.network.factor:
            raise ValueError(
                f"data.patch {self.data.patch} must be a multiple of {self.network.factor}, "
                "network.factor"
            )
        if not self.l1 and not (self.perceptual and self.vgg):
            raise ValueError("l1 is 0, and there is no vgg to compare by; set one of them")
        return self


class TrainAutoencoder(Method):
    """L1, KL, and by option VGG16's features and a discriminator.

    Raises:
        CheckpointError: the VGG16 weights cannot be used.
        MissingExtraError: diffusers is not installed.
    """

    options_class: ClassVar[type[AutoencoderOptions]] = AutoencoderOptions
    options: AutoencoderOptions

    def __init__(self, options: AutoencoderOptions) -> None:
        super().__init__(options)
        self.exported = {FILE: "autoencoder"}
        self.groups = {"autoencoder": ("autoencoder",)}
        networks: dict[str, nn.Module] = {
            "autoencoder": Autoencoder(options.network.config(options.data.patch)),
            "moments": Moments(),
        }
        if options.adversarial:
            networks["judge"] = make_discriminator(options.discriminator)
            self.groups["judge"] = ("judge",)
        if options.vgg is not None and options.perceptual:
            self.fixed["vgg"] = Vgg16(LAYERS, options.vgg)
        self.networks = nn.ModuleDict(networks)
        self._steps = 0

    @classmethod
    def open_patches(cls, options: AutoencoderOptions, drawn: Drawn | None = None) -> Patches:
        """See `Method`."""
        return open_images(options.data, options.seed)

    def step(self, samples: Samples) -> Iterator[Phase]:
        """See `Method`."""
        options, images = self.options, samples["images"]
        posterior = self._autoencoder().network.encode(images).latent_dist
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        self._moments().follow(mean.detach())
        # Drawn on the CPU, so that it is the same on every device.
        noise = torch.randn(mean.shape).to(mean)
        made = self._autoencoder().network.decode(mean + (0.5 * logvar).exp() * noise).sample
        judged = bool(options.adversarial) and self._steps >= options.adversarial_from
        self._steps += 1
        if judged:
            judge = telling_apart("lsgan", self.networks["judge"], images, made.detach())
            yield Phase("judge", judge, {"judge": judge})

        parts = {"l1": F.l1_loss(made.float(), images)}
        # Per value of the image, as the difference is.
        parts["kl"] = divergence(mean, logvar) * (mean[0].numel() / images[0].numel())
        loss = options.l1 * parts["l1"] + options.kl * parts["kl"]
        if "vgg" in self.fixed:
            vgg = self.fixed["vgg"]
            parts["perceptual"] = perceptual(vgg(made), vgg(images))
            loss = loss + options.perceptual * parts["perceptual"]
        if judged:
            with frozen(self.networks["judge"]):
                parts["gan"] = adversarial("lsgan", self.networks["judge"](made), True)
            loss = loss + options.adversarial * parts["gan"]
        yield Phase("autoencoder", loss, parts)

    def save(self, path: Path, name: str, network: nn.Module, mpp: float | None) -> None:
        """See `Method`; with the latents' mean and deviation, as far as they are known."""
        assert isinstance(network, Autoencoder)
        scaled = network.scaled(*self._moments().read())
        text = self.options.description or "Trained with autoencoder by uhrt train."
        save_autoencoder(path, scaled, mpp, text)

    def pictures(self, exports: dict[str, nn.Module], samples: Samples) -> list[Tensor]:
        """Patches, and the same decoded from their latents."""
        autoencoder = exports[FILE]
        assert isinstance(autoencoder, Autoencoder)
        images = samples["images"]
        return [images, autoencoder.decode(autoencoder.encode(images))]

    def state(self) -> dict[str, Any]:
        """See `Method`."""
        return {"steps": self._steps}

    def load_state(self, state: dict[str, Any]) -> None:
        """See `Method`."""
        self._steps = state["steps"]

    def _autoencoder(self) -> Any:
        return self.networks["autoencoder"]

    def _moments(self) -> Moments:
        moments = self.networks["moments"]
        assert isinstance(moments, Moments)
        return moments


def divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL divergence of normal distributions from the standard one, mean over all values."""
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar).mean()
