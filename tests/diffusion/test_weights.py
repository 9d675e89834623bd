import numpy as np
import pytest

from uhrtranslate.diffusion.tracking import merged
from uhrtranslate.diffusion.weights import Tiling
from uhrtranslate.tables import BLENDS


def test_a_tile_counts_fully_in_its_middle_and_half_at_its_edges():
    for side in (8, 9, 64):
        weights = Tiling(side, side, side, 0).weights()
        assert weights.max() == weights[side // 2, side // 2]
        # Of pixels' centres: half a pixel from the middle of an even side, and from the edges.
        assert weights.max() == pytest.approx(1 - (0 if side % 2 else 0.5 / side))
        assert weights.min() == pytest.approx(0.5 + 0.5 / side)
        for turned in (weights.T, weights[::-1], weights[:, ::-1]):
            assert np.array_equal(weights, turned)
        edges = (weights[0], weights[-1], weights[:, 0], weights[:, -1])
        assert all((edge == weights.min()).all() for edge in edges)


@pytest.mark.parametrize("blend", BLENDS)
@pytest.mark.parametrize(("height", "width", "overlap"), [(16, 16, 8), (21, 43, 8), (30, 17, 5)])
def test_normalized_weights_sum_to_one_everywhere(blend, height, width, overlap):
    tiling = Tiling(height, width, 16, overlap, BLENDS[blend])
    assert (tiling.rows[-1], tiling.columns[-1]) == (height - 16, width - 16)
    sums, found = tiling.sums(0, height), np.zeros((height, width))
    for top in tiling.rows:
        for left in tiling.columns:
            place = slice(top, top + 16), slice(left, left + 16)
            found[place] += tiling.weights() / sums[place]
    assert np.abs(found - 1).max() < 1e-6


def test_neighbours_share_the_overlap_and_the_last_tile_is_moved_inwards():
    tiling = Tiling(40, 100, 32, 16)
    assert tiling.columns == [0, 16, 32, 48, 64, 68]
    assert tiling.rows == [0, 8]
    assert Tiling(256, 256, 64, 32).rows == [*range(0, 193, 32)]  # the paper's 7 x 7 tiles
    assert tiling.scaled(8).columns == [8 * one for one in tiling.columns]


def test_tiles_that_do_not_fit_are_refused():
    for height, width, overlap in ((15, 32, 0), (32, 15, 0), (32, 32, 16), (32, 32, -1)):
        with pytest.raises(ValueError, match="tiles of 16"):
            Tiling(height, width, 16, overlap)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_tiles_that_agree_merge_into_what_they_show(batch):
    picture = np.random.default_rng(0).standard_normal((2, 53, 70)).astype(np.float32)
    tiling = Tiling(53, 70, 16, 8)

    def tiles(places):
        assert len(places) <= batch
        return np.stack([picture[:, y : y + 16, x : x + 16] for y, x in places])

    found = list(merged(tiling, tiles, batch))
    assert [y for y, _ in found] == tiling.rows
    assert np.abs(np.concatenate([rows for _, rows in found], 1) - picture).max() < 1e-6


def steps_at_ends(window, overlap, bias, where=slice(None)):
    """The largest step between neighbouring columns of merged tiles that show only their bias."""
    tiling = Tiling(32, 128, 32, overlap, window)
    shown = np.tile(np.float32(bias), (1, 32, 1))
    rows = next(merged(tiling, lambda places: np.stack([shown] * len(places)), 4))[1]
    return np.abs(np.diff(rows[0, 16, where])).max()


def test_a_bias_by_the_place_in_a_tile_shows_no_step_with_the_weights_and_one_without():
    place = (np.arange(32) + 0.5) / 32
    ramp, bowl = place, (2 * place - 1) ** 2
    alike = np.ones((32, 32), np.float32)
    # Side by side, the bias's whole range is a step. Where tiles overlap by half and count alike,
    # half of it is; with the paper's weights a third, as a tile still counts half where it ends.
    assert steps_at_ends(BLENDS["centre"], 0, ramp) > 0.95
    assert steps_at_ends(lambda *_: alike, 16, ramp) == pytest.approx(0.5, abs=0.04)
    assert steps_at_ends(BLENDS["centre"], 16, ramp) == pytest.approx(1 / 3, abs=0.04)
    # Weights that fall to 0 leave none: no more than the bias itself changes within a tile.
    for blend in ("linear", "cosine"):
        assert steps_at_ends(BLENDS[blend], 16, ramp) < 2 * np.abs(np.diff(ramp)).max()
    # What is alike at all edges of a tile leaves none either, but at the canvas's own ends, where
    # a tile begins and none ends.
    assert steps_at_ends(BLENDS["centre"], 16, bowl) > 0.3
    assert steps_at_ends(BLENDS["centre"], 16, bowl, slice(20, 108)) < np.abs(np.diff(bowl)).max()
