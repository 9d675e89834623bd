"""From the name of a model, a file or a network to a generator that the engine can run."""

import copy
import hashlib
import importlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from uhrtranslate.errors import CheckpointError
from uhrtranslate.models.checkpoint import info_of, load_checkpoint
from uhrtranslate.models.info import GeneratorInfo
from uhrtranslate.models.latent_diffusion import is_latent_diffusion
from uhrtranslate.models.measure import measure_info
from uhrtranslate.models.native import is_native, load_native
from uhrtranslate.models.torchscript import is_script, load_script
from uhrtranslate.models.unwrap import recognise, show

DEFAULT = "he2ihc"
WEIGHTS = Path(__file__).parent / "weights"

_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


@dataclass(frozen=True)
class Generator:
    """A generator, ready to run, and its facts.

    Attributes:
        module: on the CPU, float32, eval mode, without gradients.
        info: the facts that the engine reads.
        name: a bundled name, the file's name without suffix, or the class or factory.
        digest: SHA-256, hexadecimal: of the weights file, as `sha256sum` gives it; of keys and
            weights if there is no file, or if one of several generators in it was chosen.
    """

    module: nn.Module
    info: GeneratorInfo
    name: str
    digest: str


def bundled_generators() -> list[str]:
    """Names of the generators that come with the package, sorted."""
    return sorted(path.stem for path in WEIGHTS.glob("*.safetensors"))


def load_generator(model: str | Path | nn.Module = DEFAULT) -> Generator:
    """Load a generator.

    Args:
        model: one of
            a bundled name (`bundled_generators()`);
            a checkpoint, native file or state dict: `latest_net_G.pth`;
            a TorchScript file, which is run as it is (see `models.torchscript`);
            one of several generators in a checkpoint: `checkpoint.pth:G_B`;
            a function without arguments, `package.module:factory`, that returns a network, or a
            network and its GeneratorInfo; it is also searched in the current directory, and run;
            a network, which is copied.

    Raises:
        CheckpointError: there is nothing of this name, or no generator in it.
    """
    if isinstance(model, nn.Module):
        module = copy.deepcopy(model)
        name = type(model).__name__
        return _from_module(module, name, f"{type(model).__module__}:{type(model).__qualname__}")
    path, part = find_weights(model)
    if path is None:
        return _from_factory(str(model))
    module, info = _from_file(path, part)
    digest = digest_file(path) if part is None else digest_state(module)
    return Generator(module, info, path.stem if part is None else f"{path.stem}:{part}", digest)


def find_weights(model: str | Path) -> tuple[Path | None, str | None]:
    """Find the file that the name of a model stands for.

    Returns: the file, and the part that was asked for; None for `package.module:factory`.

    Raises:
        CheckpointError: there is no such file, and no bundled generator of this name.
    """
    text = str(model)
    if isinstance(model, str) and text in bundled_generators():
        return WEIGHTS / f"{text}.safetensors", None
    if Path(text).is_file():
        return Path(text), None
    if Path(text).is_dir():
        raise CheckpointError(f"{text}: is a folder; give one of the checkpoints in it")
    file, _, part = text.rpartition(":")
    if part and file and Path(file).is_file():
        return Path(file), part
    if isinstance(model, str) and _FACTORY.fullmatch(text) and not file.endswith(_SUFFIXES):
        return None, None
    names = ", ".join(bundled_generators()) or "none installed"
    raise CheckpointError(
        f"{show(text, 300)}: is neither a file nor a bundled generator ({names}); check the path"
    )


def digest_file(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_state(module: nn.Module) -> str:
    """SHA-256 of a network's keys and weights, hexadecimal."""
    digest = hashlib.sha256()
    for key, tensor in sorted(module.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        digest.update(f"{key} {plain.dtype} {tuple(plain.shape)};".encode())
        digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _from_file(path: Path, part: str | None) -> tuple[nn.Module, GeneratorInfo]:
    if is_script(path):
        if part is not None:
            raise CheckpointError(
                f"{path}: is a TorchScript file of one network; leave out :{show(part)}"
            )
        return load_script(path)
    if is_latent_diffusion(path):
        raise CheckpointError(
            f"{path}: is a latent diffusion model, or the autoencoder of one, and no generator; "
            "give it to uhrt synthesize or uhrt upscale"
        )
    native = part is None and is_native(path)
    return load_native(path) if native else load_checkpoint(path, part)


def _from_factory(text: str) -> Generator:
    module_name, _, factory_name = text.partition(":")
    try:
        with _current_directory():
            factory: Any = importlib.import_module(module_name)
            for word in factory_name.split("."):
                factory = getattr(factory, word)
            made = factory()
    except Exception as error:  # the user's code may raise any exception
        raise CheckpointError(
            f"{text}: is neither a file nor a function that makes a network "
            f"({type(error).__name__}: {show(error, 200)})"
        ) from error
    info = None
    if isinstance(made, tuple) and len(made) == 2 and isinstance(made[1], GeneratorInfo):
        made, info = made
    if not isinstance(made, nn.Module):
        raise CheckpointError(
            f"{text}: returned {type(made).__name__}; it must return an nn.Module, or an nn.Module "
            "and a GeneratorInfo"
        )
    return _from_module(made, text, text, info)


def _from_module(
    module: nn.Module, name: str, architecture: str, info: GeneratorInfo | None = None
) -> Generator:
    module = module.cpu().float().eval().requires_grad_(False)
    if info is None:
        known = recognise(module.state_dict())
        if known is not None and type(module) is known[0].build:
            info = info_of(*known)
        else:
            info = measure_info(module, architecture)
    return Generator(module, info, name, digest_state(module))


@contextmanager
def _current_directory() -> Iterator[None]:
    """Also import from the current directory, after all installed packages."""
    here = os.getcwd()
    added = here not in sys.path
    if added:
        sys.path.append(here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if added:
            sys.path.remove(here)
