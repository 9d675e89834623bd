"""Options of each method, whose defaults are its paper's, and how they are read."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from uhrtranslate.errors import OptionError
from uhrtranslate.training.options import (
    DataOptions,
    DiscriminatorOptions,
    GeneratorOptions,
    TrainOptions,
    ValidationOptions,
    Weight,
)

Layers = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1, max_length=16)]


class CycleGanOptions(TrainOptions):
    """CycleGAN (Zhu 2017).

    Attributes:
        cycle: weight of the way there and back.
        identity: weight of a domain's own patches being left alone, as a share of `cycle`.
        pool: fakes that the discriminators are shown again.
    """

    method: Literal["cyclegan"] = "cyclegan"
    cycle: Weight = 10.0
    identity: Weight = 0.5
    pool: Annotated[int, Field(ge=0, le=10_000)] = 50


class _BlurredGenerator(GeneratorOptions):
    antialias: bool = True
    init: Literal["normal", "xavier"] = "xavier"


class _BlurredDiscriminator(DiscriminatorOptions):
    antialias: bool = True
    init: Literal["normal", "xavier"] = "xavier"


class CutOptions(TrainOptions):
    """CUT (Park 2020).

    Attributes:
        adversarial, nce: weights of the two losses.
        identity: PatchNCE of the target domain's own patches too, half of the weight.
        layers: numbers of the generator's layers whose outputs are contrasted.
        patches: places per layer.
        width: of the projector.
        temperature: of the contrast.
        flip: half of the steps work on mirrored patches, and contrast mirrored features.
    """

    method: Literal["cut"] = "cut"
    generator: GeneratorOptions = _BlurredGenerator()
    discriminator: DiscriminatorOptions = _BlurredDiscriminator()
    adversarial: Weight = 1.0
    nce: Weight = 1.0
    identity: bool = True
    layers: Layers = (0, 4, 8, 12, 16)
    patches: Annotated[int, Field(ge=2, le=65536)] = 256
    width: Annotated[int, Field(ge=1, le=4096)] = 256
    temperature: Annotated[float, Field(gt=0)] = 0.07
    flip: bool = False

    @model_validator(mode="after")
    def _layers_are_there(self) -> Self:
        if self.generator.architecture != "resnet":
            raise ValueError("cut takes features of a resnet; set generator.architecture: resnet")
        last = (11 if self.generator.antialias else 9) + self.generator.blocks
        if max(self.layers) > last:
            raise ValueError(
                f"layers: {max(self.layers)} is behind the generator's last residual block, {last}"
            )
        return self


class FastCutOptions(CutOptions):
    """FastCUT: no identity, a larger weight, mirrored features."""

    method: Literal["fastcut"] = "fastcut"  # type: ignore[assignment]
    nce: Weight = 10.0
    identity: bool = False
    flip: bool = True


class LSeSimOptions(TrainOptions):
    """L-LSeSim (Zheng 2021), the learned self-similarity.

    Attributes:
        adversarial, similarity: weights of the two losses.
        vgg: VGG16 weights in torchvision's layout (.pth, .safetensors), as the paper has; None:
            random weights, which see less.
        vgg_width: channels of the first convolutions; 64 with given weights.
        layers: rectified convolutions that are compared, counted from 1.
        patches: places per layer.
        window: side in feature px of the surroundings that a place is compared with.
        width: of the learned projections.
        temperature: of the contrast that they learn from.
    """

    method: Literal["lsesim"] = "lsesim"
    generator: GeneratorOptions = _BlurredGenerator()
    discriminator: DiscriminatorOptions = _BlurredDiscriminator()
    adversarial: Weight = 1.0
    similarity: Weight = 10.0
    vgg: Path | None = None
    vgg_width: Annotated[int, Field(ge=1, le=64)] = 64
    layers: Annotated[
        tuple[Annotated[int, Field(ge=1, le=13)], ...], Field(min_length=1, max_length=13)
    ] = (4, 7, 9)
    patches: Annotated[int, Field(ge=2, le=65536)] = 256
    window: Annotated[int, Field(ge=2, le=512)] = 64
    width: Annotated[int, Field(ge=1, le=4096)] = 256
    temperature: Annotated[float, Field(gt=0)] = 0.07

    @model_validator(mode="after")
    def _weights_have_a_width(self) -> Self:
        if self.vgg is not None and self.vgg_width != 64:
            raise ValueError("vgg_width must be 64 with vgg, as its weights are")
        return self


class _PixGenerator(GeneratorOptions):
    architecture: Literal["resnet", "unet"] = "unet"
    norm: Literal["instance", "batch"] = "batch"
    dropout: bool = True


class _BatchNormed(DiscriminatorOptions):
    norm: Literal["instance", "batch"] = "batch"


class _PyramidGenerator(GeneratorOptions):
    norm: Literal["instance", "batch"] = "batch"
    dropout: bool = True


class Pix2PixOptions(TrainOptions):
    """pix2pix (Isola 2017).

    Attributes:
        adversarial, l1: weights of the two losses; adversarial 0 trains without a discriminator.
        gan: vanilla (cross-entropy) or lsgan.
    """

    method: Literal["pix2pix"] = "pix2pix"
    generator: GeneratorOptions = _PixGenerator()
    discriminator: DiscriminatorOptions = _BatchNormed()
    epochs: Annotated[int, Field(ge=0)] = 100
    decay: Annotated[int, Field(ge=0)] = 100
    adversarial: Weight = 1.0
    l1: Weight = 100.0
    gan: Literal["vanilla", "lsgan"] = "vanilla"


class PyramidOptions(Pix2PixOptions):
    """Pyramid pix2pix (Liu 2022).

    Attributes:
        pyramid: weights of the differences at 1/2, 1/4, 1/8, ... of the size (S1, S2, S3).
    """

    method: Literal["pyramid-pix2pix"] = "pyramid-pix2pix"  # type: ignore[assignment]
    generator: GeneratorOptions = _PyramidGenerator()
    epochs: Annotated[int, Field(ge=0)] = 50
    decay: Annotated[int, Field(ge=0)] = 50
    batch: Annotated[int, Field(ge=1, le=1024)] = 2
    l1: Weight = 25.0
    pyramid: Annotated[tuple[Weight, ...], Field(min_length=1, max_length=6)] = (25.0, 25.0, 25.0)


METHOD_OPTIONS: dict[str, type[TrainOptions]] = {
    "cyclegan": CycleGanOptions,
    "cut": CutOptions,
    "fastcut": FastCutOptions,
    "lsesim": LSeSimOptions,
    "pix2pix": Pix2PixOptions,
    "pyramid-pix2pix": PyramidOptions,
}


def make_train_options(values: dict[str, Any]) -> TrainOptions:
    """Validate the options of a training.

    Args:
        values: by name, as a configuration file holds them; sections are dicts.

    Raises:
        OptionError: names the first wrong option, by its dotted name, and what it may be.
    """
    name = values.get("method")
    kind = METHOD_OPTIONS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise OptionError(
            f"method: must be one of {', '.join(METHOD_OPTIONS)}"
            + (f", not {name!r}." if name is not None else "; it is missing.")
        )
    try:
        return kind.model_validate(_with_method_defaults(kind, values))
    except ValidationError as error:
        raise OptionError(_sentence(kind, error)) from error


def _with_method_defaults(kind: type[TrainOptions], values: dict[str, Any]) -> dict[str, Any]:
    """Fill given sections with the method's own defaults, which differ from the section's."""
    filled = dict(values)
    for section in ("generator", "discriminator"):
        given = values.get(section)
        default = kind.model_fields[section].default
        if isinstance(given, dict):
            filled[section] = {**default.model_dump(), **given}
    return filled


def set_option(values: dict[str, Any], assignment: str) -> None:
    """Put `key=value` into nested options, as `data.patch=64`; the value is read as YAML.

    Raises:
        OptionError: it is no assignment, or goes into something that is no section.
    """
    name, equals, text = assignment.partition("=")
    if not equals or not name.strip():
        raise OptionError(f"--set {assignment}: must be KEY=VALUE, as data.patch=256.")
    *sections, last = name.strip().replace("-", "_").split(".")
    place = values
    for section in sections:
        place = place.setdefault(section, {})
        if not isinstance(place, dict):
            raise OptionError(f"--set {assignment}: {section} is no section with options in it.")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise OptionError(f"--set {assignment}: the value cannot be read as YAML.") from error


def _sentence(kind: type[TrainOptions], error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"]) or "options"
    if first["type"] == "extra_forbidden":
        return f"{name}: there is no such option{_nearest(kind, first['loc'])}."
    if first["type"] == "missing":
        return f"{name}: is missing; every training needs it."
    message = first["msg"].removeprefix("Value error, ")
    shown = f" (got {first['input']!r})" if not isinstance(first["input"], dict) else ""
    return f"{name}: {message[:1].lower()}{message[1:]}{shown}."


def _nearest(kind: type[BaseModel], place: tuple[int | str, ...]) -> str:
    fields = kind.model_fields
    sections: dict[str, type[BaseModel]] = {
        "data": DataOptions,
        "generator": GeneratorOptions,
        "discriminator": DiscriminatorOptions,
        "validation": ValidationOptions,
    }
    if len(place) > 1 and str(place[0]) in sections:
        fields = sections[str(place[0])].model_fields
    near = difflib.get_close_matches(str(place[-1]), fields, 1)
    return f"; {near[0]} is near" if near else f"; there are {', '.join(fields)}"
