"""The weights a training starts from, and which of them a loss may reach."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

GAIN = 0.02


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
