"""The networks of latent diffusion: diffusers' U-Net and autoencoder, built from checked numbers.

A network's configuration comes from a file that anyone may have written: only what is listed here
is taken, within bounds, and no class is imported because a file names it.
"""

import copy
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn

from uhrtranslate.errors import CheckpointError, require
from uhrtranslate.models.unwrap import first_mismatches, show

_Channels = tuple[Annotated[int, Field(ge=1, le=8192)], ...]
_Count = Annotated[int, Field(ge=1, le=8192)]
_Layers = Annotated[int, Field(ge=1, le=16)]
_Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Levels = Field(min_length=1, max_length=10)
_Act = Literal["silu", "swish", "mish", "gelu", "relu"]


class NetworkConfig(BaseModel):
    """Numbers of a network, as diffusers' own `config.json` names them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    block_out_channels: _Channels = _Levels

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        levels = len(self.block_out_channels)
        for name in ("down_block_types", "up_block_types"):
            if len(getattr(self, name)) != levels:
                raise ValueError(f"{name} must have {levels} names, as block_out_channels")
        groups = getattr(self, "norm_num_groups", 1)
        wrong = [c for c in self.block_out_channels if c % groups]
        if wrong:
            raise ValueError(f"norm_num_groups {groups} does not divide {wrong[0]} channels")
        return self


class DenoiserConfig(NetworkConfig):
    """Of `UNet2DModel`: class-conditional, with the same channels in and out."""

    sample_size: _Count
    in_channels: _Count
    out_channels: _Count
    num_class_embeds: _Count
    down_block_types: tuple[Literal["DownBlock2D", "AttnDownBlock2D"], ...] = _Levels
    up_block_types: tuple[Literal["UpBlock2D", "AttnUpBlock2D"], ...] = _Levels
    mid_block_type: Literal["UNetMidBlock2D"] = "UNetMidBlock2D"
    layers_per_block: _Layers = 2
    add_attention: bool = True
    attention_head_dim: _Count | None = 8
    norm_num_groups: _Count = 32
    attn_norm_num_groups: _Count | None = None
    norm_eps: Annotated[float, Field(gt=0, le=1)] = 1e-5
    act_fn: _Act = "silu"
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    time_embedding_type: Literal["positional"] = "positional"
    time_embedding_dim: _Count | None = None
    flip_sin_to_cos: bool = True
    freq_shift: Annotated[int, Field(ge=0, le=1)] = 0
    center_input_sample: Literal[False] = False
    mid_block_scale_factor: Annotated[float, Field(gt=0, le=100)] = 1
    downsample_padding: Annotated[int, Field(ge=0, le=1)] = 1
    downsample_type: Literal["conv", "resnet"] = "conv"
    upsample_type: Literal["conv", "resnet"] = "conv"
    resnet_time_scale_shift: Literal["default", "scale_shift"] = "default"
    class_embed_type: None = None
    num_train_timesteps: _Count | None = None


class AutoencoderConfig(NetworkConfig):
    """Of `AutoencoderKL`; `sample_size` is the side of the patches that it was trained on."""

    in_channels: Literal[3] = 3
    out_channels: Literal[3] = 3
    latent_channels: Annotated[int, Field(ge=1, le=64)] = 4
    sample_size: _Count = 512
    down_block_types: tuple[Literal["DownEncoderBlock2D"], ...] = _Levels
    up_block_types: tuple[Literal["UpDecoderBlock2D"], ...] = _Levels
    layers_per_block: _Layers = 2
    norm_num_groups: _Count = 32
    act_fn: _Act = "silu"
    scaling_factor: Annotated[float, Field(gt=0, le=1e6)] = 0.18215
    shift_factor: _Number | None = None
    latents_mean: None = None
    latents_std: None = None
    force_upcast: bool = True
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True


class Denoiser(nn.Module):
    """Predicts what was added to latents: diffusers' `UNet2DModel`.

    Args:
        config: of the network.

    Raises:
        MissingExtraError: diffusers is not installed.
    """

    config_class = DenoiserConfig

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.network = _diffusers("UNet2DModel", config)

    def forward(self, latents: Tensor, timesteps: Tensor, prompts: Tensor) -> Tensor:
        """The model's prediction, see `LatentDiffusion.prediction`.

        Args:
            latents: [n, c, h, w] float32; sides are multiples of `stride`.
            timesteps: [n] int64.
            prompts: [n] int64, see `Prompts`.

        Returns: [n, c, h, w].
        """
        made: Tensor = self.network(latents, timesteps, class_labels=prompts, return_dict=False)[0]
        return made

    @property
    def stride(self) -> int:
        """Total downsampling inside the network, in latent pixels."""
        return int(2 ** (len(self.config.block_out_channels) - 1))


class Autoencoder(nn.Module):
    """Between images and latents of mean 0 and deviation 1: diffusers' `AutoencoderKL`.

    Args:
        config: of the network.

    Raises:
        MissingExtraError: diffusers is not installed.
    """

    config_class = AutoencoderConfig

    def __init__(self, config: AutoencoderConfig) -> None:
        super().__init__()
        self.config = config
        self.network = _diffusers("AutoencoderKL", config)

    @property
    def factor(self) -> int:
        """How many pixels of the image are one of the latents, along a side."""
        return int(2 ** (len(self.config.block_out_channels) - 1))

    @property
    def channels(self) -> int:
        """Channels of the latents."""
        return self.config.latent_channels

    @property
    def scale(self) -> float:
        """What latents are multiplied by, so that their deviation is 1."""
        return self.config.scaling_factor

    @property
    def shift(self) -> float:
        """The latents' mean, which is subtracted first."""
        return self.config.shift_factor or 0.0

    @property
    def encoder_reach(self) -> int:
        """How far from a latent pixel's own pixels others can change it, in px at most."""
        levels = [1 << i for i in range(len(self.config.block_out_channels))]
        blocks = sum(2 * self.config.layers_per_block * step for step in levels)
        # The first convolution, halvings to the right, the middle's four, and the last one.
        return 1 + blocks + 2 * sum(levels[:-1]) + 5 * levels[-1]

    @property
    def decoder_reach(self) -> int:
        """How far from a pixel's own latent pixel others can change it, in latent px at most."""
        steps = [1 / (1 << i) for i in range(len(self.config.block_out_channels))]
        blocks = sum(2 * (self.config.layers_per_block + 1) * step for step in steps)
        # The first convolution and the middle's four, doublings, and the last one.
        return math.ceil(5 + blocks + 2 * sum(steps[1:]) + steps[-1])

    def scaled(self, mean: float, std: float) -> "Autoencoder":
        """The same network, for unscaled latents of this mean and standard deviation."""
        other = copy.copy(self)
        factors = {"scaling_factor": 1 / std, "shift_factor": mean}
        other.config = self.config.model_copy(update=factors)
        return other

    def encode(self, images: Tensor) -> Tensor:
        """[n, 3, h, w] in -1..1 to the mean latents, [n, c, h / factor, w / factor], scaled."""
        mean: Tensor = self.network.encode(images).latent_dist.mean
        return (mean - self.shift) * self.scale

    def decode(self, latents: Tensor) -> Tensor:
        """[n, c, h, w], scaled, to images, [n, 3, h * factor, w * factor], about -1..1."""
        plain = latents / self.scale + self.shift
        made: Tensor = self.network.decode(plain).sample
        return made


Network = TypeVar("Network", Denoiser, Autoencoder)


class Stored:
    """A tensor of an open safetensors file that is not read yet.

    Args:
        file: of `opened_safetensors`.
        key: of the tensor.
    """

    def __init__(self, file: Any, key: str) -> None:
        self._file, self._key = file, key
        self.shape = tuple(file.get_slice(key).get_shape())

    def read(self) -> Tensor:
        """The tensor, in float32.

        Raises:
            CheckpointError: it holds something else than finite floating-point numbers.
        """
        tensor: Tensor = self._file.get_tensor(self._key)
        if not tensor.is_floating_point():
            raise CheckpointError(f"{show(self._key)} ({tensor.dtype}) is not a float tensor")
        if not bool(torch.isfinite(tensor).all()):
            raise CheckpointError(f"{show(self._key)} holds NaN or infinity; the training diverged")
        return tensor.float()


def read_network(
    kind: type[Network], values: Mapping[str, Any], tensors: Mapping[str, Stored]
) -> Network:
    """Build a network from a file; memory is taken when the shapes are known to be its own.

    Args:
        kind: `Denoiser` or `Autoencoder`.
        values: its configuration; keys with `_` in front say nothing about the network.
        tensors: of the file.

    Returns: the network on the CPU in float32, in eval mode, without gradients.

    Raises:
        CheckpointError: a value, a key or a shape does not fit, or a weight is no finite number.
        MissingExtraError: diffusers is not installed.
    """
    config = _parse_config(kind.config_class, values)
    try:
        with torch.device("meta"):
            module = kind(config)
    except (RuntimeError, TypeError, ValueError, ZeroDivisionError) as error:
        raise CheckpointError(f"describes no network ({show(error, 200)})") from error
    problems = first_mismatches(module.network.state_dict(), tensors)
    if problems:
        raise CheckpointError(f"not all weights fit: {problems}")
    module.network.load_state_dict({k: one.read() for k, one in tensors.items()}, assign=True)
    return module.eval().requires_grad_(False)


def _parse_config(kind: type[NetworkConfig], values: Mapping[str, Any]) -> Any:
    given = {key: value for key, value in values.items() if not str(key).startswith("_")}
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise CheckpointError(
            f"its network does not fit: {show(place)}{': ' * bool(place)}{show(said, 300)}"
        ) from None


def _diffusers(name: str, config: NetworkConfig) -> Any:
    # Loaded late, as it takes seconds.
    return getattr(require("diffusers", "diffusion"), name)(**config.model_dump())
