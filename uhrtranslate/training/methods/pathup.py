"""PathUp: latent diffusion of classes at two levels, with a feature entropy loss.

One denoiser learns shrunk regions and native patches of every class (patho-align). The loss of
features keeps what its middle block says of one prompt together, and of others apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from uhrtranslate.errors import OptionError
from uhrtranslate.io import fingerprint
from uhrtranslate.models.diffusers_folder import WEIGHTS
from uhrtranslate.models.diffusion_networks import Denoiser, DenoiserConfig
from uhrtranslate.models.latent_diffusion import (
    joined,
    load_autoencoder,
    load_latent_diffusion,
    save_latent_diffusion,
)
from uhrtranslate.models.noise import Noise
from uhrtranslate.models.prompts import Prompts
from uhrtranslate.training.data.drawn import Drawn
from uhrtranslate.training.data.levels import class_folders, open_classes
from uhrtranslate.training.data.patches import Patches
from uhrtranslate.training.level_options import ClassOptions
from uhrtranslate.training.losses import feature_entropy
from uhrtranslate.training.methods.base import Method, Phase, Samples
from uhrtranslate.training.networks.noising import Noising, synthesised
from uhrtranslate.training.networks.prototypes import Prototypes
from uhrtranslate.training.options import Beta, Count, RunOptions, Section, Share, Weight

FILE = "pathup"


class DenoiserOptions(Section):
    """The network: diffusers' `UNet2DModel`, with an embedding of prompts.

    Attributes:
        widths: channels at each size; each halves the one before.
        layers: residual blocks at each size.
        attention: how many of the smallest sizes have attention, besides the middle.
        head: channels of one head of it.
        groups: of channels that are normalized together.
        dropout: in residual blocks.
    """

    widths: Annotated[
        tuple[Annotated[int, Field(ge=1, le=4096)], ...], Field(min_length=1, max_length=8)
    ] = (128, 256, 384, 512)
    layers: Annotated[int, Field(ge=1, le=16)] = 2
    attention: Annotated[int, Field(ge=0, le=8)] = 2
    head: Annotated[int, Field(ge=1, le=1024)] = 64
    groups: Annotated[int, Field(ge=1, le=1024)] = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name, number in (("groups", self.groups), ("head", self.head)):
            wrong = [width for width in self.widths if width % number]
            if wrong and (name == "groups" or wrong[-1] == self.widths[-1]):
                raise ValueError(f"{name} {number} must divide the widths, and not {wrong[0]}")
        return self

    def config(self, tile: int, channels: int, prompts: int) -> DenoiserConfig:
        """Its configuration.

        Args:
            tile: side of the latents.
            channels: of the latents.
            prompts: identifiers that there are.
        """
        levels = len(self.widths)
        plain = max(levels - self.attention, 0)
        rest = levels - plain
        values = {
            "sample_size": tile,
            "in_channels": channels,
            "out_channels": channels,
            "num_class_embeds": prompts,
            "block_out_channels": self.widths,
            "down_block_types": ("DownBlock2D",) * plain + ("AttnDownBlock2D",) * rest,
            "up_block_types": ("AttnUpBlock2D",) * rest + ("UpBlock2D",) * plain,
            "layers_per_block": self.layers,
            "attention_head_dim": self.head,
            "norm_num_groups": self.groups,
            "dropout": self.dropout,
        }
        return DenoiserConfig.model_validate(values)


class NoiseOptions(Noise, Section):
    """The forward process; see `Noise`."""


class EntropyOptions(Section):
    """The feature entropy loss.

    Attributes:
        beta: its weight; 0 leaves it out.
        tau: divides similarities.
        alpha: how much of a prototype stays at each step.
        projection: width of a learned projection of the features; None: they are used as they are.
        until: share of the timesteps that it counts in, from those with the least noise.
    """

    beta: Weight = 0.1
    tau: Annotated[float, Field(gt=0, le=10)] = 0.07
    alpha: Beta = 0.99
    projection: Annotated[int, Field(ge=1, le=4096)] | None = None
    until: Annotated[float, Field(gt=0, le=1)] = 1.0


class PathUpOptions(RunOptions):
    """PathUp's options.

    Attributes:
        data, denoiser, noise, entropy: sections, see their classes.
        autoencoder: the result of a training with method autoencoder, or a folder of diffusers.
        start: a model of this method, or a folder of diffusers, whose denoiser is trained on; its
            prompts start anew if there are other classes. None: random weights.
        prompt_dropout: share of samples without prompt, for guidance.
        weight_decay: of AdamW.
        guidance, steps: of the pictures of progress.
    """

    data: ClassOptions
    autoencoder: Path
    denoiser: DenoiserOptions = DenoiserOptions()
    noise: NoiseOptions = NoiseOptions()
    entropy: EntropyOptions = EntropyOptions()
    start: Path | None = None
    prompt_dropout: Share = 0.1
    batch: Annotated[int, Field(ge=1, le=1024)] = 4
    decay: Annotated[int, Field(ge=0)] = 0
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-4
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    weight_decay: Weight = 0.01
    ema: Annotated[float | None, Field(gt=0, lt=1)] = 0.9999
    guidance: Annotated[float, Field(ge=0, le=100)] = 3.0
    steps: Count = 20


class PathUp(Method):
    """Denoising of latents, and feature entropy.

    Raises:
        OptionError: sizes or classes do not fit.
        CheckpointError: the autoencoder, or what is trained on, cannot be used.
        MissingExtraError: diffusers is not installed.
    """

    options_class: ClassVar[type[PathUpOptions]] = PathUpOptions
    options: PathUpOptions

    def __init__(self, options: PathUpOptions) -> None:
        super().__init__(options)
        self.prompts = Prompts(tuple(class_folders("data.classes", options.data.classes)))
        self._autoencoder = load_autoencoder(options.autoencoder)
        self._noise = Noise(**options.noise.model_dump())
        denoiser = self._make_denoiser()
        width = denoiser.config.block_out_channels[-1]
        networks: dict[str, nn.Module] = {"denoiser": denoiser}
        self.groups = {"denoiser": ("denoiser",)}
        if options.entropy.beta:
            projected = options.entropy.projection or width
            networks["prototypes"] = Prototypes(self.prompts.null, projected)
            if options.entropy.projection:
                networks["projection"] = nn.Linear(width, projected)
                self.groups["denoiser"] += ("projection",)
        self.exported = {FILE: "denoiser"}
        self.networks = nn.ModuleDict(networks)
        self.fixed["autoencoder"] = self._autoencoder
        self.fixed["noising"] = Noising(self._noise)

    @classmethod
    def open_patches(cls, options: PathUpOptions, drawn: Drawn | None = None) -> Patches:
        """See `Method`; a run depends on its autoencoder, too."""
        patches = open_classes(options.data, options.seed)
        try:
            models = [path for path in (options.autoencoder, options.start) if path is not None]
            return replace(patches, models=[one for path in models for one in weights_of(path)])
        except BaseException:
            patches.close()
            raise

    def optimisers(self) -> dict[str, Optimizer]:
        """See `Method`; AdamW."""
        options = self.options
        parameters = [
            p for name in self.groups["denoiser"] for p in self.networks[name].parameters()
        ]
        decay = options.weight_decay
        return {"denoiser": AdamW(parameters, options.lr, options.betas, weight_decay=decay)}

    def step(self, samples: Samples) -> Iterator[Phase]:
        """See `Method`."""
        options, prompts = self.options, samples["prompts"]
        with torch.no_grad():
            latents = self._autoencoder.encode(samples["images"]).float()
        # Drawn on the CPU, so that it is the same on every device.
        n, last = len(prompts), options.noise.train_timesteps
        timesteps = torch.randint(0, last, (n,)).to(prompts)
        dropped = (torch.rand(n) < options.prompt_dropout).to(prompts.device)
        eps = torch.randn(latents.shape).to(latents)
        noisy, goal = self.fixed["noising"](latents, eps, timesteps)
        given = torch.where(dropped, self.prompts.null, prompts)
        with middle_of(self.networks["denoiser"]) as middle:
            found = self.networks["denoiser"](noisy, timesteps, given)
        denoising = F.mse_loss(found.float(), goal)
        if not options.entropy.beta:
            yield Phase("denoiser", denoising, {"denoising": denoising})
            return
        use = ~dropped & (timesteps < options.entropy.until * last)
        entropy = self._entropy(middle[0], prompts, use)
        loss = denoising + options.entropy.beta * entropy
        yield Phase("denoiser", loss, {"denoising": denoising, "entropy": entropy})

    def save(self, path: Path, name: str, network: nn.Module, mpp: float | None) -> None:
        """See `Method`; the autoencoder is in the file, too."""
        assert isinstance(network, Denoiser)
        text = self.options.description or "Trained with pathup by uhrt train."
        facts = {"shrink": self.options.data.shrink, "mpp": mpp, "description": text}
        classes = self.prompts.classes
        model = joined(network, self._autoencoder, classes, self._noise, **facts)
        save_latent_diffusion(path, model)

    def pictures(self, exports: dict[str, nn.Module], samples: Samples) -> list[Tensor]:
        """Patches, the same decoded from their latents, and what is made for their prompts."""
        denoiser, options = exports[FILE], self.options
        assert isinstance(denoiser, Denoiser)
        images, prompts = samples["images"], samples["prompts"]
        latents = self._autoencoder.encode(images)
        always = torch.Generator().manual_seed(options.seed)
        start = torch.randn(latents.shape, generator=always).to(latents)
        way = (start, options.steps, options.guidance)
        made = synthesised(denoiser, self._noise, prompts, self.prompts.null, *way)
        return [images, self._autoencoder.decode(latents), self._autoencoder.decode(made)]

    def _entropy(self, features: Tensor, prompts: Tensor, use: Tensor) -> Tensor:
        """Feature entropy of the samples that are used, whose prototypes then follow them."""
        options, memory = self.options.entropy, self.networks["prototypes"]
        assert isinstance(memory, Prototypes)
        pooled = features.float().mean((2, 3))
        if "projection" in self.networks:
            pooled = self.networks["projection"](pooled)
        z = F.normalize(pooled.float(), dim=1)
        each = feature_entropy(z, prompts, memory.anchors, options.tau)
        memory.follow(z.detach(), prompts, use, options.alpha)
        return (each * use).sum() / use.sum().clamp(min=1)

    def _make_denoiser(self) -> Denoiser:
        options, autoencoder = self.options, self._autoencoder
        tile = options.data.patch // autoencoder.factor
        config = options.denoiser.config(tile, autoencoder.channels, self.prompts.count)
        stride = autoencoder.factor * 2 ** (len(options.denoiser.widths) - 1)
        if options.start is None:
            _check_patch(options.data.patch, stride)
            return Denoiser(config)
        started = load_latent_diffusion(options.start)
        known = started.denoiser
        assert isinstance(known, Denoiser)
        _check_patch(options.data.patch, autoencoder.factor * known.stride)
        if started.channels != autoencoder.channels:
            raise OptionError(
                f"start: {options.start} denoises {started.channels} channels, and the autoencoder "
                f"has {autoencoder.channels}; give the autoencoder that it was trained with."
            )
        same = started.prompts == self.prompts
        own = {"sample_size": tile, "num_class_embeds": self.prompts.count}
        denoiser = Denoiser(known.config.model_copy(update=own))
        state = known.network.state_dict()
        if not same:
            state["class_embedding.weight"] = denoiser.network.class_embedding.weight.detach()
        denoiser.network.load_state_dict(state)
        return denoiser


def _check_patch(patch: int, stride: int) -> None:
    if patch % stride:
        raise OptionError(
            f"data.patch: {patch} must be a multiple of {stride}, of autoencoder and denoiser."
        )


@contextmanager
def middle_of(denoiser: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a denoiser's middle block gives in the block, [n, c, h, w] each."""
    found: list[Tensor] = []
    assert isinstance(denoiser, Denoiser)
    layer: nn.Module = denoiser.network.mid_block
    handle = layer.register_forward_hook(lambda _, __, result: found.append(result))
    try:
        yield found
    finally:
        handle.remove()


def weights_of(path: Path) -> list[dict[str, Any]]:
    """What identifies the weights of a model, for the manifest of the data.

    Raises:
        OptionError: there are none.
    """
    files = sorted(path.rglob(WEIGHTS)) if path.is_dir() else [path]
    try:
        marks = [(file.resolve(), fingerprint(file)) for file in files]
    except OSError as error:
        raise OptionError(f"{path}: cannot be read ({error.strerror}).") from error
    return [{"path": str(file), "bytes": m.size, "quickhash": m.quickhash} for file, m in marks]
