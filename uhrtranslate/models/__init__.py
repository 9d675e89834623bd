"""Generators: families of networks, checkpoints of all kinds, the native format; no images."""

from uhrtranslate.models.family import Family
from uhrtranslate.models.info import GeneratorInfo
from uhrtranslate.models.kaminyou import KaminyouGenerator
from uhrtranslate.models.load import DEFAULT, Generator, bundled_generators, load_generator
from uhrtranslate.models.native import load_native, save_native
from uhrtranslate.models.public import save_public
from uhrtranslate.models.resnet import ResnetGenerator
from uhrtranslate.models.unet import UnetGenerator

__all__ = [
    "DEFAULT",
    "Family",
    "Generator",
    "GeneratorInfo",
    "KaminyouGenerator",
    "ResnetGenerator",
    "UnetGenerator",
    "bundled_generators",
    "load_generator",
    "load_native",
    "save_native",
    "save_public",
]
