"""Tiles that overlap: the same bytes however they are computed, and no steps where they meet."""

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support import small_resnet, translate_array
from torch import nn

from uhrtranslate.engine import Masking
from uhrtranslate.engine.stream.mosaic import Mosaic
from uhrtranslate.engine.stream.schedule import Schedule
from uhrtranslate.geometry import BlendedPlan, CellGrid, CellMask, reflect
from uhrtranslate.geometry.blended import LEAST_SIDE
from uhrtranslate.metrics.seams.ratio import seam_ratio
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN, Pooled
from uhrtranslate.tables import BLENDS

SOME = settings(max_examples=40)
IMAGE = np.ascontiguousarray(np.tile(skimage.data.immunohistochemistry(), (2, 2, 1))[:601, :709])


@st.composite
def plans(draw):
    period = draw(st.sampled_from([1, 4, 8, 32]))
    steps = draw(st.integers(1, 6))
    overlap = draw(st.integers(0, steps - 1))
    size = st.integers(1, 150)
    grid = CellGrid(draw(size), draw(size), draw(st.sampled_from([16, 40, 64])))
    blend = draw(st.sampled_from(list(BLENDS)))
    return BlendedPlan(grid, steps * period, 0, period, False, overlap * period, blend)


@st.composite
def schedules(draw):
    plan = draw(plans())
    kept = None
    if draw(st.booleans()):
        random = np.random.default_rng(draw(st.integers(0, 9)))
        kept = CellMask(plan.grid, random.random((plan.grid.rows, plan.grid.cols)) < 0.4)
    reach = draw(st.sampled_from([None, 0, 1]))
    return Schedule(plan, reach, Masking(kept), draw(st.integers(1, 4)))


class TestTheSchedule:
    @SOME
    @given(schedules())
    def test_covers_the_image_once_by_tiles_on_the_period(self, schedule):
        plan, grid = schedule.plan, schedule.plan.grid
        covered = np.zeros((grid.height, grid.width), int)
        recorded, kept_cells, kept_pixels = 0, 0, 0
        for band in schedule.bands():
            recorded += len(band.cells)
            for tile in (tile for batch in band.batches for tile in batch):
                assert tile.source.x % plan.stride == tile.source.y % plan.stride == 0
                assert tile.source.w % plan.stride == tile.source.h % plan.stride == 0
                assert max(tile.shape) <= plan.tile
                # Nothing beyond the image's end but what fills the last period.
                for end, size in (
                    (tile.source.x + tile.source.w, grid.width),
                    (tile.source.y + tile.source.h, grid.height),
                ):
                    assert end < max(size, LEAST_SIDE) + plan.stride
                if schedule.reach is not None:
                    box = tile.field
                    first, end = grid.rows_within(box.y, box.y + box.h, schedule.reach)
                    assert kept_cells <= first < end <= recorded
                assert reflect(tile.source.y, tile.source.y + 1, grid.height)[0] >= min(
                    kept_pixels, max(grid.height - schedule.tail, 0)
                )
            for box in (*band.background, *(t.core for batch in band.batches for t in batch)):
                assert band.y0 <= box.y < box.y + box.h <= band.y1
                covered[box.y : box.y + box.h, box.x : box.x + box.w] += 1
            kept_cells, kept_pixels = band.first_cells, band.first_pixels
        assert (covered == 1).all()

    @SOME
    @given(schedules(), st.data())
    def test_begins_again_with_all_tiles_that_reach_below_the_start(self, schedule, data):
        bands = list(schedule.bands())
        number = data.draw(st.integers(0, len(bands) - 1))
        start = bands[number].y0
        later = list(schedule.bands(start))
        assert [b.batches for b in later] == [b.batches for b in bands[-len(later) :]]
        tiles = (tile for band in bands[: -len(later)] for batch in band.batches for tile in batch)
        assert all(tile.shared.y + tile.shared.h <= start for tile in tiles)
        assert [b.background for b in later if b.y0 >= start] == [
            b.background for b in bands[number:]
        ]
        assert not any(b.background for b in later if b.y0 < start)


def assembled(plan, pixels_of, start=0):
    """The result of tiles whose pixels a function gives."""
    grid = plan.grid
    result = np.zeros((grid.height, grid.width, 3), np.uint8)
    mosaic = Mosaic(plan, start)
    for y0, y1 in plan.bands(plan.first_band(start)):
        for tile in plan.tiles(y0, y1):
            for core, pixels in mosaic.add(tile, pixels_of(tile.shared)):
                result[core.y : core.y + core.h, core.x : core.x + core.w] = pixels
        mosaic.reached(y1)
    return result


class TestWeights:
    @pytest.mark.parametrize("blend", BLENDS)
    @pytest.mark.parametrize(("size", "overlap"), [(8, 0), (8, 4), (24, 8), (64, 32), (7, 3)])
    def test_are_positive_symmetric_and_largest_in_the_middle(self, blend, size, overlap):
        window = BLENDS[blend](size, size + 2, overlap)
        assert window.shape == (size, size + 2)
        assert window.dtype == np.float32
        assert window.min() > 0
        assert window.max() <= 1
        assert window[size // 2, size // 2 + 1] == window.max()
        for other in (window[::-1], window[:, ::-1]):
            assert np.allclose(window, other)

    @pytest.mark.parametrize("blend", ["linear", "cosine"])
    def test_of_two_neighbours_add_up_to_1_by_themselves(self, blend):
        window = BLENDS[blend](64, 64, 16)[32]
        assert np.allclose(window[-16:] + window[:16], 1, atol=1e-6)
        assert (window[16:-16] == 1).all()

    def test_by_distance_from_the_centre_are_those_of_the_paper(self):
        window = BLENDS["centre"](65, 65, 32)
        assert window[32, 32] == 1
        assert np.allclose([window[0, 0], window[32, 0], window[64, 20]], 0.5, atol=0.01)
        assert window[32 - 10, 32] == pytest.approx(1 - 10 / 65)

    @SOME
    @given(plans())
    def test_add_up_to_1_at_every_pixel_and_each_pixel_gets_its_own(self, plan):
        """Tiles of the image itself give it back exactly, so weights add up to 1 everywhere."""
        image = np.random.default_rng(0).integers(
            0, 256, (plan.grid.height, plan.grid.width, 3), np.uint8
        )
        result = assembled(plan, lambda box: image[box.y :, box.x :][: box.h, : box.w])
        assert np.array_equal(result, image)

    @SOME
    @given(plans())
    def test_are_those_of_the_windows(self, plan):
        """Tiles of one level each, against a sum over the whole image in float64."""
        grid = plan.grid
        level = {}
        total = np.zeros((grid.height, grid.width))
        weighted = np.zeros((grid.height, grid.width))
        window = BLENDS[plan.blend](plan.side(grid.height), plan.side(grid.width), plan.overlap)
        for band in plan.bands():
            for tile in plan.tiles(*band):
                box = tile.shared
                level[box] = (37 * len(level)) % 256
                place = np.s_[box.y : box.y + box.h, box.x : box.x + box.w]
                total[place] += window[: box.h, : box.w]
                weighted[place] += window[: box.h, : box.w] * level[box]
        result = assembled(plan, lambda box: np.full((box.h, box.w, 3), level[box], np.uint8))
        assert np.abs(result - (weighted / total)[..., None]).max() <= 0.501

    @SOME
    @given(plans(), st.data())
    def test_are_the_same_after_a_new_start(self, plan, data):
        random = np.random.default_rng(1)
        content = {
            tile.shared: random.integers(0, 256, (tile.shared.h, tile.shared.w, 3), np.uint8)
            for band in plan.bands()
            for tile in plan.tiles(*band)
        }
        start = data.draw(st.sampled_from([y0 for y0, _ in plan.bands()]))
        whole, later = (assembled(plan, content.get, first) for first in (0, start))
        assert np.array_equal(later[start:], whole[start:])
        assert not later[:start].any()


class Tilted(nn.Module):
    """A network that is not translation-covariant: brighter towards each tile's lower right."""

    def forward(self, x):
        h, w = x.shape[-2:]
        slope = torch.linspace(-0.2, 0.2, h)[:, None] + torch.linspace(-0.2, 0.2, w)
        return x + slope


def blended(network, image=IMAGE, normalizer=None, **how):
    how = {"cell": 128, "tile": 128, "stride": 4, "overlap": 64} | how
    thumbnail = image[::5, ::5][:116, :128].copy()
    return translate_array(image, network, normalizer or DN(), thumbnail=thumbnail, **how)


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize("size", [(601, 709), (128, 128), (3, 5), (1, 300), (129, 127)])
def test_the_identity_gives_the_image_back(blend, size):
    image = IMAGE[: size[0], : size[1]]
    assert np.array_equal(blended(nn.Identity(), image, blend=blend), image)


def test_blending_hides_what_depends_on_the_place_within_a_tile():
    # Half of the levels, so that none is clipped.
    image = IMAGE // 2 + 64

    def ratio(result, spacing):
        def read(x, y, w, h):
            return result[y : y + h, x : x + w]

        return seam_ratio(read, result.shape[1], result.shape[0], spacing)

    own = {spacing: ratio(image, spacing) for spacing in (64, 128)}
    bare = ratio(blended(Tilted(), image, overlap=0), 128) / own[128]
    found = {blend: ratio(blended(Tilted(), image, blend=blend), 64) / own[64] for blend in BLENDS}
    assert bare > 3
    assert found["linear"] == pytest.approx(1, abs=0.05)
    assert found["cosine"] == pytest.approx(1, abs=0.05)
    # This window ends at half its height, so a part of each step stays.
    assert 0.1 < (found["centre"] - 1) / (bare - 1) < 0.5


@pytest.mark.parametrize(
    "normalizer", [DN(), KIN(kernel=3), TIN(), PatchIN(), Pooled(bandwidth=1.0)], ids=repr
)
def test_fields_follow_the_normalizer_in_overlapping_tiles(normalizer):
    """A generator whose pixels depend on nothing but the fields: tiles cannot matter to it."""
    network = nn.Sequential(
        nn.Conv2d(3, 8, 1), nn.InstanceNorm2d(8), nn.ReLU(), nn.Conv2d(8, 3, 1),
        nn.InstanceNorm2d(3), nn.Tanh(),
    )  # fmt: skip
    exact = blended(network, normalizer=normalizer, overlap=None)
    assert exact.std() > 20
    for how in ({}, {"tile": 96, "overlap": 32, "batch": 3}, {"tile": 256, "blend": "centre"}):
        result = blended(network, normalizer=normalizer, **how)
        assert np.abs(result.astype(int) - exact).max() <= 1, how


def test_the_same_bytes_with_any_workers_and_devices():
    network, image = small_resnet(ngf=2, n_blocks=1), IMAGE[:300, :330]
    once = blended(network, image, workers=1)
    for how in ({"workers": 4, "strip_height": 33}, {"devices": ("cpu", "cpu")}):
        assert np.array_equal(blended(network, image, **how), once), how


def test_the_same_bytes_from_any_band_on():
    network, image = small_resnet(ngf=2, n_blocks=1), IMAGE[:, :200]
    whole = blended(network, image, overlap=32)
    for start in (96, 384, 476):
        later = blended(network, image, overlap=32, start=start)
        assert np.array_equal(later[start:], whole[start:]), start


class TestWithAMask:
    @pytest.fixture
    def masking(self):
        kept = np.zeros((5, 6), bool)
        kept[1, 1:3] = kept[3, 4] = True
        return Masking(CellMask(CellGrid(709, 601, 128), kept), background=(9, 9, 9))

    def test_kept_cells_are_what_they_are_without_and_far_ones_background(self, masking):
        network = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), Tilted())
        whole = blended(network)
        for start in (0, 128):
            part = blended(network, masking=masking, start=start)
            for row, col in np.argwhere(masking.cells.kept):
                place = np.s_[row * 128 : row * 128 + 128, col * 128 : col * 128 + 128]
                if row * 128 >= start:
                    assert np.array_equal(part[place], whole[place])
            assert (part[start:][:, 660:] == 9).all()
        assert (part[:128] == 0).all()

    def test_only_tiles_near_kept_cells_are_computed(self, masking):
        plan = BlendedPlan(masking.cells.grid, 128, 0, 4, False, 64)
        bands = list(Schedule(plan, None, masking).bands())
        tiles = [tile for band in bands for batch in band.batches for tile in batch]
        every = [tile for band in plan.bands() for tile in plan.tiles(*band)]
        assert len(tiles) < len(every) * 0.6
        assert all(masking.cells.near(tile.shared, 16) for tile in tiles)


def test_memory_does_not_grow_with_the_height_of_the_image():
    """What a mosaic keeps after each band: the overlap of one row of tiles."""
    plan = BlendedPlan(CellGrid(700, 5000, 64), 64, 0, 8, False, 16)
    mosaic = Mosaic(plan)
    for y0, y1 in plan.bands():
        for tile in plan.tiles(y0, y1):
            list(mosaic.add(tile, np.zeros((tile.shared.h, tile.shared.w, 3), np.uint8)))
        mosaic.reached(y1)
        kept = [one.pixels for column in mosaic._kept for one in column]
        assert all(pixels.base is None for pixels in kept)
        assert sum(pixels.nbytes for pixels in kept) <= 16 * 64 * 3 * (700 // 48 + 1) * 2
    assert not kept
