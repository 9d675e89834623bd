"""Networks made of options, with the weights a training starts from."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from uhrtranslate.models import GeneratorInfo
from uhrtranslate.tables import GENERATOR_FAMILIES
from uhrtranslate.training.networks.discriminators import PatchDiscriminator
from uhrtranslate.training.options import DiscriminatorOptions, GeneratorOptions, TrainOptions

GAIN = 0.02


def generator_arguments(options: GeneratorOptions) -> dict[str, bool | int | str]:
    """Keyword arguments of the family's network."""
    common = {
        "ngf": options.ngf,
        "dropout": options.dropout,
        "affine": options.affine and options.norm == "instance",
        "norm": options.norm,
        "bias": options.norm == "instance",
    }
    if options.architecture == "unet":
        return {**common, "n_downs": options.downs}
    return {
        **common,
        "n_blocks": options.blocks,
        "antialias": options.antialias,
        "antialias_up": options.antialias,
    }


def make_generator(options: GeneratorOptions) -> nn.Module:
    """A generator with random weights."""
    network = GENERATOR_FAMILIES[options.architecture].build(**generator_arguments(options))
    return initialise(network, options.init)


def make_discriminator(options: DiscriminatorOptions, in_channels: int = 3) -> nn.Module:
    """A discriminator with random weights."""
    network = PatchDiscriminator(
        in_channels, options.ndf, options.layers, options.norm, options.antialias
    )
    return initialise(network, options.init)


def generator_info(options: TrainOptions, direction: str, mpp: float | None) -> GeneratorInfo:
    """The facts of a trained generator that `uhrt translate` needs.

    Args:
        options: of its training.
        direction: A2B or B2A.
        mpp: of the training patches.
    """
    arguments = generator_arguments(options.generator)
    a, b = options.domains
    return GeneratorInfo(
        architecture=options.generator.architecture,
        arguments=arguments,
        stride=GENERATOR_FAMILIES[options.generator.architecture].stride(arguments),
        cell=options.data.patch,
        mpp=mpp,
        domains=(a, b) if direction == "A2B" else (b, a),
        description=options.description or f"Trained with {options.method} by uhrt train.",
    )


def initialise(network: nn.Module, kind: str = "normal") -> nn.Module:
    """Weights around zero: normal with std 0.02 (CycleGAN, pix2pix), or Xavier's times 0.02 (CUT).

    Batch norms start around 1, biases at 0.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            if kind == "xavier":
                nn.init.xavier_normal_(layer.weight, GAIN)
            else:
                nn.init.normal_(layer.weight, 0, GAIN)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1, GAIN)
            nn.init.zeros_(layer.bias)
    return network


@contextmanager
def frozen(*networks: nn.Module) -> Iterator[None]:
    """Networks that gradients flow through, not into, when used in the block."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)
