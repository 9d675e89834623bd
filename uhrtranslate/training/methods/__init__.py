"""The table of all methods; a new one is one file, its options, and one name here."""

from typing import Any

from uhrtranslate.training.methods.base import Method, Phase
from uhrtranslate.training.methods.cut import Cut
from uhrtranslate.training.methods.cyclegan import CycleGan
from uhrtranslate.training.methods.lsesim import LSeSim
from uhrtranslate.training.methods.pix2pix import Pix2Pix
from uhrtranslate.training.methods.pyramid_pix2pix import PyramidPix2Pix
from uhrtranslate.training.options import TrainOptions

METHODS: dict[str, Any] = {
    "cyclegan": CycleGan,
    "cut": Cut,
    "fastcut": Cut,
    "lsesim": LSeSim,
    "pix2pix": Pix2Pix,
    "pyramid-pix2pix": PyramidPix2Pix,
}
PAIRED = frozenset({"pix2pix", "pyramid-pix2pix"})


def make_method(options: TrainOptions) -> Method:
    """A method with its networks, whose weights torch's global generator draws."""
    method: Method = METHODS[options.method](options)
    return method


__all__ = ["METHODS", "PAIRED", "Method", "Phase", "make_method"]
