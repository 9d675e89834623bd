"""Make networks from options, with the weights that a training starts from."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from uhrtranslate.training.networks.discriminators import PatchDiscriminator
from uhrtranslate.training.options import DiscriminatorOptions, GeneratorOptions

GAIN = 0.02


def make_generator(options: GeneratorOptions) -> nn.Module:
    """A generator with random weights."""
    network = initialise(options.build(), options.init)
    return start_linear(network) if options.init_up == "linear" else network


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


@torch.no_grad()
def start_linear(network: nn.Module) -> nn.Module:
    """Let transposed convolutions of stride 2 start as a linear interpolation of mixed channels.

    Random kernels reach some pixels of their results with one weight and others with four, which
    is seen as a raster until it is unlearned. The same thought as ICNR (Aitken 2017), which starts
    sub-pixel convolutions from the nearest neighbour.
    """
    for layer in network.modules():
        if isinstance(layer, nn.ConvTranspose2d) and layer.stride == (2, 2):
            hats = [
                1 - (torch.arange(k, device=layer.weight.device) - (k - 1) / 2).abs() / 2
                for k in layer.kernel_size
            ]
            layer.weight.copy_(layer.weight[:, :, :1, :1] * torch.outer(*hats))
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
