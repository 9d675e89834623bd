"""How well a method fits a run's slides, known before the first of them is written."""

from collections.abc import Sequence

import numpy as np

from uhrtranslate.errors import UhrError
from uhrtranslate.io import Found, Missing
from uhrtranslate.options import StainOptions
from uhrtranslate.recipes.stain_reference import method_of, sample_file
from uhrtranslate.stain.plausible import FEWEST_SLIDES, unexplained

# A median needs no more slides; of longer runs so many are looked at, spread over all of them, so
# that the work begins after seconds.
MOST_SLIDES = 32


def survey(inputs: Sequence[Found | Missing], options: StainOptions) -> list[float]:
    """What share of their densities fits leave unexplained, of a run's slides.

    Slides that cannot be read or fitted are left out; it is told when their turn comes.

    Args:
        inputs: of the run.
        options: method, samples, seed.

    Returns:
        One number from 0 to 1 per slide, of 32 slides at most; empty if there are too few to say
        what is usual, or if the method knows no stains.
    """
    found = [item.source for item in inputs if isinstance(item, Found)]
    if len(found) < FEWEST_SLIDES:
        return []
    method = method_of(options)
    places = np.linspace(0, len(found) - 1, min(MOST_SLIDES, len(found))).round().astype(int)
    errors = []
    for place in places:
        try:
            colours = sample_file(found[place], options)
            fit = method.fit(colours)
        except (UhrError, OSError):
            continue
        if len(fit.stains) != 2:
            return []
        error = unexplained(fit, colours)
        if error is not None:
            errors.append(error)
    return errors
