"""DAB masks and densities as published, in blocks as of the whole, and what each reacts to."""

import math

import numpy as np
import pytest
import skimage.data
from scipy.ndimage import gaussian_filter
from skimage.color import rgb2hed

from uhrtranslate.evaluation.options import EvaluateOptions
from uhrtranslate.metrics.dab import (
    DensitySums,
    TilePair,
    correlation,
    dab_density,
    density_sums,
    hed_stains,
    tile_pair,
)
from uhrtranslate.metrics.masks import (
    MaskCounts,
    MaskRecipe,
    dab_mask,
    distance_scale,
    hausdorff,
    mask_counts,
    mask_piece,
)
from uhrtranslate.metrics.nuclei import NucleiSums, find_nuclei, nuclei_sums, nucleus_width
from uhrtranslate.metrics.planes import NO_HALO

BROWN, BLUE, PAPER = (110, 70, 40), (90, 90, 160), (235, 230, 235)


@pytest.fixture(scope="module")
def section():
    return skimage.data.immunohistochemistry()


def cells(brown, blue=(), side=160, radius=7):
    """Discs on paper with a little noise; centres are x, y."""
    y, x = np.indices((side, side))
    pixels = np.full((side, side, 3), PAPER, float)
    for colour, centres in ((BROWN, brown), (BLUE, blue)):
        for cx, cy in centres:
            pixels[(x - cx) ** 2 + (y - cy) ** 2 <= radius**2] = colour
    pixels += np.random.default_rng(0).normal(0, 2, pixels.shape)
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


HERE = [(30, 30), (90, 40), (40, 110), (120, 120)]
BLUE_ONES = [(70, 80), (140, 60), (80, 140)]


def plain_mask(pixels, threshold=0.07):
    """The published recipe, by loops over neighbours."""
    stained = rgb2hed(pixels)[..., 2] > threshold
    height, width = stained.shape

    def near(mask, reach, y, x, clamp=False):
        for j in range(y - reach, y + reach + 1):
            for i in range(x - reach, x + reach + 1):
                if clamp:
                    yield mask[min(max(j, 0), height - 1), min(max(i, 0), width - 1)]
                elif 0 <= j < height and 0 <= i < width:
                    yield mask[j, i]

    def each(decide):
        return np.array([[decide(y, x) for x in range(width)] for y in range(height)])

    for _ in range(2):
        stained = each(lambda y, x, mask=stained: any(near(mask, 1, y, x)))
    for _ in range(2):
        stained = each(lambda y, x, mask=stained: all(near(mask, 1, y, x)))
    return each(lambda y, x: sum(near(stained, 2, y, x, clamp=True)) > 12)


def test_masks_are_the_published_ones(section):
    small = section[200:240, 300:350]
    expected = plain_mask(small)
    assert 0.1 < expected.mean() < 0.9
    np.testing.assert_array_equal(dab_mask(small, MaskRecipe()), expected)


def test_the_published_recipe_is_the_default_of_the_options():
    options = EvaluateOptions()
    chosen = options.dab_threshold, options.dab_close, options.dab_median
    assert MaskRecipe(*chosen) == MaskRecipe() == MaskRecipe(0.07, 2, 5)


def test_masks_of_blocks_are_those_of_the_whole(section):
    recipe, whole = MaskRecipe(), dab_mask(section[:200, :200], MaskRecipe())
    halo = recipe.halo
    block = dab_mask(section[60 - halo : 130 + halo, : 90 + halo], recipe)
    np.testing.assert_array_equal(block[halo:-halo, :90], whole[60:130, :90])


def test_stains_are_those_of_scikit_image(section):
    for stain in (0, 2):
        np.testing.assert_allclose(hed_stains(section, stain), rgb2hed(section)[..., stain])


def plain_density(pixel):
    """Least squares of two stains by the normal equations, then the softplus."""
    od = [-math.log10(max(value / 255, 1e-6) + 1e-6) for value in pixel]
    d, h = (0.268, 0.570, 0.776), (0.650, 0.704, 0.286)
    dd, hh, dh = (
        sum(a * b for a, b in zip(p, q, strict=True)) for p, q in ((d, d), (h, h), (d, h))
    )
    do, ho = (sum(a * b for a, b in zip(p, od, strict=True)) for p in (d, h))
    return math.log(1 + math.exp(5 * (hh * do - dh * ho) / (dd * hh - dh * dh))) / 5


def plain_divergences(a, b):
    """KL of a from b, and JS, over 256 bins up to the largest of both, by loops."""
    most = max(*a, *b) + 1e-6
    parts = []
    for values in (a, b):
        counts = [0.0] * 256
        for value in values:
            counts[min(int(value / most * 256), 255)] += 1
        density = [n / len(values) / (most / 256) + 1e-10 for n in counts]
        parts.append([one / sum(density) for one in density])
    p, q = parts
    m = [(x + y) / 2 for x, y in zip(p, q, strict=True)]

    def kl(p, q):
        return sum(x * math.log(x / y) for x, y in zip(p, q, strict=True))

    return kl(p, q), (kl(p, m) + kl(q, m)) / 2


def test_densities_and_their_divergences_are_the_published_ones(section):
    a, b = section[200:230, 300:330], section[100:130, 50:80]
    densities = [[plain_density(pixel) for row in one for pixel in row] for one in (a, b)]
    np.testing.assert_allclose(dab_density(a).ravel(), densities[0], atol=1e-9)
    scores = [
        np.mean([v for v in values if v >= np.percentile(values, 90)]) for values in densities
    ]
    kl, js = plain_divergences(*densities)
    found = tile_pair(dab_density(a), dab_density(b))
    expected = (*scores, kl, js)
    got = found.score, found.true_score, found.kl, found.js
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert tile_pair(dab_density(a), dab_density(a)).js == 0


def test_sums_of_density_are_the_published_ones(section):
    od = -np.log10(np.maximum(section.astype(float), 1) / 255)
    total = DensitySums()
    for half in (section[:300], section[300:]):
        total += density_sums(half)
    assert total.integrated / total.count == pytest.approx(od.mean(), abs=1e-9)
    assert total.focal / total.count == pytest.approx((od**1.8).mean(), abs=1e-9)


def test_the_correlation_of_tiles_is_pearsons():
    pairs = [TilePair(a, b, 0, 0) for a, b in ((1, 2), (2, 2.5), (4, 7), (3, 1))]
    scores = np.array([(one.score, one.true_score) for one in pairs])
    assert correlation(pairs) == pytest.approx(np.corrcoef(scores.T)[0, 1])
    assert correlation(pairs[:2]) is None
    assert correlation([TilePair(1, b, 0, 0) for b in range(4)]) is None


def plain_distances(a, b):
    """Of outlines, both ways, by loops."""

    def outline(mask):
        padded = np.pad(mask, 1)
        return [
            (y, x)
            for y, x in np.argwhere(mask)
            if not all(padded[y + 1 + j, x + 1 + i] for j, i in ((0, 1), (1, 0), (0, -1), (-1, 0)))
        ]

    ours, theirs = outline(a), outline(b)
    return [
        min(math.dist(p, q) for q in others)
        for own, others in ((ours, theirs), (theirs, ours))
        for p in own
    ]


def test_overlap_and_distances_are_those_of_plain_loops():
    random = np.random.default_rng(1)
    a, b = (gaussian_filter(random.normal(size=(40, 50)), 3) > 0.03 for _ in range(2))
    counts = mask_counts(a[:15], b[:15]) + mask_counts(a[15:], b[15:])
    assert counts.dice == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert counts.iou == pytest.approx((a & b).sum() / (a | b).sum())
    assert counts.sensitivity == pytest.approx((a & b).sum() / b.sum())
    assert counts.precision == pytest.approx((a & b).sum() / a.sum())
    assert (counts.area, counts.true_area) == (pytest.approx(a.mean()), pytest.approx(b.mean()))
    pieces = [mask_piece(a[:16], b[:16], 0, 0, 1), mask_piece(a[16:], b[16:], 0, 16, 1)]
    found, expected = hausdorff(pieces, 1), plain_distances(a, b)
    assert found.largest == pytest.approx(max(expected))
    assert found.most == pytest.approx(np.percentile(expected, 95))
    assert found.mean == pytest.approx(np.mean(expected))
    assert MaskCounts(none=4).dice is None
    assert hausdorff([mask_piece(a, a & False, 0, 0, 1)], 1) is None


def test_distances_of_large_masks_are_taken_on_smaller_ones():
    assert distance_scale(2048, 2048) == 1
    assert distance_scale(100_000, 100_000) == 64
    a, b = np.zeros((2, 64, 96), bool)
    a[16:48, 16:32] = b[16:48, 48:64] = True
    pieces = [mask_piece(a[:32], b[:32], 0, 0, 4), mask_piece(a[32:], b[32:], 0, 32, 4)]
    assert hausdorff(pieces, 4).largest == 32
    odd = mask_piece(a[:30, :33], b[:30, :33], 0, 0, 4)
    assert odd.result.shape == (8, 9)


def test_nuclei_are_found_once_and_matched_near_their_place():
    sigma = nucleus_width(0.5)
    assert sigma == pytest.approx(4.95, abs=0.01)
    image = cells(HERE, BLUE_ONES)
    centres, mask = find_nuclei(image, sigma)
    assert len(centres) == 7
    for x, y in (*HERE, *BLUE_ONES):
        assert np.hypot(*(centres - (y, x)).T).min() < 2
    assert 0.5 < mask.sum() / (7 * np.pi * 49) < 2
    moved = nuclei_sums(np.roll(image, 3, 1), image, NO_HALO, sigma)
    assert (moved.result, moved.other, moved.matched) == (7, 7, 7)
    far = nuclei_sums(np.roll(image, 12, 1), image, NO_HALO, sigma)
    assert far.f1 < 0.2
    fewer = nuclei_sums(cells(HERE[1:], BLUE_ONES), image, NO_HALO, sigma)
    assert (fewer.ratio, fewer.f1) == (pytest.approx(6 / 7), pytest.approx(12 / 13))
    assert NucleiSums().f1 is None
    assert NucleiSums().ratio is None


def test_nuclei_of_blocks_are_those_of_the_whole(section):
    sigma, other = nucleus_width(0.5), np.roll(section, 4, 0)
    whole = nuclei_sums(section, other, NO_HALO, sigma)
    upper = nuclei_sums(section[:336], other[:336], (0, 0, 0, 80), sigma)
    lower = nuclei_sums(section[176:], other[176:], (0, 80, 0, 0), sigma)
    assert upper + lower == whole
    assert whole.f1 > 0.9
