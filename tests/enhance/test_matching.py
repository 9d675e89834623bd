"""The inverse matching: exact, monotone, and never the other way."""

import json

import numpy as np
import pytest
import skimage.data
import skimage.exposure
from hypothesis import given, settings
from hypothesis import strategies as st

from uhrtranslate.enhance import (
    Matching,
    Tally,
    dump_tally,
    illuminance,
    load_tally,
    match,
)
from uhrtranslate.enhance.matching import toned
from uhrtranslate.errors import InputError

images = st.builds(
    lambda seed, levels, size: np.random.default_rng(seed).choice(
        np.random.default_rng(seed + 1).integers(0, 256, levels), (size, size)
    ).astype(np.uint8),
    st.integers(0, 10**6),
    st.integers(1, 300),
    st.integers(1, 40),
)  # fmt: skip


def test_plain_matching_is_scikit_images():
    source, target = skimage.data.camera(), skimage.data.coins()
    expected = skimage.exposure.match_histograms(source, target)
    found = Matching(match(Tally.of(source), Tally.of(target))).apply(source)
    assert np.array_equal(found, np.floor(np.asarray(expected, float) + 0.5))


@settings(max_examples=200)
@given(images, images)
def test_brighter_in_is_darker_out(dark, bright):
    table = match(Tally.of(dark), Tally.of(bright), invert=True)
    assert (np.diff(table) <= 1e-9).all()
    assert table.min() >= bright.min()
    assert table.max() <= bright.max()


@settings(max_examples=100)
@given(images)
def test_the_inverted_self_is_the_inversion(image):
    table = match(Tally.of(image), Tally.of(255 - image), invert=True)
    assert np.abs(table[image] - (255.0 - image)).max() < 1e-6


@settings(max_examples=100)
@given(images, images)
def test_the_result_has_the_references_distribution(dark, bright):
    found = Matching(match(Tally.of(dark), Tally.of(bright), invert=True)).apply(dark)
    share = 1 / min(len(np.unique(dark)), len(np.unique(bright)))
    ranks = [np.sort(part.reshape(-1)) for part in (found, bright)]
    quantiles = np.linspace(0, 1, 21)
    a, b = (rank[(quantiles * (len(rank) - 1)).astype(int)].astype(float) for rank in ranks)
    if share < 0.01:
        assert np.abs(a - b).mean() < 12


@pytest.mark.parametrize("values", [[7], [7, 200], [0], [0, 255]])
def test_images_of_one_and_two_values(values):
    dark = np.array([values * 10], np.uint8)
    bright = skimage.data.camera()
    found = Matching(match(Tally.of(dark), Tally.of(bright), invert=True)).apply(dark)
    if len(values) == 1:
        assert abs(int(found[0, 0]) - np.median(bright)) <= 1
    else:
        assert found[0, 0] > found[0, 1]
    constant = Tally.of(np.full((4, 4), 9, np.uint8))
    assert (match(Tally.of(dark), constant, invert=True) == 9).all()


def density(pixels):
    """Mean optical density of what is darker than any glass."""
    return -np.log(pixels[pixels < 215] / 255).mean()


def test_toned_tissue_is_as_dense_as_the_targets():
    image = skimage.data.immunohistochemistry()
    grey = illuminance(image).clip(1, 170).astype(np.uint8)
    pale = np.rint(255 * (grey / 255) ** 0.6).astype(np.uint8)
    table = toned(Tally.of(pale), Tally.of(grey))
    assert (np.diff(table) > 0).all()
    assert (table[0], table[255]) == (0, 255)
    found = table[pale]
    assert abs(density(pale) / density(grey) - 1) > 0.2
    assert density(found) == pytest.approx(density(grey), rel=0.02)
    # Glass does not count, however much there is of it.
    framed = np.pad(pale, 400, constant_values=240)
    assert np.allclose(toned(Tally.of(framed), Tally.of(grey)), table)
    # Levels of 16 bits become the same.
    deep = Tally.of(pale.astype(np.uint16) * 257)
    assert np.allclose(toned(deep, Tally.of(grey))[::257], table)


def test_toning_has_a_limit_and_needs_tissue():
    grey, glass = (Tally.of(np.full((4, 4), level, np.uint8)) for level in (60, 250))
    almost_glass = Tally.of(np.full((4, 4), 210, np.uint8))
    levels = np.arange(256)
    for source, target in ((glass, grey), (grey, glass), (Tally.nothing(), grey)):
        assert np.allclose(toned(source, target), levels)
    assert np.allclose(toned(almost_glass, grey), 255 * (levels / 255) ** 4)
    assert np.allclose(toned(grey, almost_glass), 255 * (levels / 255) ** 0.25)


def test_sixteen_bits_do_not_come_out_in_steps():
    ramp = np.linspace(1000, 60000, 20000).astype(np.uint16)[None]
    reference = Tally.of(skimage.data.camera())
    table = match(Tally.of(ramp), reference, invert=True) * 257
    found = Matching(table, top=65535).apply(ramp)
    assert found.dtype == np.uint16
    assert len(np.unique(found)) > 5000
    assert (np.diff(found[0].astype(int)) <= 0).all()


def test_colour_keeps_chroma():
    image = skimage.data.astronaut()
    table = match(Tally.of(image), Tally.of(image), invert=True)
    grey = Matching(table).apply(image)
    assert (grey[..., 0] == grey[..., 1]).all()
    colour = Matching(table, colour=True).apply(image)
    inside = ((colour > 0) & (colour < 255)).all(-1)
    before = image[..., 0].astype(int) - image[..., 2]
    after = colour[..., 0].astype(int) - colour[..., 2]
    assert np.abs(before - after)[inside].max() <= 1
    assert np.abs(illuminance(colour)[inside].astype(int) - grey[..., 0][inside]).max() <= 2


def test_tallies_add_up_and_survive_json():
    image = skimage.data.astronaut()
    parts = Tally.of(image[:100]) + Tally.of(image[100:]) + Tally.nothing()
    assert np.array_equal(parts.counts, Tally.of(image).counts)
    saved = json.loads(json.dumps(dump_tally(parts)))
    assert np.array_equal(load_tally(saved).counts, parts.counts)
    grey = image[..., 0]
    both = Tally.of(grey) + Tally.of(grey.astype(np.uint16) * 257)
    assert np.array_equal(both.counts, 2 * Tally.of(grey).widened().counts)
    assert np.array_equal(np.flatnonzero(both.counts), 257 * np.unique(grey.astype(int)))
    with pytest.raises(ValueError, match="no pixels"):
        match(Tally.nothing(), parts)


@pytest.mark.parametrize(
    "content",
    [None, {}, {"version": 1, "illuminance": [1, 2]}, {"version": 1, "illuminance": [-1] * 256},
     {"version": 1, "illuminance": [0] * 256}, {"version": 2, "illuminance": [1] * 256},
     {"version": 1, "illuminance": [0.5] * 256}],
)  # fmt: skip
def test_what_is_no_tally_is_refused(content):
    with pytest.raises(InputError, match="not a saved histogram"):
        load_tally(content)


def test_hot_pixels_are_clipped():
    image = np.concatenate([np.full(990, 50), np.full(10, 255)]).astype(np.uint8)[None]
    tally = Tally.of(image)
    clipped = tally.clipped(0.01)
    assert clipped.total == tally.total
    assert np.flatnonzero(clipped.counts).tolist() == [50]
    assert np.array_equal(tally.clipped(0).counts, tally.counts)


def test_luma_is_rec_601():
    pixels = np.random.default_rng(0).integers(0, 256, (50, 50, 3), np.uint8)
    expected = pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(illuminance(pixels) - expected).max() <= 0.51
    deep = np.full((2, 2, 3), 65535, np.uint16)
    assert (illuminance(deep) == 65535).all()
