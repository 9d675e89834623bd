"""Networks from folders as diffusers saves them: `config.json` beside safetensors.

The files are read here, with the checks that all checkpoints get, and nothing in the folder is
imported, run or looked up on the network: pickles and pipelines with code of their own are refused.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models.checkpoint import opened_safetensors, sniff
from uhrtranslate.models.diffusion_networks import (
    Autoencoder,
    Denoiser,
    Network,
    Stored,
    read_network,
)
from uhrtranslate.models.noise import Noise
from uhrtranslate.models.unwrap import show

WEIGHTS = "diffusion_pytorch_model.safetensors"
PIPELINE, CONFIG, SCHEDULER = "model_index.json", "config.json", "scheduler_config.json"
_PICKLES = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"}
_LONGEST = 1_000_000  # bytes of a JSON file; labels of 1000 classes take 30 kB
_MOST_FILES = 10_000
# Names of the attention's weights before diffusers 0.17.
_OLD_NAMES = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}
# What diffusers' schedulers say of noise, and the same in the words of `Noise`.
_NOISE = {
    "prediction_type": "prediction",
    "num_train_timesteps": "train_timesteps",
    "beta_start": "beta_start",
    "beta_end": "beta_end",
    "beta_schedule": "beta_schedule",
}


@dataclass(frozen=True)
class Pipeline:
    """What a pipeline's folder holds.

    Attributes:
        denoiser, autoencoder: on the CPU in float32, in eval mode, without gradients.
        classes: their names; empty if the folder has none.
        noise: as its scheduler has it.
    """

    denoiser: Denoiser
    autoencoder: Autoencoder
    classes: tuple[str, ...]
    noise: Noise


def read_autoencoder(folder: Path) -> Autoencoder:
    """The autoencoder of a folder: of an `AutoencoderKL`, or of a pipeline that has one as `vae`.

    Returns: it on the CPU in float32, in eval mode, without gradients.

    Raises:
        CheckpointError: it holds a pickle or code, is damaged, or is another network.
        MissingExtraError: diffusers is not installed.
    """
    check_folder(folder)
    place = folder / "vae" if (folder / "vae").is_dir() else folder
    return _network(place, "AutoencoderKL", Autoencoder)


def read_pipeline(folder: Path) -> Pipeline:
    """The parts of a pipeline: `unet`, `vae` and, if it is there, `scheduler`.

    Classes are named by `id2label` of its index.

    Raises:
        CheckpointError, MissingExtraError: as in `read_autoencoder`.
    """
    check_folder(folder)
    index = _json(folder / PIPELINE) if (folder / PIPELINE).exists() else {}
    denoiser = _network(folder / "unet", "UNet2DModel", Denoiser)
    autoencoder = _network(folder / "vae", "AutoencoderKL", Autoencoder)
    labels = index.get("id2label")
    classes = tuple(map(str, labels.values())) if isinstance(labels, dict) else ()
    return Pipeline(denoiser, autoencoder, classes, _noise(folder / "scheduler" / SCHEDULER))


def check_folder(folder: Path) -> None:
    """Refuse folders with pickles, which could run code, and pipelines with code of their own.

    Raises:
        CheckpointError: names the file.
    """
    for path in _files(folder):
        if path.suffix in _PICKLES:
            raise CheckpointError(
                f"{path}: is a pickle, which could run code; give a folder with safetensors alone"
            )
        if path.suffix == ".py":
            raise CheckpointError(
                f"{path}: is code of a pipeline of its own, which is not run; give a folder with "
                "config.json and safetensors alone"
            )
    for path in (folder / PIPELINE, folder / CONFIG):
        if path.exists():
            named = _json(path).get("_class_name")
            if isinstance(named, list) or "auto_map" in _json(path):
                raise CheckpointError(
                    f"{path}: names a pipeline with code of its own, which is not run; only "
                    "UNet2DModel and AutoencoderKL can be used"
                )


def _files(folder: Path) -> Iterator[Path]:
    for number, path in enumerate(folder.rglob("*")):
        if number == _MOST_FILES:
            raise CheckpointError(f"{folder}: has more than {_MOST_FILES} files; give the model's")
        yield path


def _json(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _LONGEST:
            raise CheckpointError(
                f"{path}: is larger than {_LONGEST} bytes; it is no configuration"
            )
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: there is no such file; give a folder as diffusers saves it"
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON; copy it again") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: is not a configuration of diffusers; copy it again")
    return content


def _network(folder: Path, name: str, kind: type[Network]) -> Network:
    values = _json(folder / CONFIG)
    found = values.get("_class_name")
    if found != name:
        raise CheckpointError(
            f"{folder / CONFIG}: is of a {show(found)}, and only {name} can be used here"
        )
    path = folder / WEIGHTS
    if not path.exists():
        raise CheckpointError(
            f"{path}: there is no such file; save the network with safe_serialization=True, in one "
            "file"
        )
    if sniff(path) != "safetensors":
        raise CheckpointError(f"{path}: is not a safetensors file; copy it again")
    with opened_safetensors(path) as file:
        try:
            tensors = {_current(key): Stored(file, key) for key in file.keys()}  # noqa: SIM118
            return read_network(kind, values, tensors)
        except CheckpointError as error:
            raise CheckpointError(f"{folder}: {show(error, 400)}") from error


def _current(key: str) -> str:
    for old, new in _OLD_NAMES.items():
        key = key.replace(old, new)
    return key


def _noise(path: Path) -> Noise:
    if not path.exists():
        return Noise()
    values = _json(path)
    given = {own: values[theirs] for theirs, own in _NOISE.items() if theirs in values}
    try:
        return Noise.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise CheckpointError(f"{path}: {first['loc'][0]} does not fit: {first['msg']}") from None
