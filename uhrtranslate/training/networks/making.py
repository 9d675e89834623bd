"""Make networks from options, with the weights that a training starts from."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from uhrtranslate.training.networks.discriminators import PatchDiscriminator
from uhrtranslate.training.options import DiscriminatorOptions, GeneratorOptions

GAIN = 0.02


def make_generator(options: GeneratorOptions) -> nn.Module:
    """A generator with random weights."""
    return initialise(options.build(), options.init)


def make_discriminator(options: DiscriminatorOptions, in_channels: int = 3) -> nn.Module:
    """A discriminator with random weights."""
    network = PatchDiscriminator(
        in_channels, options.ndf, options.layers, options.norm, options.antialias
    )
    return initialise(network, options.init)


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
    """Let gradients flow through networks, but not into their weights, within the block."""
    for network in networks:
        network.requires_grad_(False)
    try:
        yield
    finally:
        for network in networks:
            network.requires_grad_(True)
