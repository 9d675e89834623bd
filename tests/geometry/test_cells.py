import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from uhrtranslate.geometry import CellGrid, TilePlan, reflect, spans
from uhrtranslate.geometry.tiles import with_halo

sizes = st.integers(1, 3000)


@given(size=sizes, start=st.integers(-4000, 4000), length=st.integers(1, 300))
def test_reflect_is_what_numpy_pads(size, start, length):
    before, after = max(0, -start), max(0, start + length - size)
    padded = np.pad(np.arange(size), (before, after), mode="reflect")
    expected = padded[start + before : start + before + length]
    assert np.array_equal(reflect(start, start + length, size), expected)


@given(size=sizes, step=st.integers(1, 700))
def test_spans_cover_once(size, step):
    pieces = list(spans(size, step))
    assert [p for a, b in pieces for p in range(a, b)] == list(range(size))
    assert all(b - a == step for a, b in pieces[:-1])


@given(
    width=st.integers(1, 1500),
    height=st.integers(1, 1500),
    steps=st.integers(4, 80),
    tile_steps=st.integers(4, 80),
    halo_steps=st.integers(0, 30),
    stride=st.sampled_from([1, 2, 4, 8, 16]),
    mirrored=st.booleans(),
)
def test_every_pixel_is_covered_exactly_once(
    width, height, steps, tile_steps, halo_steps, stride, mirrored
):
    grid = CellGrid(width, height, steps * stride)
    tile = grid.cell if mirrored else tile_steps * stride
    plan = TilePlan(grid, tile, halo_steps * stride, stride, mirrored)
    covered = np.zeros((height, width), np.uint8)
    for y0, y1 in plan.bands():
        for t in plan.tiles(y0, y1):
            core, source = t.core, t.source
            covered[core.y : core.y + core.h, core.x : core.x + core.w] += 1
            rows, cols = t.crop
            h, w = t.shape
            assert 0 <= rows.start < rows.stop <= h
            assert 0 <= cols.start < cols.stop <= w
            # The crop of what is computed is the core, and all sizes keep the generator's phase.
            assert source.y - t.mirror + rows.start == core.y
            assert source.x - t.mirror + cols.start == core.x
            assert (h % stride, w % stride) == (0, 0)
            if not mirrored:
                assert (source.x % stride, source.y % stride) == (0, 0)
                halo = plan.halo
                assert source.x <= core.x - halo
                assert source.x + source.w >= core.x + core.w + halo
                read = plan.rows_read(y0, y1)
                assert read == (source.y, source.y + source.h)
    assert (covered == 1).all()


@given(width=sizes, height=sizes, cell=st.integers(16, 700))
def test_cells_cover_the_image_and_no_more_than_needed(width, height, cell):
    grid = CellGrid(width, height, cell)
    assert (grid.rows - 1) * cell < height <= grid.rows * cell
    assert (grid.cols - 1) * cell < width <= grid.cols * cell
    assert grid.box(grid.rows - 1, 0).y < height


@given(
    height=sizes,
    cell=st.integers(16, 700),
    y0=st.integers(-200, 3200),
    length=st.integers(1, 900),
    reach=st.integers(0, 5),
)
def test_rows_within_are_those_near_the_pixels(height, cell, y0, length, reach):
    grid = CellGrid(1, height, cell)
    first, end = grid.rows_within(y0, y0 + length, reach)
    own = np.clip(np.arange(y0, y0 + length) // cell, 0, grid.rows - 1)
    expected = {min(max(r + d, 0), grid.rows - 1) for r in own for d in (-reach, 0, reach)}
    assert (first, end) == (min(expected), max(expected) + 1)


def test_a_widened_span_keeps_the_phase_and_a_minimum():
    assert with_halo(0, 1, 0, 4) == (0, 16)
    assert with_halo(512, 1024, 64, 4) == (448, 1088)
    assert with_halo(512, 1023, 6, 4) == (504, 1032)
