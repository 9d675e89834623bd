"""The schedule and the fields are values: complete, plain, and the same wherever they are used."""

import math
import pickle

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import as_generator, small_resnet, translate_array

from uhrtranslate.engine import GeneratorRunner, Masking
from uhrtranslate.engine.statistics.fields import BatchFields
from uhrtranslate.engine.statistics.moments import joined
from uhrtranslate.engine.statistics.tables import Tables
from uhrtranslate.engine.stream.schedule import Schedule
from uhrtranslate.geometry import Box, CellGrid, CellMask, TilePlan, reflect
from uhrtranslate.normalizers import DN, KIN, TIN, Pooled

IMAGE = np.ascontiguousarray(skimage.data.immunohistochemistry()[:230, :310])
CELL, HALO, STRIDE = 64, 24, 4


@st.composite
def schedules(draw):
    cell = draw(st.sampled_from([16, 20, 64]))
    grid = CellGrid(draw(st.integers(1, 400)), draw(st.integers(1, 400)), cell)
    mirrored = draw(st.booleans())
    tile = cell if mirrored else 4 * draw(st.integers(4, 40))
    halo = 4 * draw(st.integers(0, 12))
    mask = None
    if draw(st.booleans()):
        seed = draw(st.integers(0, 9))
        kept = np.random.default_rng(seed).random((grid.rows, grid.cols)) < 0.6
        mask = CellMask(grid, kept)
    plan = TilePlan(grid, tile, halo, 4, mirrored)
    reach = draw(st.sampled_from([None, 0, 1, 3]))
    return Schedule(plan, reach, Masking(mask), draw(st.integers(1, 5)))


@given(schedules())
def test_every_pixel_and_every_needed_cell_comes_once_and_in_time(schedule):
    grid = schedule.plan.grid
    covered = np.zeros((grid.height, grid.width), int)
    recorded, kept_cells, kept_pixels = 0, 0, 0
    for band in schedule.bands():
        for row in band.cells:
            assert row.row == recorded
            recorded += 1
            assert sum(len(batch) for batch in row.batches) == grid.cols
            kept = schedule.masking.kept(row.row, grid)
            assert [box is not None for batch in row.batches for box in batch] == list(kept)
            for batch in row.batches:
                assert sum(box is not None for box in batch) <= schedule.batch
            assert schedule.reads_twice or row.row * grid.cell >= kept_pixels
        for batch in band.batches:
            assert 1 <= len(batch) <= schedule.batch
            assert len({tile.shape for tile in batch}) == 1
            for tile in batch:
                if schedule.reach is not None:
                    box = tile.field
                    r0, r1 = grid.rows_within(box.y, box.y + box.h, schedule.reach)
                    assert kept_cells <= r0
                    assert r1 <= recorded
                assert reflect(tile.source.y, tile.source.y + 1, grid.height)[0] >= min(
                    kept_pixels, max(grid.height - schedule.tail, 0)
                )
        for box in (*band.background, *(tile.core for batch in band.batches for tile in batch)):
            assert band.y0 <= box.y < box.y + box.h <= band.y1
            covered[box.y : box.y + box.h, box.x : box.x + box.w] += 1
        kept_cells, kept_pixels = band.first_cells, band.first_pixels
    assert (covered == 1).all()


@given(schedules(), st.data())
def test_a_later_start_gives_the_same_bands(schedule, data):
    bands = list(schedule.bands())
    number = data.draw(st.integers(0, len(bands) - 1))
    later = list(schedule.bands(bands[number].y0))
    assert [band.batches for band in later] == [band.batches for band in bands[number:]]
    assert [band.background for band in later] == [band.background for band in bands[number:]]
    # What was recorded above and is needed still is recorded anew.
    first = [row.row for row in later[0].cells]
    needed = bands[number].cells[-1:] or [row for band in bands[:number] for row in band.cells][-1:]
    assert first == list(range(first[0], needed[-1].row + 1)) if needed and first else not needed


def mirrored_view(box):
    ys = reflect(box.y, box.y + box.h, IMAGE.shape[0])
    xs = reflect(box.x, box.x + box.w, IMAGE.shape[1])
    return IMAGE[ys[:, None], xs]


@pytest.mark.parametrize(
    "normalizer", [DN(), KIN(kernel=3), TIN(), Pooled(), Pooled(bandwidth=math.inf)], ids=repr
)
def test_bands_and_fields_that_went_through_another_process_give_the_same_bytes(normalizer):
    """An executor of its own, all of whose work arrives as bytes."""
    network = small_resnet()
    thumbnail = IMAGE[::4, ::5][:56, :60]
    grid = CellGrid(IMAGE.shape[1], IMAGE.shape[0], CELL)
    plan = TilePlan(grid, 96, HALO, STRIDE)
    expected = translate_array(
        IMAGE, network, normalizer, cell=CELL, tile=96, halo=HALO, thumbnail=thumbnail, batch=2
    )
    runner = GeneratorRunner(as_generator(small_resnet()), torch.device("cpu"))
    reach = None if normalizer.source == "thumbnail" else normalizer.look_ahead(grid.rows)
    schedule = pickle.loads(pickle.dumps(Schedule(plan, reach, batch=2)))
    tables, result = Tables(plan, normalizer), np.zeros_like(IMAGE)
    for original in schedule.bands():
        band = pickle.loads(pickle.dumps(original))
        assert band == original
        for row in band.cells:
            parts = [
                runner.record(runner.to_input([mirrored_view(box) for box in batch]))
                for batch in row.batches
            ]
            tables.put(row.row, [True] * grid.cols, joined(parts))
        for tiles in band.batches:
            if tables.lack_thumbnail(tiles):
                tables.put_thumbnail(runner.record(runner.to_input([thumbnail])))
            fields = pickle.loads(pickle.dumps(tables.fields(tiles)))
            x = runner.to_input([mirrored_view(tile.source) for tile in tiles])
            y = runner.normalize_part(x, BatchFields(fields, runner.device), _part(tiles[0]))
            for tile, pixels in zip(tiles, runner.to_pixels(y), strict=True):
                core = tile.core
                result[core.y : core.y + core.h, core.x : core.x + core.w] = pixels
        tables.drop_above(band.first_cells)
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_pixels_without_tissue_are_not_computed(share):
    """What is computed is in proportion to the cells that have tissue, but for ramps and halos."""
    grid = CellGrid(20_000, 20_000, 512)
    y, x = (np.mgrid[: grid.rows, : grid.cols] + 0.5) / grid.rows
    kept = np.zeros(y.shape, bool)
    for piece in range(1, 4):  # round pieces on a diagonal
        kept |= np.hypot(x - piece / 4, y - piece / 4) < math.sqrt(share / 3 / math.pi)
    mask = CellMask(grid, kept)

    def computed(masking):
        schedule = Schedule(TilePlan(grid, 2048, 64, 4), 1, masking)
        bands = list(schedule.bands())
        tiles = [tile for band in bands for batch in band.batches for tile in batch]
        rows = [row for band in bands for row in band.cells]
        cells = sum(box is not None for row in rows for batch in row.batches for box in batch)
        return sum(tile.source.w * tile.source.h for tile in tiles) + cells * grid.cell**2

    ratio = computed(Masking(mask)) / computed(Masking())
    assert mask.share <= ratio < 1.12 * mask.share


def _part(tile):
    rows, cols = tile.crop
    return Box(cols.start, rows.start, tile.core.w, tile.core.h)


def test_missing_cells_without_a_thumbnail_are_an_error():
    plan = TilePlan(CellGrid(64, 64, 64), 64, 0, 4)
    tables = Tables(plan, DN())
    tables.put(0, [False], None)
    (tile,) = plan.tiles(0, 64)
    assert tables.lack_thumbnail([tile])
    with pytest.raises(ValueError, match="thumbnail"):
        tables.fields([tile])
