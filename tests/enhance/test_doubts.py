"""What is no dark field is told apart, and the noise of a background is followed and limited."""

import numpy as np
import pytest
import skimage.data

from uhrtranslate.enhance import Tally, background_gain, darkness, limited, match

RANDOM = np.random.default_rng(0)
# Bright things on a dark, noisy background, as of a dark-field microscope.
DARK = RANDOM.normal(30, 3, (300, 300))
DARK[::7, ::5] += RANDOM.exponential(80, DARK[::7, ::5].shape)
DARK[100:160, 80:200] += 70
DARK = DARK.clip(0, 255).astype(np.uint8)
# Grey, with bright and dark rims, as of phase contrast.
PHASE = RANDOM.normal(120, 4, (300, 300))
PHASE[50:60] += 70
PHASE[60:75] -= 60
PHASE = PHASE.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (DARK, (True, True)),
        (DARK.astype(np.uint16) * 257, (True, True)),
        (skimage.data.immunohistochemistry(), (False, False)),
        (skimage.data.hubble_deep_field(), (True, True)),
        (PHASE, (False, False)),
        (255 - DARK, (False, False)),
    ],
    ids=["dark", "16 bits", "stained", "galaxies", "phase", "inverted"],
)
def test_dark_fields_are_told_apart(pixels, expected):
    assert darkness(Tally.of(pixels)) == expected


def test_a_limit_keeps_the_background_quiet():
    """With a reference that has hardly any glass, noise of the background becomes tissue."""
    source = Tally.of(DARK)
    reference = Tally.of(skimage.data.immunohistochemistry()[100:300, :200])
    table = match(source, reference, invert=True)
    before = background_gain(source, table, 255)
    assert before > 2
    quiet = limited(table, 1.0, 255)
    assert background_gain(source, quiet, 255) <= 1.01
    assert (np.diff(quiet) <= 1e-9).all()  # still the brighter, the darker
    assert (-np.diff(quiet)).max() <= 1.0 + 1e-9
    assert (quiet >= table - 1e-9).all()
    np.testing.assert_allclose(limited(table, 300, 255), table.clip(0, 255))
    rising = match(source, reference)
    assert np.diff(limited(rising, 1.0, 255)).max() <= 1.0 + 1e-9
