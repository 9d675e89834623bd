"""Generators: families of networks, checkpoints of all kinds, the native format; no images."""

from uhrtranslate.models.info import GeneratorInfo as GeneratorInfo
from uhrtranslate.models.load import Generator as Generator
from uhrtranslate.models.load import bundled_generators as bundled_generators
from uhrtranslate.models.load import load_generator as load_generator
from uhrtranslate.models.native import save_native as save_native
from uhrtranslate.models.resnet import ResnetGenerator as ResnetGenerator
