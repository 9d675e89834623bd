"""Stain normalization: from the colours of one slide to those of another.

Every method is a map of colours, the same for all pixels of a slide: its fits (of the source and of
the target) are made once, so no seam can arise. Arrays in, arrays out; no files.
"""

from uhrtranslate.stain.base import Fit, StainMethod, colour_map, dump_fit, load_fit, pooled
from uhrtranslate.stain.histogram import Histogram
from uhrtranslate.stain.macenko import Macenko
from uhrtranslate.stain.reinhard import Reinhard, ReinhardPlain
from uhrtranslate.stain.vahadane import Vahadane

__all__ = [
    "Fit",
    "Histogram",
    "Macenko",
    "Reinhard",
    "ReinhardPlain",
    "StainMethod",
    "Vahadane",
    "colour_map",
    "dump_fit",
    "load_fit",
    "pooled",
]
