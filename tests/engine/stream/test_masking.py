"""Cells without tissue are not computed; the others come out as ever, and no edge shows."""

import numpy as np
import pytest
import skimage.data
import torch
from support import ArraySink, ArraySource, as_generator, small_resnet, translate_array

from uhrtranslate.engine import (
    GeneratorRunner,
    GeneratorTransform,
    Lanes,
    Masking,
    measure_halo,
    stream,
)
from uhrtranslate.geometry import CellGrid, CellMask, TilePlan
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN, Pooled

CELL = 64
HEIGHT, WIDTH = 601, 709
GRID = CellGrid(WIDTH, HEIGHT, CELL)
NORMALIZERS = [DN(), KIN(kernel=3), KIN(kernel=1), TIN(), PatchIN(), Pooled()]
WHITE, GREY = (255, 255, 255), (10, 200, 90)


@pytest.fixture(scope="module")
def section():
    image = skimage.data.immunohistochemistry()
    return np.ascontiguousarray(np.tile(image, (2, 2, 1))[:HEIGHT, :WIDTH])


@pytest.fixture(scope="module")
def network():
    return small_resnet(ngf=4, n_blocks=2)


@pytest.fixture(scope="module")
def halo(network):
    return measure_halo(GeneratorRunner(as_generator(network), torch.device("cpu")))


@pytest.fixture(scope="module")
def mask():
    """A large piece with a hole, a single cell, and pieces at the image's lower right end."""
    kept = np.zeros((GRID.rows, GRID.cols), bool)
    kept[1:7, 1:7] = True
    kept[3, 3] = False
    kept[2, 9] = True
    kept[8:, 9:] = True
    return CellMask(GRID, kept)


def over_pixels(cells):
    rows, cols = np.arange(HEIGHT) // CELL, np.arange(WIDTH) // CELL
    return cells[rows][:, cols]


def run(section, network, normalizer, halo, masking=None, **how):
    thumbnail = section[::10, ::10][:60, :64].copy()
    return translate_array(
        section, network, normalizer, cell=CELL, halo=halo, thumbnail=thumbnail, masking=masking,
        **how,
    )  # fmt: skip


def away_from_background(mask, px):
    """Pixels farther than `px` from every skipped cell, along either axis."""
    skipped = np.argwhere(~mask.kept)
    away = np.ones((HEIGHT, WIDTH), bool)
    for row, col in skipped:
        y, x = row * CELL, col * CELL
        away[max(y - px, 0) : y + CELL + px, max(x - px, 0) : x + CELL + px] = False
    return away


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=repr)
@pytest.mark.parametrize("background", [WHITE, None], ids=["white", "keep"])
def test_the_result_does_not_depend_on_tiles_or_batches(
    section, network, halo, mask, normalizer, background
):
    masking = Masking(mask, background)
    whole = run(section, network, normalizer, halo, masking, tile=1024)
    assert whole[over_pixels(mask.kept)].std() > 20, "a flat result would prove nothing"
    for how in (
        {"tile": 64, "workers": 1},
        {"tile": 256, "batch": 3, "strip_height": 77},
        {"tile": 100, "batch": 4, "workers": 5, "strip_height": 601},
    ):
        other = run(section, network, normalizer, halo, masking, **how)
        assert np.abs(whole.astype(int) - other).max() <= 1, how


@pytest.mark.parametrize("normalizer", NORMALIZERS[:-1], ids=repr)
@pytest.mark.parametrize("tile", [64, 128, 1024])
def test_tissue_farther_than_one_cell_from_background_does_not_change(
    section, network, halo, mask, normalizer, tile
):
    """KIN gives a cell the statistics of its neighbours, and those see theirs through the halo."""
    assert halo < CELL / 2
    px = CELL + (halo if isinstance(normalizer, KIN) and normalizer.reach else 0)
    away = away_from_background(mask, px)
    assert away.sum() > 3000
    masked = run(section, network, normalizer, halo, Masking(mask), tile=tile)
    full = run(section, network, normalizer, halo, tile=tile)
    assert np.abs(masked.astype(int) - full)[away].max() <= 1
    if normalizer.source == "thumbnail":  # no cell's statistics: nothing of the tissue changes
        kept = over_pixels(mask.kept)
        assert np.abs(masked.astype(int) - full)[kept].max() <= 1


@pytest.mark.parametrize("normalizer", [DN(), KIN(3), TIN(), PatchIN(), Pooled()], ids=repr)
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("background", [WHITE, GREY, None], ids=["white", "colour", "keep"])
def test_background_is_what_was_chosen(
    section, network, halo, mask, normalizer, mirrored, background
):
    result = run(
        section, network, normalizer, 16 if mirrored else halo, Masking(mask, background),
        mirrored=mirrored,
    )  # fmt: skip
    expected = section if background is None else np.full_like(section, background)
    bare = ~over_pixels(mask.kept)
    if not mirrored:  # the ramp lies outside of kept cells
        near = np.zeros_like(bare)
        for row, col in np.argwhere(mask.kept):
            y, x = row * CELL, col * CELL
            near[max(y - 16, 0) : y + CELL + 16, max(x - 16, 0) : x + CELL + 16] = True
        bare &= ~near
    assert bare.sum() > 50_000
    assert np.array_equal(result[bare], expected[bare])


@pytest.mark.parametrize("mirrored", [False, True])
def test_no_edge_shows_where_tissue_ends(section, network, halo, mask, mirrored):
    """Steps across the borders of kept cells are no larger than they are without a mask."""
    normalizer, halo = (PatchIN(), 0) if mirrored else (DN(), halo)
    result, full = (
        run(section, network, normalizer, halo, masking, mirrored=mirrored).astype(int)
        for masking in (Masking(mask, GREY), None)
    )
    kept = over_pixels(mask.kept)
    for axis in (0, 1):
        border = np.diff(kept, axis=axis)
        assert border.sum() > 500
        masked_step, full_step = (
            np.abs(np.diff(pixels, axis=axis)).max(axis=2)[border].mean()
            for pixels in (result, full)
        )
        assert masked_step < 1.05 * full_step


def test_a_constant_output_is_blended_in_a_smooth_ramp(mask):
    class Black(torch.nn.Module):
        def forward(self, x):
            return torch.full_like(x, -1.0)

    result = translate_array(
        np.full((HEIGHT, WIDTH, 3), 77, np.uint8), Black(), TIN(), cell=CELL, halo=16,
        masking=Masking(mask, WHITE), thumbnail=np.zeros((16, 16, 3), np.uint8),
    )  # fmt: skip
    assert (result[over_pixels(mask.kept)] == 0).all()
    line = result[2 * CELL + 32, 10 * CELL : 11 * CELL, 0].astype(int)
    assert line[0] <= 2
    assert (line[16:] == 255).all()
    assert (np.diff(line) >= 0).all()
    assert np.diff(line).max() <= 25
    corner = result[CELL - 16 : CELL, CELL - 16 : CELL, 0].astype(int)
    assert corner[-1, -1] < 3
    assert corner[0, 0] == 255
    for axis in (0, 1):
        assert np.abs(np.diff(result.astype(int), axis=axis)).max() <= 25


class Counting(torch.nn.Module):
    """Notes where and how much the generator is asked to compute."""

    def __init__(self, module):
        super().__init__()
        self.module = module
        self.shapes = []

    def forward(self, x):
        self.shapes.append(tuple(x.shape))
        return self.module(x)


@pytest.mark.parametrize("mirrored", [False, True])
def test_nothing_is_forwarded_for_skipped_cells(section, network, halo, mask, mirrored):
    counting = Counting(network)
    thumbnail = 1
    run(section, counting, DN(), 16, Masking(mask), mirrored=mirrored, tile=None, batch=1)
    kept = int(mask.kept.sum())
    padded = CELL + 32 if mirrored else CELL
    statistics = [s for s in counting.shapes if s[2:] == (padded, padded)]
    if mirrored:
        assert len(counting.shapes) == 2 * kept + thumbnail
        return
    assert len(statistics) == kept
    dense = sum(h * w for _, _, h, w in counting.shapes) - kept * CELL**2
    every = Counting(network)
    run(section, every, DN(), 16)
    full = sum(h * w for _, _, h, w in every.shapes) - GRID.rows * GRID.cols * CELL**2
    assert dense < 0.75 * full


@pytest.mark.parametrize("background", [WHITE, None], ids=["white", "keep"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_a_mask_without_tissue_gives_pure_background(section, background, mirrored):
    counting = Counting(small_resnet())
    nothing = CellMask(GRID, np.zeros((GRID.rows, GRID.cols), bool))
    result = run(section, counting, DN(), 16, Masking(nothing, background), mirrored=mirrored)
    assert counting.shapes == []
    assert np.array_equal(result, section if background is None else np.full_like(section, 255))


@pytest.mark.parametrize("normalizer", NORMALIZERS, ids=repr)
@pytest.mark.parametrize("how", [{"tile": 256}, {"tile": 128, "batch": 3}, {"mirrored": True}])
def test_a_mask_of_nothing_but_tissue_changes_no_byte(section, network, normalizer, how):
    everything = CellMask(GRID, np.ones((GRID.rows, GRID.cols), bool))
    masked = run(section, network, normalizer, 16, Masking(everything, GREY), **how)
    assert np.array_equal(masked, run(section, network, normalizer, 16, **how))


def test_statistics_of_skipped_cells_are_missing_not_zero():
    """One kept cell between skipped ones: every weight is its own, so it is plain instance norm."""
    network = torch.nn.Sequential(torch.nn.InstanceNorm2d(3))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (192, 192, 3), np.uint8)
    pixels[64:128, 64:128] = 100 + pixels[64:128, 64:128] // 8
    kept = np.zeros((3, 3), bool)
    kept[1, 1] = True
    masking = Masking(CellMask(CellGrid(192, 192, 64), kept))
    alone = pixels[64:128, 64:128].astype(np.float64) / 127.5 - 1
    plain = (alone - alone.mean((0, 1))) / np.sqrt(alone.var((0, 1)) + 1e-5)
    expected = np.clip(np.floor((plain + 1) * 127.5 + 0.5), 0, 255)
    for normalizer in (DN(), KIN(3), KIN(5, "gaussian"), PatchIN()):
        result = translate_array(
            pixels, network, normalizer, cell=64, halo=0, stride=1, masking=masking,
            thumbnail=np.zeros((64, 64, 3), np.uint8),
        )  # fmt: skip
        assert np.abs(result[64:128, 64:128] - expected).max() <= 1, normalizer


@pytest.mark.parametrize("normalizer", [DN(), KIN(5), TIN(), Pooled()], ids=repr)
@pytest.mark.parametrize("background", [WHITE, None], ids=["white", "keep"])
@pytest.mark.parametrize("start", [128, 256, 384, 512])
def test_starting_in_the_middle_gives_the_same_bytes(
    section, network, mask, normalizer, background, start
):
    plan = TilePlan(GRID, 128, 16, 4)
    masking = Masking(mask, background)

    def translated(sink, start):
        runner = GeneratorRunner(as_generator(network), torch.device("cpu"))
        transform = GeneratorTransform(Lanes([runner]), normalizer, plan, lambda: section[:64, :64])
        done = []
        stream(
            ArraySource(section, 40), transform, sink, start=start, masking=masking,
            progress=done.append,
        )  # fmt: skip
        assert sum(done) == (HEIGHT - start) * WIDTH
        return sink.pixels

    rest = ArraySink(HEIGHT, WIDTH)
    rest.written[:start] = 1
    whole = translated(ArraySink(HEIGHT, WIDTH), 0)
    assert np.array_equal(translated(rest, start)[start:], whole[start:])
    assert (rest.written == 1).all()


class Marked(ArraySource):
    """Notes which pixels were read."""

    def __init__(self, pixels, strip_height=64):
        super().__init__(pixels, strip_height)
        self.reads = np.zeros(pixels.shape[:2], int)

    def read(self, x, y, w, h):
        self.reads[y : y + h, x : x + w] += 1
        return super().read(x, y, w, h)


def test_rows_and_pieces_far_from_tissue_are_not_read(network):
    grid = CellGrid(6000, 1200, CELL)
    kept = np.zeros((grid.rows, grid.cols), bool)
    kept[8:10, 2:4] = True
    pixels = np.random.default_rng(0).integers(0, 256, (1200, 6000, 3), np.uint8)
    plan = TilePlan(grid, 256, 16, 4)
    results = []
    for background in (WHITE, None):
        source, sink = Marked(pixels), ArraySink(1200, 6000)
        runner = GeneratorRunner(as_generator(network), torch.device("cpu"))
        transform = GeneratorTransform(Lanes([runner]), DN(), plan, lambda: pixels[:64, :64])
        stream(source, transform, sink, masking=Masking(CellMask(grid, kept), background))
        assert source.reads.max() == 1
        results.append(sink.pixels)
        if background is None:
            assert source.reads.min() == 1
        else:
            assert 0 < source.reads.mean() < 0.2
    tissue = np.s_[512:640, 128:256]
    assert np.array_equal(results[0][tissue], results[1][tissue])


@pytest.mark.parametrize("size", [(1, 1), (3, 300), (129, 63), (130, 257)])
@pytest.mark.parametrize("normalizer", [DN(), KIN(3), TIN(), PatchIN(), Pooled()], ids=repr)
@pytest.mark.parametrize("mirrored", [False, True])
def test_images_of_any_size(section, network, size, normalizer, mirrored):
    height, width = size
    grid = CellGrid(width, height, CELL)
    rng = np.random.default_rng(1)
    for halo in (0, 16):
        kept = rng.random((grid.rows, grid.cols)) < 0.5
        result = translate_array(
            section[:height, :width], network, normalizer, cell=CELL, halo=halo,
            mirrored=mirrored, thumbnail=section[:32, :32], masking=Masking(CellMask(grid, kept)),
        )  # fmt: skip
        assert result.shape == (height, width, 3)


def test_a_mask_for_another_grid_is_refused(section, network):
    other = CellMask(CellGrid(WIDTH, HEIGHT, 48), np.zeros((13, 15), bool))
    with pytest.raises(ValueError, match="another grid"):
        run(section, network, DN(), 16, Masking(other))
