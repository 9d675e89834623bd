"""Names of results."""

import pytest

from uhrtranslate.enhance import Tally
from uhrtranslate.options import EnhanceOptions
from uhrtranslate.recipes.enhancer import Enhancer
from uhrtranslate.tables import RESULT_SUFFIXES


@pytest.mark.parametrize("synthesize", [False, True])
def test_results_of_an_enhancement_are_known_as_results(synthesize):
    recipe = Enhancer(EnhanceOptions(synthesize=synthesize), Tally.nothing())
    assert recipe.suffix in RESULT_SUFFIXES
