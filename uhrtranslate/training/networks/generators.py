"""Generators made of options; the networks themselves are in `models`."""

from torch import nn

from uhrtranslate.training.networks.weights import initialise
from uhrtranslate.training.options import GeneratorOptions


def make_generator(options: GeneratorOptions) -> nn.Module:
    """A generator with random weights."""
    return initialise(options.build(), options.init)
