"""Describe generators, list the bundled ones, and convert checkpoints to the native format."""

import copy
import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from uhrtranslate.engine import Covariance, GeneratorRunner, measure_covariance
from uhrtranslate.errors import OptionError, OutputError
from uhrtranslate.models.load import Generator, bundled_generators, find_weights, load_generator
from uhrtranslate.models.native import save_native
from uhrtranslate.models.public import save_public
from uhrtranslate.tables import GENERATOR_FAMILIES

_NORMS = {
    "instance": nn.modules.instancenorm._InstanceNorm,
    "batch": nn.modules.batchnorm._BatchNorm,
    "group": nn.GroupNorm,
    "layer": nn.LayerNorm,
}


@dataclass(frozen=True)
class ModelDescription:
    """Everything known about a generator; `dataclasses.asdict` makes JSON values of it.

    Attributes:
        name: bundled name, file name without suffix, class or factory.
        path: of the weights file; None if there is none.
        architecture: a family of `tables.GENERATOR_FAMILIES`, or where the network's code is.
        arguments: keyword arguments that rebuild the network.
        parameters: number of weights.
        norms: number of norm layers by kind; a normalizer replaces the `instance` ones.
        cell: side of the training patches in px; None if unknown.
        stride: total downsampling in px.
        halo: neighbouring px that a tile needs; None if it has to be measured.
        covariant: whether its output is shifted with its input by any multiple of the stride;
            tiles of others are blended. Measured if the network does not say.
        period: px of which the places of tiles are multiples.
        mpp: micrometres per pixel of the training images; None if unknown.
        domains: names of the source and the target domain.
        description: a sentence about the generator.
        sha256: digest of the weights, see `models.Generator`.
    """

    name: str
    path: str | None
    architecture: str
    arguments: dict[str, Any]
    parameters: int
    norms: dict[str, int]
    cell: int | None
    stride: int
    halo: int | None
    covariant: bool
    period: int
    mpp: float | None
    domains: tuple[str, str]
    description: str
    sha256: str


def describe_model(model: str | Path | nn.Module) -> ModelDescription:
    """Load a generator and describe it.

    Args:
        model: anything that `models.load_generator` takes.

    Raises:
        CheckpointError: it cannot be loaded.
    """
    generator = load_generator(model)
    path = None if isinstance(model, nn.Module) else find_weights(model)[0]
    return _describe(generator, path)


def list_models() -> list[ModelDescription]:
    """Describe the bundled generators.

    Raises:
        CheckpointError: one of them is damaged.
    """
    return [describe_model(name) for name in bundled_generators()]


def convert_model(
    source: str | Path,
    target: str | Path,
    cell: int | None = None,
    mpp: float | None = None,
    domains: tuple[str, str] | None = None,
    description: str | None = None,
    overwrite: bool = False,
) -> ModelDescription:
    """Write a checkpoint in the native format, or in that of the public repositories.

    Args:
        source: anything that `models.load_generator` takes; the facts in a native file are kept.
        target: the file to write: `name.safetensors` in the native format, with facts that other
            checkpoints lack; or `name.pth`, a plain state dict without facts.
        cell: side in px of the patches it was trained on.
        mpp: micrometres per pixel it was trained at.
        domains: names of the source and the target domain.
        description: a sentence about the generator.
        overwrite: replace an existing target.

    Raises:
        CheckpointError: the source cannot be loaded.
        OptionError: a fact is out of bounds, or the source belongs to no known family.
        OutputError: the target exists or cannot be written.
    """
    target = Path(target)
    if target.suffix not in (".safetensors", ".pth"):
        raise OptionError(
            f"{target}: the suffix must be .safetensors (a native file) or .pth (a state dict for "
            "the public repositories)."
        )
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists already; choose another name, or use --overwrite")
    generator = load_generator(source)
    if generator.info.architecture not in GENERATOR_FAMILIES:
        raise OptionError(
            f"{source}: only {', '.join(GENERATOR_FAMILIES)} generators can be converted, "
            f"not {generator.info.architecture}"
        )
    given = {"cell": cell, "mpp": mpp, "domains": domains, "description": description}
    facts: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if target.suffix == ".pth":
        if facts:
            raise OptionError(
                f"{target}: a .pth file holds weights alone; leave out {', '.join(facts)}, or "
                "write a .safetensors file."
            )
        save_public(target, generator.module)
    else:
        save_native(target, generator.module, dataclasses.replace(generator.info, **facts))
    return _describe(load_generator(target), target)


def _describe(generator: Generator, path: Path | None) -> ModelDescription:
    info = generator.info
    layers = list(generator.module.modules())
    norms = Counter(k for layer in layers for k, base in _NORMS.items() if isinstance(layer, base))
    parameters = sum(p.numel() for p in generator.module.parameters())
    found = Covariance(info.covariant is True, info.period or info.stride)
    if info.covariant is None:
        # On a copy, whose norm layers the runner replaces.
        copied = dataclasses.replace(generator, module=copy.deepcopy(generator.module))
        found = measure_covariance(GeneratorRunner(copied, torch.device("cpu")))
    return ModelDescription(
        name=generator.name,
        path=None if path is None else str(path),
        architecture=info.architecture,
        arguments=info.arguments,
        parameters=parameters,
        norms=dict(norms),
        cell=info.cell,
        stride=info.stride,
        halo=info.halo,
        covariant=found.covariant,
        period=info.period or found.period,
        mpp=info.mpp,
        domains=info.domains,
        description=info.description,
        sha256=generator.digest,
    )
