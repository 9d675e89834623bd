"""Dark-field enhancement by histogram matching, and input planes; arrays in and out, no files."""

from uhrtranslate.enhance.doubts import background_gain as background_gain
from uhrtranslate.enhance.doubts import darkness as darkness
from uhrtranslate.enhance.doubts import limited as limited
from uhrtranslate.enhance.doubts import no_dark_field as no_dark_field
from uhrtranslate.enhance.illuminance import illuminance as illuminance
from uhrtranslate.enhance.matching import Matching as Matching
from uhrtranslate.enhance.matching import match as match
from uhrtranslate.enhance.planes import Stack as Stack
from uhrtranslate.enhance.planes import are_matched as are_matched
from uhrtranslate.enhance.planes import are_of_dark as are_of_dark
from uhrtranslate.enhance.planes import channels_of as channels_of
from uhrtranslate.enhance.tally import Tally as Tally
from uhrtranslate.enhance.tally import dump_tally as dump_tally
from uhrtranslate.enhance.tally import load_tally as load_tally
