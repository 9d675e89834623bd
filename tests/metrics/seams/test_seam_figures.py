import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from metrics.planted import reader, with_tiles

from uhrtranslate.metrics.seams.borders import heat_map, measure_borders, worst_borders
from uhrtranslate.metrics.seams.detector import Grid
from uhrtranslate.metrics.seams.excess import seam_excess
from uhrtranslate.metrics.seams.measure import measure_seams
from uhrtranslate.metrics.seams.profiles import measure_profiles


@pytest.fixture(scope="module")
def section():
    return skimage.data.retina()


def profiles(pixels):
    return measure_profiles(reader(pixels), pixels.shape[1], pixels.shape[0])


def test_the_ratio_grows_with_the_step_and_is_significant(section):
    clean = measure_seams(profiles(section), 128)
    assert clean.period is None
    assert clean.p_value > 0.05
    assert 0.8 < clean.ratio < 1.2
    ratios = [measure_seams(profiles(with_tiles(section, 128, s)), 128) for s in (2, 6, 12)]
    assert [seams.period for seams in ratios] == [128] * 3
    assert clean.ratio < ratios[0].ratio < ratios[1].ratio < ratios[2].ratio
    assert ratios[2].p_value <= 1 / 90
    assert ratios[0].borders == 20


def test_each_axis_has_its_own_figure(section):
    striped = section.astype(int)
    striped[:, 300:600] += 20
    striped[:, 900:1200] += 20
    seams = measure_seams(profiles(np.clip(striped, 0, 255).astype(np.uint8)), 300)
    assert seams.ratio_x > 2
    assert 0.7 < seams.ratio_y < 1.3


def test_the_steps_are_those_of_the_means_of_strips():
    """A known answer: two halves, 30 grey levels apart."""
    pixels = np.full((128, 200, 3), 100, np.uint8)
    pixels[:, 100:] += 30
    found = profiles(pixels)
    assert found.columns.step[100] == pytest.approx(30)
    assert found.columns.step[104] == pytest.approx(15)
    assert found.columns.gradient[100] == pytest.approx(30)
    assert found.columns.gradient[101] == 0
    assert np.nanmax(found.rows.step) == pytest.approx(0, abs=1e-4)
    assert np.isnan(found.columns.step[[0, 7, 193]]).all()


@settings(max_examples=25)
@given(st.integers(1, 700), st.integers(1, 700), st.integers(33, 300))
def test_any_size_has_figures(width, height, period):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    seams = measure_seams(profiles(pixels), period)
    figures = seams.ratio, seams.gradient_ratio, seams.p_value
    if seams.borders:
        assert np.isfinite(figures).all()
        assert 0 < seams.p_value <= 1
    else:  # nothing was measured, and nothing is said
        assert figures == (None, None, None)


def test_the_source_is_what_is_right(section):
    """A picture that steps less at the borders than elsewhere is right if it does so afterwards."""
    smooth = section[:1100, :1100].astype(np.float64)
    for axis in (0, 1):  # flatter for 20 px at each border
        for at in range(128, 1100, 128):
            strip = [slice(None)] * 2
            strip[axis] = slice(at - 10, at + 10)
            mean = smooth[tuple(strip)].mean(axis=axis, keepdims=True)
            smooth[tuple(strip)] = (smooth[tuple(strip)] + mean) / 2
    source = profiles(smooth.astype(np.uint8))
    seams = measure_seams(source, 128)
    assert seams.ratio < 0.7
    same = seam_excess(source, source, seams.grid)
    assert (same.ratio, same.low, same.high) == (1, 1, 1)
    brighter = profiles((smooth * 0.8 + 40).astype(np.uint8))
    kept = seam_excess(brighter, source, seams.grid)
    assert kept.low < 1.1
    assert kept.ratio == pytest.approx(1, abs=0.1)
    tiled = seam_excess(profiles(with_tiles(smooth.astype(np.uint8), 128, 4)), source, seams.grid)
    assert 1.2 < tiled.low < tiled.ratio < tiled.high
    assert seam_excess(profiles(np.full((300, 300, 3), 9, np.uint8)), source, seams.grid) is None


def test_the_profile_of_rows_is_that_of_columns_turned(section):
    cut = section[:832, :832]
    upright, turned = profiles(cut), profiles(cut.transpose(1, 0, 2))
    for name in ("step", "gradient", "surprise", "beyond"):
        a, b = getattr(upright.columns, name), getattr(turned.rows, name)
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-3, err_msg=name)


def test_the_worst_border_is_the_one_that_was_planted():
    pixels = np.full((512, 512, 3), 120, np.uint8)
    pixels[128:256, 256:384] += 40
    pixels[384:, :128] += 10
    grid = Grid(128, 128, 128, 0.0)
    borders = measure_borders(reader(pixels), 512, 512, grid)
    assert len(borders) == 2 * 3 * 4
    worst = worst_borders(borders, 5)
    assert [round(border.step) for border in worst] == [40, 40, 40, 40, 10]
    assert {(b.axis, b.x, b.y) for b in worst[:4]} == {
        ("x", 256, 192), ("x", 384, 192), ("y", 320, 128), ("y", 320, 256),
    }  # fmt: skip
    heat = heat_map(borders, 512, 512, grid)
    assert heat.shape == (4, 4)
    assert np.unravel_index(heat.argmax(), heat.shape) == (1, 2)
    assert heat[1, 2] == pytest.approx(40)
    assert heat[0, 0] == 0
