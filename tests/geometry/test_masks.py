import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uhrtranslate.geometry import Box, CellGrid, CellMask, TilePlan, cells_with_tissue, cut_band


@st.composite
def masks(draw):
    cell = draw(st.sampled_from([16, 48, 64, 100]))
    grid = CellGrid(draw(st.integers(1, 500)), draw(st.integers(1, 400)), cell)
    seed = draw(st.integers(0, 1 << 20))
    share = draw(st.sampled_from([0.0, 0.1, 0.3, 0.7, 1.0]))
    kept = np.random.default_rng(seed).random((grid.rows, grid.cols)) < share
    return CellMask(grid, kept)


def distance(mask, inside=False):
    """Of every pixel centre from the nearest kept (or, inside, skipped) cell, brute force."""
    y, x = np.mgrid[: mask.grid.height, : mask.grid.width] + 0.5
    nearest = np.full(y.shape, np.inf)
    for row, col in np.argwhere(~mask.kept if inside else mask.kept):
        box = mask.grid.box(row, col)
        dy = np.maximum(np.maximum(box.y - y, y - box.y - box.h), 0)
        dx = np.maximum(np.maximum(box.x - x, x - box.x - box.w), 0)
        np.minimum(nearest, np.hypot(dy, dx), out=nearest)
    return nearest


def share_of(mask, box, width, inside=False):
    share = np.ones((box.h, box.w), np.float32)
    times = np.zeros((box.h, box.w), int)
    for part, values in mask.ramps(box, width, inside):
        here = np.s_[part.y - box.y :, part.x - box.x :]
        share[here][: part.h, : part.w] = values
        times[here][: part.h, : part.w] += 1
    assert times.max() <= 1
    return share


@settings(max_examples=40)
@given(mask=masks(), inside=st.booleans())
def test_the_ramp_is_a_smooth_step_of_the_distance_from_the_border(mask, inside):
    width = min(16, mask.grid.cell // 2)
    whole = Box(0, 0, mask.grid.width, mask.grid.height)
    t = np.clip(distance(mask, inside) / width, 0, 1)
    step = t * t * (3 - 2 * t)
    expected = step if inside else 1 - step
    rows = np.arange(mask.grid.height) // mask.grid.cell
    cols = np.arange(mask.grid.width) // mask.grid.cell
    kept = mask.kept[rows][:, cols]
    share = share_of(mask, whole, width, inside)
    where = kept if inside else np.ones_like(kept)
    assert np.abs(share - expected)[where].max(initial=0) < 1e-5
    if not inside:
        assert (share[kept] == 1).all()


@settings(max_examples=40)
@given(mask=masks(), data=st.data())
def test_the_ramp_does_not_depend_on_the_box(mask, data):
    grid = mask.grid
    x, y = data.draw(st.integers(0, grid.width - 1)), data.draw(st.integers(0, grid.height - 1))
    w = data.draw(st.integers(1, grid.width - x))
    h = data.draw(st.integers(1, grid.height - y))
    whole = share_of(mask, Box(0, 0, grid.width, grid.height), 8)
    assert np.array_equal(share_of(mask, Box(x, y, w, h), 8), whole[y : y + h, x : x + w])


@settings(max_examples=40)
@given(mask=masks(), data=st.data(), halo=st.sampled_from([0, 16, 64]))
def test_a_band_is_covered_once_and_all_that_is_needed_is_computed(mask, data, halo):
    grid = mask.grid
    y0 = data.draw(st.integers(0, grid.height - 1))
    h = data.draw(st.integers(1, grid.height - y0))
    ramp = min(16, grid.cell // 2)
    covered = np.zeros((h, grid.width), int)
    computed = np.zeros((h, grid.width), bool)
    for box, by_generator in cut_band(mask, Box(0, y0, grid.width, h), ramp, halo):
        here = np.s_[box.y - y0 : box.y - y0 + box.h, box.x : box.x + box.w]
        assert min(box.w, box.h) > 0
        covered[here] += 1
        computed[here] |= by_generator
    assert (covered == 1).all()
    needed = distance(mask)[y0 : y0 + h] < ramp
    assert (computed | ~needed).all()
    if not mask.kept.any():
        assert not computed.any()


def test_distant_pieces_are_computed_apart_and_close_ones_together():
    grid = CellGrid(8192, 1024, 512)
    kept = np.zeros((2, 16), bool)
    kept[0, [1, 2, 12]] = True
    cuts = cut_band(CellMask(grid, kept), Box(0, 0, 8192, 1024), 16, 64)
    parts = [box for box, computed in cuts if computed]
    assert sorted((b.x, b.y, b.w, b.h) for b in parts) == [
        (496, 0, 1056, 528),
        (6128, 0, 544, 528),
    ]
    kept[:, 1:13] = True
    kept[1, 6] = False
    cuts = cut_band(CellMask(grid, kept), Box(0, 0, 8192, 1024), 16, 64)
    assert sum(computed for _, computed in cuts) == 1, (
        "a hole of one cell is not worth three more halos"
    )


@given(mask=masks(), x=st.integers(-50, 1000), y=st.integers(-50, 800), reach=st.integers(0, 200))
def test_near(mask, x, y, reach):
    box = Box(x, y, 30, 20)
    expected = any(
        x < (col + 1) * mask.grid.cell + reach
        and x + 30 > col * mask.grid.cell - reach
        and y < (row + 1) * mask.grid.cell + reach
        and y + 20 > row * mask.grid.cell - reach
        for row, col in np.argwhere(mask.kept)
    )
    assert mask.near(box, reach) == expected


class TestFromAPicture:
    def test_a_cell_is_kept_if_any_pixel_over_it_is_tissue(self):
        picture = np.zeros((40, 80), bool)
        picture[17, 33] = True
        grid = CellGrid(800, 400, 100)
        mask = cells_with_tissue(picture, grid, (0, 0, 80, 40), 0)
        assert np.argwhere(mask.kept).tolist() == [[1, 3]]

    def test_tissue_at_a_border_counts_for_both_cells(self):
        picture = np.zeros((40, 80), bool)
        picture[19, 30] = True
        mask = cells_with_tissue(picture, CellGrid(800, 400, 100), (0, 0, 80, 40), 1)
        assert np.argwhere(mask.kept).tolist() == [[1, 2], [1, 3], [2, 2], [2, 3]]

    def test_a_region_sees_its_part_of_the_picture(self):
        picture = np.zeros((40, 80), bool)
        picture[:20, :40] = True
        # 200 px from (300, 100) on, at half the resolution: 8 x 8 px of the picture.
        mask = cells_with_tissue(picture, CellGrid(100, 100, 50), (36, 16, 8, 8), 0)
        assert mask.kept.tolist() == [[True, False], [False, False]]

    def test_a_picture_coarser_than_the_cells(self):
        picture = np.array([[False, True], [False, False]])
        mask = cells_with_tissue(picture, CellGrid(64, 64, 16), (0, 0, 2, 2), 0)
        assert mask.kept.tolist() == [[False] * 2 + [True] * 2] * 2 + [[False] * 4] * 2


def test_facts_of_a_mask():
    grid = CellGrid(100, 60, 50)
    mask = CellMask(grid, np.array([[True, False], [False, False]]))
    same = CellMask(CellGrid(100, 60, 50), mask.kept.copy())
    other = CellMask(CellGrid(101, 60, 51), mask.kept)
    assert mask.share == 0.25
    assert mask.digest == same.digest != other.digest
    with pytest.raises(ValueError, match="mask"):
        CellMask(grid, np.ones((3, 2), bool))
    with pytest.raises(ValueError, match="mask"):
        CellMask(grid, np.ones((2, 2), np.uint8))


@given(top=st.integers(0, 199), h=st.integers(1, 60), halo=st.sampled_from([0, 4, 64]))
def test_low_cores_do_not_look_below_their_band(top, h, halo):
    plan = TilePlan(CellGrid(500, 400, 64), 64, halo, 4)
    y0 = top // 64 * 64
    y1 = y0 + 64
    core = Box(10, top, 100, min(h, y1 - top))
    tile = plan.tile_over(core, y0, y1)
    low, high = plan.rows_read(y0, y1)
    assert low <= tile.source.y <= top - halo
    assert top + core.h + halo <= tile.source.y + tile.source.h <= high
    assert (tile.source.y % 4, tile.source.h % 4, tile.source.w % 4) == (0, 0, 0)
