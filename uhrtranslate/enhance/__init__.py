"""Dark-field enhancement by histogram matching: arrays in, arrays out; no files."""

from uhrtranslate.enhance.illuminance import LUMA, illuminance
from uhrtranslate.enhance.matching import Matching, invert_match, match
from uhrtranslate.enhance.tally import Tally, dump_tally, load_tally

__all__ = [
    "LUMA",
    "Matching",
    "Tally",
    "dump_tally",
    "illuminance",
    "invert_match",
    "load_tally",
    "match",
]
