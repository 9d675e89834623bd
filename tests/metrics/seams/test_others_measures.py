"""Seams by others' measures: as publicly described, and what each of them reacts to."""

import math

import numpy as np
import pytest
import skimage.data
from metrics.planted import reader, with_tiles
from scipy.ndimage import gaussian_filter

from uhrtranslate.metrics.difference import differences
from uhrtranslate.metrics.planes import NO_HALO
from uhrtranslate.metrics.seams.contrast import (
    BlockSums,
    block_sums,
    blockiness,
    measure_contrast,
)
from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.rejection import deals, measure_rejections, null_grid, tile_test

# Tile sides of the synthetic pictures, and an offset of the grid.
PERIOD, X, Y = 64, 40, 52


@pytest.fixture(scope="module")
def section():
    return skimage.data.immunohistochemistry()[:200, :220]


@pytest.fixture(scope="module")
def tiled(section):
    return with_tiles(section, PERIOD, 4, x=X, y=Y)


def grid(period=PERIOD, x=X, y=Y):
    return Grid(period, x, y, 1.0)


def rejections(pixels, where=None, **more):
    return measure_rejections(
        reader(pixels), pixels.shape[1], pixels.shape[0], where or grid(), **more
    )


def contrast(pixels, where=None):
    return measure_contrast(reader(pixels), pixels.shape[1], pixels.shape[0], where or grid())


def shades(pixels):
    return (pixels.astype(float) @ [0.299, 0.587, 0.114]).round(9)


def plain_divergence(ours, others, low, high, kind):
    """Of two lists of numbers, by loops."""
    histograms = []
    for values in (ours, others):
        counts = [0] * 32
        for value in values:
            counts[min(int((value - low) / (high - low) * 32), 31)] += 1
        histograms.append([count / len(values) for count in counts])

    def kl(p, q):
        return sum(a * math.log((a + 1e-12) / (b + 1e-12)) for a, b in zip(p, q, strict=True))

    p, q = histograms
    if kind == "kl":
        return kl(p, q)
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (kl(p, middle) + kl(q, middle)) / 2


def plain_tests(pixels, kind, draws, seed):
    """Divergence and p-value of each tile, by loops over an image that is whole in memory."""
    grey, (height, width) = shades(pixels), pixels.shape[:2]
    across, down = np.diff(grey, axis=1), np.diff(grey, axis=0)
    columns, rows = [0, *range(X, width, PERIOD), width], [0, *range(Y, height, PERIOD), height]
    found = []
    for j in range(len(rows) - 1):
        for i in range(len(columns) - 1):
            ours, others = [], []
            for x in (columns[i], columns[i + 1]):
                if 4 < x < width - 4:
                    lines = {d: across[rows[j] : rows[j + 1], x - 1 + d] for d in range(-4, 5)}
                    ours.append(lines.pop(0))
                    others += lines.values()
            for y in (rows[j], rows[j + 1]):
                if 4 < y < height - 4:
                    lines = {d: down[y - 1 + d, columns[i] : columns[i + 1]] for d in range(-4, 5)}
                    ours.append(lines.pop(0))
                    others += lines.values()
            blocks = [list(a[s : s + 3]) for a in (*ours, *others) for s in range(0, len(a), 3)]
            number = sum(math.ceil(len(a) / 3) for a in ours)
            every = [value for block in blocks for value in block]

            def divergence(chosen, blocks=blocks, every=every):
                parts = [[], []]
                for block, mine in zip(blocks, chosen, strict=True):
                    parts[0 if mine else 1] += block
                return plain_divergence(*parts, min(every), max(every), kind)

            observed = divergence([k < number for k in range(len(blocks))])
            dealt = [divergence(one) for one in deals(len(blocks), number, draws, seed)]
            above = sum(one >= observed - 1e-12 for one in dealt)
            found.append((observed, (1 + above) / (1 + draws)))
    return found


@pytest.mark.parametrize("kind", ["kl", "js"])
def test_the_test_of_tiles_is_that_of_plain_loops(tiled, kind, monkeypatch):
    monkeypatch.setattr("uhrtranslate.metrics.seams.rejection.DRAWS", 20)
    small = tiled[:130, :120]
    expected = plain_tests(small, kind, 20, 5)
    lines = []
    monkeypatch.setattr(
        "uhrtranslate.metrics.seams.rejection.tile_test",
        lambda *given, **more: lines.append(tile_test(*given, draws=20, **more)) or lines[-1],
    )
    found = rejections(small, divergence=kind, seed=5)
    got = [(one.divergence, one.p_value) for one in lines]
    np.testing.assert_allclose(got, expected, atol=1e-4)
    assert found.tiles == len(expected)
    assert found.severity == pytest.approx(np.median([one for one, _ in expected]), abs=1e-4)
    assert found.rate == np.mean([p < 0.05 for _, p in expected])


def test_noise_without_tiles_is_rejected_as_often_as_chosen():
    noise = np.random.default_rng(0).integers(60, 200, (640, 640, 3), np.uint8)
    found = rejections(noise, grid(40, 40, 40))
    assert found.tiles == 256
    assert 0.01 < found.rate < 0.1
    assert abs(found.severity_z) < 0.5


def test_tiles_with_seams_are_rejected_and_far_ones_are_not():
    noise = np.random.default_rng(0).normal(128, 2, (320, 320, 1)).repeat(3, 2)
    noise[:, 160:] += 6
    pixels = np.clip(np.rint(noise), 0, 255).astype(np.uint8)
    near = rejections(pixels[:, 80:240], grid(40, 40, 40))  # the step is a border of half the tiles
    far = rejections(pixels[:, 200:], grid(40, 40, 40))
    assert near.rate >= 0.4
    assert far.rate < 0.2


@pytest.mark.parametrize("lattice", [4, 8])
def test_the_null_has_the_lattice_of_the_borders_but_not_their_steps(lattice):
    """Blocks of JPEG, or a generator's stride, lie where borders do."""
    noise = np.random.default_rng(2).normal(128, 4, (384, 384, 1)).repeat(3, 2)
    lines = np.indices((384, 384)) // lattice % 2 * 6
    pixels = np.rint(noise + lines.sum(0)[..., None]).astype(np.uint8)
    where = grid(96, 96, 96)
    null = null_grid(where)
    assert (null.x, null.y, null.period) == (48, 48, 96)
    assert rejections(pixels, where).rate > 0.8
    assert rejections(pixels, null).rate > 0.8
    tiled = with_tiles(noise.astype(np.uint8), 96, 8)
    assert rejections(tiled, where).rate > 0.8
    assert rejections(tiled, null).rate < 0.2


def test_only_some_tiles_of_many_are_tested_and_always_the_same(tiled):
    some, again = (rejections(tiled, most=5, seed=3) for _ in range(2))
    assert some == again
    assert some.tiles == 5
    assert rejections(tiled[:30, :30]) is None


def plain_contrast(pixels):
    """Boundary contrast (of 1), tiling score, B / A, and masked blockiness, by loops."""
    boundary, interior, score, between, masked = [], [], [], [], []
    for turned in (False, True):
        image = pixels.swapaxes(0, 1).astype(float) if turned else pixels.astype(float)
        grey = shades(image)
        own = []
        for x in range(Y if turned else X, image.shape[1], PERIOD):
            if x < 16 or x >= image.shape[1] - 16:
                continue
            strips = []
            for at in (x, max(x - PERIOD // 2, 4)):
                parts = [
                    abs(image[y, at - 4 + k, c] - image[y, at + k, c])
                    for y in range(len(image))
                    for k in range(4)
                    for c in range(3)
                ]
                strips.append(sum(parts) / len(parts) / 255)
            boundary.append(strips[0])
            interior.append(strips[1])
            score.append(
                max(np.abs(image[:, x + d] - image[:, x + d + 1]).mean() for d in (-16, -1, 15))
            )
            own += [abs(grey[y, x] - grey[y, x - 1]) for y in range(len(grey))]
            for y in range(2, len(grey) - 2):
                at = abs(grey[y, x] - grey[y, x - 1])
                beside = sum(
                    abs(grey[y, x + d] - grey[y, x + d - 1]) for d in (-3, -2, -1, 1, 2, 3)
                )
                along = [1, 2, 0, -2, -1]
                over = [1, 4, 6, 4, 1]
                texture = sum(
                    along[i] * over[j] * grey[y + i - 2, x + j - 2]
                    for i in range(5)
                    for j in range(5)
                )
                seen = 1 / (1 + abs(texture) / 48 / 255) ** 5
                masked.append(seen * (at / (beside / 6) if beside > 0 else at))
        between.append(np.mean(own))
    grey = shades(pixels)
    everywhere = [np.abs(np.diff(grey, axis=axis)).mean() for axis in (0, 1)]
    b = np.mean(between)
    a = (PERIOD * np.mean(everywhere) - b) / (PERIOD - 1)
    return abs(np.mean(boundary) - np.mean(interior)), np.mean(score), b / a, np.mean(masked)


@pytest.mark.parametrize("stretch", [4096, 33])
def test_contrast_and_blockiness_are_those_of_plain_loops(tiled, stretch, monkeypatch):
    monkeypatch.setattr("uhrtranslate.metrics.seams.contrast._STRETCH", stretch)
    found = contrast(tiled)
    ratio = blockiness(block_sums(tiled, NO_HALO), found.between, PERIOD)
    got = found.contrast, found.tiling_score, ratio, found.masked
    np.testing.assert_allclose(got, plain_contrast(tiled), atol=1e-4)
    assert found.borders == 6


def test_sums_of_gradients_of_blocks_are_those_of_the_whole(tiled):
    total = BlockSums()
    for top, bottom in ((0, 90), (90, 200)):
        for left, right in ((0, 70), (70, 220)):
            halo = (min(left, 5), min(top, 5), 5 if right < 220 else 0, 5 if bottom < 200 else 0)
            block = tiled[top - halo[1] : bottom + halo[3], left - halo[0] : right + halo[2]]
            total += block_sums(block, halo)
    whole = block_sums(tiled, NO_HALO)
    assert total.across.count == whole.across.count == 200 * 219
    assert total.down.mean == pytest.approx(whole.down.mean)
    assert total.across.mean == pytest.approx(whole.across.mean)


def test_all_grow_with_the_step_but_the_tiling_score_also_with_texture(section):
    by_step = [with_tiles(section, PERIOD, step, x=X, y=Y) for step in (0, 8, 24)]
    for measure in (
        lambda p: rejections(p).severity_z,
        lambda p: contrast(p).boundary,
        lambda p: contrast(p).masked,
        lambda p: blockiness(block_sums(p, NO_HALO), contrast(p).between, PERIOD),
    ):
        values = [measure(pixels) for pixels in by_step]
        assert values == sorted(values)
        assert values[2] > values[0]
    blurred = np.rint(gaussian_filter(by_step[1].astype(float), (2, 2, 0))).astype(np.uint8)
    assert contrast(blurred).tiling_score < 0.5 * contrast(by_step[1]).tiling_score


def test_a_flat_image_has_no_blockiness():
    flat = np.full((200, 220, 3), 128, np.uint8)
    assert blockiness(block_sums(flat, NO_HALO), contrast(flat).between, PERIOD) is None
    assert contrast(flat).contrast == 0
    assert contrast(flat[:, :40], grid(64, 64, 64)).borders == 2
    assert contrast(flat[:40, :40], grid(64, 64, 64)) is None
    assert rejections(flat).rate == 0


def test_the_mismatch_of_two_tilings_is_their_mean_difference():
    random = np.random.default_rng(0)
    a, b = (random.integers(0, 256, (40, 50, 3), np.uint8) for _ in range(2))
    found = differences(a[:25], b[:25], (0, 0, 0, 5)) + differences(a[15:], b[15:], (0, 5, 0, 0))
    apart = np.abs(a.astype(int) - b)
    assert found.mean == pytest.approx(apart.mean())
    assert found.largest == apart.max()
    assert found.above(1) == pytest.approx((apart > 1).mean())
