"""A latent diffusion model: denoiser, autoencoder and prompts, in one safetensors file.

The file's metadata holds one JSON text: a format version, the configurations of both networks, the
classes and the noise schedule. Sizes are checked against the weights before memory is taken.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import save
from torch import nn

from uhrtranslate.errors import CheckpointError, OptionError
from uhrtranslate.models.checkpoint import has_metadata, opened_safetensors
from uhrtranslate.models.diffusers_folder import read_autoencoder, read_pipeline
from uhrtranslate.models.diffusion_networks import Autoencoder, Denoiser, Stored, read_network
from uhrtranslate.models.noise import BetaSchedule, Noise, Prediction
from uhrtranslate.models.prompts import LEVELS, Prompts
from uhrtranslate.models.public import write_whole
from uhrtranslate.models.unwrap import show

FORMAT = 1
KEY = "uhrt-latent-diffusion"

_Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Header(BaseModel):
    model_config = ConfigDict(extra="forbid")

    format: int
    autoencoder: dict[str, Any]
    denoiser: dict[str, Any] | None = None
    classes: list[_Name] = Field(default=[], max_length=2000)
    noise: Noise = Noise()
    shrink: Annotated[int, Field(ge=1, le=1024)] = 4
    mpp: float | None = Field(default=None, gt=0, le=1000, allow_inf_nan=False)
    description: Annotated[str, Field(max_length=2000)] = ""


@dataclass(frozen=True)
class LatentDiffusion:
    """A model that makes images of a class out of noise.

    Attributes:
        denoiser: see `Denoiser`; called with latents, timesteps and prompts.
        autoencoder: see `Autoencoder`; encodes images and decodes latents.
        prompts: what it can be asked for.
        noise: the schedule it was trained with.
        shrink: how much smaller than native patches the level `overall` shows things.
        mpp: micrometres per pixel of native patches; None if unknown.
        description: a sentence for people.
    """

    denoiser: nn.Module
    autoencoder: nn.Module
    prompts: Prompts
    noise: Noise
    tile: int
    factor: int
    channels: int
    shrink: int = 4
    mpp: float | None = None
    description: str = ""

    @property
    def prediction(self) -> Prediction:
        """What the denoiser predicts: epsilon, sample or v_prediction."""
        return self.noise.prediction

    @property
    def train_timesteps(self) -> int:
        """Timesteps of the forward process."""
        return self.noise.train_timesteps

    @property
    def beta_start(self) -> float:
        """Variance of the noise of the first timestep."""
        return self.noise.beta_start

    @property
    def beta_end(self) -> float:
        """Variance of the noise of the last timestep."""
        return self.noise.beta_end

    @property
    def beta_schedule(self) -> BetaSchedule:
        """How variances rise between them, by diffusers' names."""
        return self.noise.beta_schedule


def joined(
    denoiser: Denoiser,
    autoencoder: Autoencoder,
    classes: Sequence[str],
    noise: Noise,
    **facts: Any,
) -> LatentDiffusion:
    """A model of networks that fit each other.

    Args:
        denoiser, autoencoder, noise: see `LatentDiffusion`.
        classes: names of the classes; empty numbers them.
        facts: `shrink`, `mpp` and `description`.

    Raises:
        CheckpointError: they do not fit; says which numbers differ.
        OptionError: two classes have the same name.
    """
    config = denoiser.config
    known = (config.num_class_embeds - 1) // len(LEVELS)
    prompts = Prompts(tuple(classes or map(str, range(known))) or ("0",))
    if (config.in_channels, config.out_channels) != (autoencoder.channels,) * 2:
        raise CheckpointError(
            f"the denoiser takes {config.in_channels} channels and gives {config.out_channels}, "
            f"and the autoencoder has {autoencoder.channels}"
        )
    if config.num_class_embeds != prompts.count:
        raise CheckpointError(
            f"the denoiser knows {config.num_class_embeds} prompts, and {len(prompts.classes)} "
            f"classes at two levels, and none of them, are {prompts.count}"
        )
    if config.sample_size % denoiser.stride:
        raise CheckpointError(
            f"its tile of {config.sample_size} is no multiple of {denoiser.stride}"
        )
    sizes = (config.sample_size, autoencoder.factor, autoencoder.channels)
    return LatentDiffusion(denoiser, autoencoder, prompts, noise, *sizes, **facts)


def save_latent_diffusion(path: Path, model: LatentDiffusion, half: bool = False) -> None:
    """Write a model to one safetensors file; an existing one is replaced, in one step.

    Args:
        path: the file, usually `name.safetensors`.
        model: its networks are `Denoiser` and `Autoencoder`.
        half: store float16, which loads as float32.

    Raises:
        OptionError: a fact is out of bounds.
        OutputError: the file cannot be written.
    """
    assert isinstance(model.denoiser, Denoiser)
    facts = {
        "denoiser": model.denoiser.config.model_dump(),
        "classes": model.prompts.classes,
        "noise": model.noise.model_dump(),
        "shrink": model.shrink,
        "mpp": model.mpp,
        "description": model.description,
    }
    parts = {"denoiser": model.denoiser, "autoencoder": model.autoencoder}
    _save(path, parts, facts, half)


def save_autoencoder(
    path: Path,
    autoencoder: Autoencoder,
    mpp: float | None = None,
    description: str = "",
    half: bool = False,
) -> None:
    """Write an autoencoder by itself, as `save_latent_diffusion` does."""
    _save(path, {"autoencoder": autoencoder}, {"mpp": mpp, "description": description}, half)


def _save(path: Path, parts: Mapping[str, Any], facts: dict[str, Any], half: bool) -> None:
    autoencoder: Autoencoder = parts["autoencoder"]
    header = {"format": FORMAT, "autoencoder": autoencoder.config.model_dump(), **facts}
    try:
        _Header.model_validate(header)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise OptionError(f"{place} of the model cannot be stored: {first['msg']}.") from error
    tensors = {
        f"{name}.{key}": (t.half() if half else t.float()).detach().cpu().contiguous().clone()
        for name, part in parts.items()
        for key, t in part.network.state_dict().items()
    }
    write_whole(path, save(tensors, {KEY: json.dumps(header)}))


def is_latent_diffusion(path: Path) -> bool:
    """Whether a file is of this format, with a denoiser or without.

    Raises:
        CheckpointError: the file cannot be read, or is no checkpoint.
    """
    return has_metadata(path, KEY)


def load_latent_diffusion(path: str | Path) -> LatentDiffusion:
    """Load a model.

    Args:
        path: a file of `save_latent_diffusion`, or a folder as diffusers saves pipelines (see
            `diffusers_folder`).

    Returns: its networks are on the CPU in float32, in eval mode, without gradients.

    Raises:
        CheckpointError: there is no such file, it is damaged, of a newer format, holds no
            denoiser, weights and metadata tell of different networks, or a folder holds a pickle
            or code.
        MissingExtraError: diffusers is not installed.
    """
    path = Path(path)
    if path.is_dir():
        folder = read_pipeline(path)
        return _checked(path, folder.denoiser, folder.autoencoder, folder.classes, folder.noise)
    header, autoencoder, denoiser = _read(path)
    if denoiser is None:
        raise CheckpointError(
            f"{path}: holds an autoencoder alone; give a model that was trained with pathup"
        )
    facts = {"shrink": header.shrink, "mpp": header.mpp, "description": header.description}
    return _checked(path, denoiser, autoencoder, header.classes, header.noise, **facts)


def load_autoencoder(path: str | Path) -> Autoencoder:
    """Load an autoencoder: of a file of method `autoencoder` or `pathup`, or of a folder.

    Raises:
        CheckpointError, MissingExtraError: as in `load_latent_diffusion`.
    """
    path = Path(path)
    return read_autoencoder(path) if path.is_dir() else _read(path)[1]


def _checked(path: Path, *parts: Any, **facts: Any) -> LatentDiffusion:
    try:
        return joined(*parts, **facts)
    except (CheckpointError, OptionError) as error:
        raise CheckpointError(f"{path}: {show(error, 400)}") from error


def _read(path: Path) -> tuple[_Header, Autoencoder, Denoiser | None]:
    if not is_latent_diffusion(path):
        raise CheckpointError(f"{path}: holds no latent diffusion model of uhrt train")
    with opened_safetensors(path) as file:
        try:
            header = _parse(file.metadata()[KEY])
            autoencoder = read_network(Autoencoder, header.autoencoder, _part(file, "autoencoder."))
            if header.denoiser is None:
                return header, autoencoder, None
            denoiser = read_network(Denoiser, header.denoiser, _part(file, "denoiser."))
            return header, autoencoder, denoiser
        except (CheckpointError, ValueError) as error:
            raise CheckpointError(f"{path}: {show(error, 400)}") from error


def _part(file: Any, prefix: str) -> dict[str, Stored]:
    keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
    return {key.removeprefix(prefix): Stored(file, key) for key in keys}


def _parse(text: str) -> _Header:
    try:
        fields: Any = json.loads(text[:1_000_000])
    except (ValueError, RecursionError) as error:
        raise ValueError("its metadata is no valid JSON") from error
    version = fields.get("format") if isinstance(fields, dict) else None
    if isinstance(version, int) and version > FORMAT:
        raise ValueError(f"its format is {version}, newer than {FORMAT}; update uhrtranslate")
    try:
        return _Header.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ValueError(f"its metadata is wrong at {show(place)}: {first['msg']}") from None
