"""Faults of known kind, of scripts/bench_faults.py: each figure sees its own, and no others."""

from types import SimpleNamespace

import numpy as np
import pytest
import skimage.data
from metrics.planted import reader
from support import REPOSITORY

from uhrtranslate.metrics.dab import correlation, dab_density, tile_pair
from uhrtranslate.metrics.masks import MaskRecipe, dab_mask, mask_counts
from uhrtranslate.metrics.nuclei import nuclei_sums, nucleus_width
from uhrtranslate.metrics.planes import NO_HALO
from uhrtranslate.metrics.seams.contrast import block_sums, blockiness, measure_contrast
from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.measure import measure_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles
from uhrtranslate.metrics.seams.rejection import measure_rejections
from uhrtranslate.metrics.structure import ssim_sums


@pytest.fixture(scope="module")
def bench():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(REPOSITORY / "scripts"))
        import bench_faults
    return bench_faults


@pytest.fixture(scope="module")
def seen(bench):
    """Figures by fault, of a stained section whose cells are known."""
    truth = skimage.data.immunohistochemistry()[100:484, 60:444]
    random = np.random.default_rng(0)
    return {name: of_stain(fault(truth, random), truth) for name, fault in bench.FAULTS.items()}


def of_stain(result, truth):
    counts = mask_counts(*(dab_mask(pixels, MaskRecipe()) for pixels in (result, truth)))
    boxes = [np.s_[y : y + 64, x : x + 64] for y in range(0, 384, 64) for x in range(0, 384, 64)]
    densities = dab_density(result), dab_density(truth)
    pairs = [tile_pair(*(one[box] for one in densities)) for box in boxes]
    nuclei = nuclei_sums(result, truth, NO_HALO, nucleus_width(None))
    return SimpleNamespace(
        ssim=ssim_sums(result, truth).mean,
        dice=counts.dice,
        sensitivity=counts.sensitivity,
        precision=counts.precision,
        p90=correlation(pairs),
        js=float(np.mean([one.js for one in pairs])),
        f1=nuclei.f1,
        nuclei_dice=nuclei.masks.dice,
        count=nuclei.ratio,
    )


NOTHING_BUT_SEAMS = [f"tiles, {step} grey levels" for step in (0.5, 1, 2, 4)]


def test_figures_of_structure_see_blur_and_shifts_but_not_stain(seen):
    """A shift of 4 px moves no stain; SSIM takes it for worse than half of the cells missing."""
    assert seen["none"].ssim == 1
    assert seen["blur, sigma 3"].ssim < 0.6 < seen["blur, sigma 1"].ssim < 0.95
    assert seen["shift by 4 px"].ssim < 0.3 < seen["cells missing"].ssim
    assert seen["paler by 15%"].ssim > 0.95
    assert all(seen[name].ssim > 0.99 for name in NOTHING_BUT_SEAMS)


def test_figures_of_stain_see_missing_and_invented_cells_each_in_its_way(seen):
    missing, invented = seen["cells missing"], seen["cells invented"]
    assert missing.sensitivity < 0.6 < 0.99 < missing.precision
    assert invented.precision < 0.9 < 0.99 < invented.sensitivity
    assert missing.dice < 0.6 < invented.dice < 0.95
    assert missing.p90 < 0.6 < invented.p90 < 0.95
    assert missing.js > 0.1 > invented.js > 0.028
    assert seen["paler by 15%"].sensitivity < 0.8 < seen["paler by 15%"].precision
    assert seen["paler by 15%"].js > 0.05


def test_figures_of_stain_do_not_mind_what_changes_no_stain(seen):
    for name in ("blur, sigma 1", "nuclei broken", *NOTHING_BUT_SEAMS):
        assert min(seen[name].dice, seen[name].sensitivity, seen[name].precision) > 0.95, name
        assert seen[name].p90 > 0.98, name
        assert seen[name].js < 0.03, name
    # Where stain is, the histogram does not see, the tiles' correlation hardly, and the mask does.
    shifted = seen["shift by 4 px"]
    assert shifted.js < 0.01
    assert shifted.p90 > 0.98
    assert shifted.dice < 0.9
    assert seen["shift by 16 px"].dice < 0.75


def test_nuclei_agree_unless_they_are_broken_moved_gone_or_new(seen):
    for name in ("none", "blur, sigma 1", "shift by 4 px", *NOTHING_BUT_SEAMS):
        assert seen[name].f1 > 0.93, name
        assert seen[name].count == pytest.approx(1, abs=0.07), name
    for name in ("nuclei broken", "shift by 16 px", "cells missing", "blur, sigma 3"):
        assert seen[name].f1 < 0.7, name
    # A line through each nucleus leaves as much stain, and as many blobs, at other places.
    assert seen["nuclei broken"].count == pytest.approx(1, abs=0.1)
    assert seen["nuclei broken"].nuclei_dice < 0.75
    assert 0.6 < seen["cells invented"].f1 < 0.85


def of_seams(pixels, tile):
    grid, size, read = Grid(tile, tile, tile, 0.0), pixels.shape[1::-1], reader(pixels)
    found, contrast = measure_rejections(read, *size, grid), measure_contrast(read, *size, grid)
    return SimpleNamespace(
        ratio=measure_seams(measure_profiles(read, *size), tile).ratio,
        rejected=found.rate,
        severity=found.severity_z,
        contrast=contrast.contrast,
        tiling=contrast.tiling_score,
        blockiness=blockiness(block_sums(pixels, NO_HALO), contrast.between, tile),
        masked=contrast.masked,
    )


def test_figures_of_seams_see_half_a_grey_level_on_a_smooth_picture_and_no_blur(bench):
    # Blocks of its JPEG do not lie at the tiles' borders.
    picture, random = skimage.data.retina()[403:1171, 405:1173], np.random.default_rng(0)
    seen = {
        name: vars(of_seams(fault(picture, random), bench.SMOOTH_TILE))
        for name, fault in bench.SMOOTH_FAULTS.items()
    }
    none, steps = seen["none"], [seen[name] for name in NOTHING_BUT_SEAMS]
    for figure in none:
        of_steps = [none[figure], *(one[figure] for one in steps)]
        slack = 0.05 if figure == "rejected" else 0  # all of the tiles, but for one
        assert np.all(np.diff(of_steps) >= -slack), figure
    half = steps[0]
    assert half["ratio"] > none["ratio"] + 0.12
    assert half["rejected"] > none["rejected"] + 0.5
    assert half["severity"] > none["severity"] + 10
    assert steps[-1]["contrast"] > none["contrast"] + 0.005
    for name in ("blur, sigma 1", "shift by 4 px", "paler by 15%"):
        for figure, most in (("ratio", 0.08), ("contrast", 0.0005), ("blockiness", 0.1)):
            assert abs(seen[name][figure] - none[figure]) < most, (name, figure)
    # The one that blur improves: why it is shown and not judged.
    assert seen["blur, sigma 1"]["tiling"] < 0.8 * none["tiling"]
