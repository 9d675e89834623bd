"""Describe generators, list the bundled ones, and convert checkpoints to the native format."""

import copy
import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from uhrtranslate.engine import Covariance, GeneratorRunner, measure_covariance, norm_kind
from uhrtranslate.enhance import channels_of, load_tally
from uhrtranslate.errors import OptionError, OutputError
from uhrtranslate.io.files.inputs import read_saved
from uhrtranslate.models.load import Generator, bundled_generators, find_weights, load_generator
from uhrtranslate.models.native import save_native
from uhrtranslate.models.public import save_public
from uhrtranslate.models.torchscript import ENDING, save_script
from uhrtranslate.tables import GENERATOR_FAMILIES, PLANES


@dataclass(frozen=True)
class ModelDescription:
    """Everything known about a generator; `dataclasses.asdict` makes JSON values of it.

    Attributes:
        name: bundled name, file name without suffix, class or factory.
        path: of the weights file; None if there is none.
        architecture: a family of `tables.GENERATOR_FAMILIES`, or where the network's code is.
        arguments: keyword arguments that rebuild the network.
        parameters: number of weights.
        norms: number of norm layers by kind: `instance`, `group`, `layer`, `batch` (with running
            statistics), `batch statistics` (of what it sees); in TorchScript by class.
        replaced: the same, of those alone that follow a normalizer.
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
        inputs: names of the planes that it takes, in `tables.PLANES`.
        channels: names of the output's channels; empty if it is a colour or grey picture.
        input_range, output_range: pixel values that are the ends of its range, of the image's own
            channels (None: those of the type) and in results of float32; see `GeneratorInfo`.
        opaque: whether it is TorchScript, whose norm layers cannot follow a normalizer.
        white_glass: whether bare glass becomes white in its results.
        origin: how it was made, a JSON text; empty if its file does not say.
    """

    name: str
    path: str | None
    architecture: str
    arguments: dict[str, Any]
    parameters: int
    norms: dict[str, int]
    replaced: dict[str, int]
    cell: int | None
    stride: int
    halo: int | None
    covariant: bool
    period: int
    mpp: float | None
    domains: tuple[str, str]
    description: str
    sha256: str
    inputs: tuple[str, ...]
    channels: tuple[str, ...]
    input_range: tuple[float, float] | None
    output_range: tuple[float, float]
    opaque: bool
    white_glass: bool
    origin: str


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
    inputs: Sequence[str] | None = None,
    histogram: Path | None = None,
    channels: Sequence[str] | None = None,
    input_range: tuple[float, float] | None = None,
    output_range: tuple[float, float] | None = None,
    value_range: tuple[float, float] | None = None,
    white_glass: bool | None = None,
) -> ModelDescription:
    """Write a checkpoint in the native format, or in that of the public repositories.

    Args:
        source: anything that `models.load_generator` takes; the facts in a native file are kept.
        target: the file to write: `name.safetensors` in the native format, with facts that other
            checkpoints lack; or `name.pth`, a plain state dict without facts; for a TorchScript
            file, `name.pt`, the same network with facts.
        cell: side in px of the patches it was trained on.
        mpp: micrometres per pixel it was trained at.
        domains: names of the source and the target domain.
        description: a sentence about the generator.
        overwrite: replace an existing target.
        inputs: names in `tables.PLANES` of the planes that it takes, in order.
        histogram: of the target's training images, as `uhrt enhance --save-reference` writes it.
        channels: names of the output's channels, which then is no colour picture.
        input_range, output_range, value_range, white_glass: see `GeneratorInfo`.

    Raises:
        CheckpointError: the source cannot be loaded.
        InputError: the histogram cannot be read.
        OptionError: a fact is out of bounds, or the source belongs to no known family and is no
            TorchScript.
        OutputError: the target exists or cannot be written.
    """
    target = Path(target)
    if target.suffix not in (".safetensors", ".pth", ENDING):
        raise OptionError(
            f"{target}: the suffix must be .safetensors (a native file), .pth (a state dict for "
            f"the public repositories) or {ENDING} (TorchScript)."
        )
    if target.exists() and not overwrite:
        raise OutputError(f"{target}: exists already; choose another name, or use --overwrite")
    generator = load_generator(source)
    opaque = generator.info.opaque
    if not opaque and generator.info.architecture not in GENERATOR_FAMILIES:
        raise OptionError(
            f"{source}: only {', '.join(GENERATOR_FAMILIES)} generators and TorchScript files can "
            f"be converted, not {generator.info.architecture}; say what it takes in a "
            "GeneratorInfo that the function returns beside the network."
        )
    if opaque != (target.suffix == ENDING):
        raise OptionError(
            f"{target}: {generator.name} is {'' if opaque else 'not '}TorchScript; the suffix must "
            f"be {ENDING if opaque else '.safetensors or .pth'}."
        )
    given = {
        "cell": cell, "mpp": mpp, "domains": domains, "description": description,
        "input_range": input_range, "output_range": output_range,
        "value_range": value_range, "white_glass": white_glass,
    }  # fmt: skip
    facts: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if inputs is not None:
        facts["inputs"] = _checked_inputs(inputs, generator.info.in_channels)
    if channels is not None:
        facts["channels"] = tuple(channels)
        gives = generator.info.out_channels
        if len(channels) != gives:
            raise OptionError(
                f"--channels {','.join(channels)}: are {len(channels)} names, and the generator "
                f"gives {gives} channels."
            )
        twice = [name for name, count in Counter(channels).items() if count > 1]
        if twice:
            raise OptionError(f"--channels: {twice[0]} is there twice; give each its own name.")
    if histogram is not None:
        tally = read_saved(histogram, load_tally, "uhrt enhance --save-reference")
        facts["histogram"] = tuple(tally.narrowed().counts.tolist())
    if opaque:
        save_script(target, generator.module, dataclasses.replace(generator.info, **facts))
    elif target.suffix == ".pth":
        if facts:
            raise OptionError(
                f"{target}: a .pth file holds weights alone; leave out {', '.join(facts)}, or "
                "write a .safetensors file."
            )
        save_public(target, generator.module)
    else:
        save_native(target, generator.module, dataclasses.replace(generator.info, **facts))
    return _describe(load_generator(target), target)


def _checked_inputs(names: Sequence[str], channels: int) -> tuple[str, ...]:
    unknown = [name for name in names if name not in PLANES]
    if unknown:
        raise OptionError(f"--inputs {unknown[0]}: is no plane; choose from {', '.join(PLANES)}.")
    try:
        made = channels_of(names)
    except ValueError as error:
        raise OptionError(f"--inputs {','.join(names)}: {error}.") from None
    if made not in (0, channels):
        raise OptionError(
            f"--inputs {','.join(names)}: makes {made} channels; the generator takes {channels}."
        )
    return tuple(names)


def _describe(generator: Generator, path: Path | None) -> ModelDescription:
    info = generator.info
    layers = list(generator.module.modules())
    kinds = [kind for layer in layers if (kind := norm_kind(layer))]
    if info.opaque:
        names = [str(getattr(layer, "original_name", "")) for layer in layers]
        kinds = [(name, False) for name in names if "Norm" in name]
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
        parameters=sum(p.numel() for p in generator.module.parameters()),
        norms=dict(Counter(kind for kind, _ in kinds)),
        replaced=dict(Counter(kind for kind, replaced in kinds if replaced)),
        cell=info.cell,
        stride=info.stride,
        halo=info.halo,
        covariant=found.covariant,
        period=info.period or found.period,
        mpp=info.mpp,
        domains=info.domains,
        description=info.description,
        sha256=generator.digest,
        inputs=info.inputs,
        channels=info.channel_names,
        input_range=info.input_range,
        output_range=info.output_range,
        opaque=info.opaque,
        white_glass=info.white_glass,
        origin=info.origin,
    )
