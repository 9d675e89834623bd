"""Stain normalization: from the colours of one slide to those of another.

Every method is a map of colours, the same for all pixels of a slide: its fits (of the source and of
the target) are made once, so no seam can arise. Arrays in, arrays out; no files.
"""

from uhrtranslate.stain.base import Fit as Fit
from uhrtranslate.stain.base import StainMethod as StainMethod
from uhrtranslate.stain.base import colour_map as colour_map
from uhrtranslate.stain.base import dump_fit as dump_fit
from uhrtranslate.stain.base import load_fit as load_fit
from uhrtranslate.stain.base import pooled as pooled
