import math
import threading

import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from support import ArraySink, ArraySource, FloatRunner, as_generator, small_resnet, translate_array
from torch import nn

from uhrtranslate.engine import GeneratorRunner, GeneratorTransform, Lanes, stream
from uhrtranslate.engine.stream import loop
from uhrtranslate.engine.stream import rows as rows_module
from uhrtranslate.engine.stream.rows import RowBuffer
from uhrtranslate.engine.transforms.generator import FLAT_STD, is_flat
from uhrtranslate.errors import CheckpointError, UhrError
from uhrtranslate.geometry import Box, CellGrid, TilePlan
from uhrtranslate.normalizers import DN, KIN, TIN, PatchIN, Pooled


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


class CountingSource(ArraySource):
    """Counts how often each pixel is read, and how many rows are read ahead."""

    def __init__(self, pixels, strip_height):
        super().__init__(pixels, strip_height)
        self.reads = np.zeros(pixels.shape[:2], int)

    def read(self, x, y, w, h):
        self.reads[y : y + h, x : x + w] += 1
        return super().read(x, y, w, h)


class Watch:
    """A sink that notes how far the source had been read when each band was written."""

    def __init__(self, source):
        self.source, self.lead = source, {}

    def write(self, x, y, pixels):
        read = int(np.flatnonzero(self.source.reads.any(axis=1)).max()) + 1
        self.lead[y] = max(self.lead.get(y, 0), read)

    def reached(self, y):
        pass


def test_the_image_is_read_once_and_in_one_pass():
    source = CountingSource(noise(1000, 200), strip_height=32)
    runner = GeneratorRunner(as_generator(small_resnet(ngf=2, n_blocks=1)), torch.device("cpu"))
    plan = TilePlan(CellGrid(200, 1000, 64), 64, 16, 4)
    sink = Watch(source)
    stream(source, GeneratorTransform(Lanes([runner]), DN(), plan, lambda: noise(32, 32)), sink)
    assert (source.reads == 1).all()
    for y, read in sink.lead.items():
        # One row of cells below the tile's halo, and the strip that is read ahead.
        assert read <= y + 64 + 16 + 2 * 64 + 2 * 32


@pytest.mark.parametrize("small", [0, rows_module.SMALL])
def test_a_row_buffer_continues_the_image_by_reflection(monkeypatch, small):
    monkeypatch.setattr(rows_module, "SMALL", small)
    pixels = noise(50, 40)
    padded = np.pad(pixels, ((30, 30), (30, 30), (0, 0)), mode="reflect")
    with RowBuffer(ArraySource(pixels, 8), workers=2, tail=50) as rows:
        for box in (Box(-30, -30, 100, 100), Box(3, 4, 5, 6), Box(-2, 45, 50, 20)):
            expected = padded[box.y + 30 :, box.x + 30 :][: box.h, : box.w]
            assert np.array_equal(rows.view(box), expected)


def test_dropped_rows_are_gone_but_the_tail_stays():
    with RowBuffer(ArraySource(noise(100, 10), 10), workers=1, tail=20) as rows:
        rows.view(Box(0, 0, 10, 100))
        rows.drop_above(95)
        assert rows.view(Box(0, 80, 10, 39)).shape == (39, 10, 3)
        with pytest.raises(RuntimeError, match="dropped"):
            rows.view(Box(0, 60, 10, 5))


@pytest.mark.parametrize("ahead", [0, 1 << 20])
def test_only_small_strips_are_read_ahead(monkeypatch, ahead):
    monkeypatch.setattr(rows_module, "AHEAD_BYTES", ahead)
    monkeypatch.setattr(rows_module, "BLOCK", 7)  # no divisor of a strip
    monkeypatch.setattr(rows_module, "SMALL", 0)
    pixels = noise(100, 30)
    read = []

    class Noted(ArraySource):
        def read(self, x, y, w, h):
            read.append(y)
            return super().read(x, y, w, h)

    with RowBuffer(Noted(pixels, 20), workers=1, tail=5) as rows:
        for y in range(0, 100, 10):
            assert np.array_equal(rows.view(Box(3, y, 20, 10)), pixels[y : y + 10, 3:23])
            rows.drop_above(y + 10)
            if not ahead:
                assert max(read) == y // 20 * 20
    assert read == [0, 20, 40, 60, 80]


def test_columns_are_used_while_others_are_still_read(monkeypatch):
    monkeypatch.setattr(rows_module, "READ_WIDTH", 8)
    monkeypatch.setattr(rows_module, "SMALL", 0)
    go_on = threading.Event()

    class Slow(ArraySource):
        def read(self, x, y, w, h):
            if x >= 8:
                assert go_on.wait(60)
            return super().read(x, y, w, h)

    pixels = noise(20, 30)
    with RowBuffer(Slow(pixels, 20), workers=1, tail=5) as rows:
        assert np.array_equal(rows.view(Box(0, 0, 8, 20)), pixels[:, :8])
        go_on.set()
        assert np.array_equal(rows.view(Box(0, 0, 30, 20)), pixels)


def test_a_small_image_is_read_by_whoever_asks_and_once():
    readers = []

    class Noted(ArraySource):
        def read(self, x, y, w, h):
            readers.append((y, threading.current_thread()))
            return super().read(x, y, w, h)

    with RowBuffer(Noted(noise(100, 30), 20), workers=2, tail=5) as rows:
        assert readers == []
        rows.view(Box(0, 0, 30, 50))
        rows.view(Box(0, 20, 30, 80))
    assert readers == [(y, threading.current_thread()) for y in range(0, 100, 20)]


@pytest.mark.parametrize("small", [0, rows_module.SMALL])
def test_a_reader_that_fails_stops_the_run(monkeypatch, small):
    monkeypatch.setattr(rows_module, "SMALL", small)

    class Broken(ArraySource):
        def read(self, x, y, w, h):
            raise OSError("bad sector")

    with (
        pytest.raises(OSError, match="bad sector"),
        RowBuffer(Broken(noise(10, 10)), 1, 10) as rows,
    ):
        rows.view(Box(0, 0, 5, 5))


def test_looking_far_ahead_keeps_no_more_pixels(monkeypatch):
    """Pooled statistics need seven rows of cells in advance: their tables, not their pixels."""
    buffers, most = [], []

    class Watched(RowBuffer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            buffers.append(self)

        def view(self, box):
            pixels = super().view(box)
            kept = sum(len(block.pixels) for one in buffers for block in one._blocks)
            most[-1] = max(most[-1], kept)
            return pixels

    monkeypatch.setattr(loop, "RowBuffer", Watched)
    source = CountingSource(noise(1600, 80), strip_height=32)
    network = small_resnet(ngf=2, n_blocks=1)
    plan = TilePlan(CellGrid(80, 1600, 64), 64, 16, 4)
    for normalizer in (DN(), Pooled(), Pooled(bandwidth=math.inf), KIN(kernel=15)):
        buffers.clear()
        most.append(0)
        runner = GeneratorRunner(as_generator(network), torch.device("cpu"))
        transform = GeneratorTransform(Lanes([runner]), normalizer, plan, lambda: noise(32, 32))
        stream(source, transform, ArraySink(1600, 80))
    assert (source.reads == 1 + 2 + 2 + 2).all()
    # Each buffer has rows of its own, but half of a strip more on average.
    assert max(most[1:]) <= most[0] + 2 * 32, most


@pytest.mark.parametrize("size", [(256, 320), (256, 64)])
def test_the_whole_image_is_pooled_by_its_mean_and_the_variance_within_cells(size):
    network = nn.Sequential(nn.InstanceNorm2d(3))
    pixels = np.ascontiguousarray(skimage.data.immunohistochemistry()[: size[0], : size[1]])
    x = pixels.astype(np.float64) / 127.5 - 1
    cells = x.reshape(size[0] // 64, 64, size[1] // 64, 64, 3)
    expected = (x - x.mean((0, 1))) / np.sqrt(cells.var((1, 3)).mean((0, 1)) + 1e-5)
    how = {"cell": 64, "tile": 96, "stride": 1, "floats": True}
    found = translate_array(pixels, network, Pooled(bandwidth=math.inf), **how)
    assert np.abs(found - expected).max() < 1e-4
    wide = translate_array(pixels, network, Pooled(bandwidth=300), **how)
    assert np.abs(wide - expected).max() < 1e-3


def test_cells_count_by_their_share_of_tissue_and_image():
    """Whatever the mean of the image, it is that of the cells that are tissue."""
    network = nn.Sequential(nn.InstanceNorm2d(3))
    pixels = noise(96, 160)
    pixels[:, 64:128] //= 4
    plan = TilePlan(CellGrid(160, 96, 64), 64, 0, 1)
    runner = FloatRunner(as_generator(network, stride=1), torch.device("cpu"))
    sink = ArraySink(96, 160, np.float32)
    transform = GeneratorTransform(
        Lanes([runner]), Pooled(bandwidth=math.inf), plan, lambda: pixels,
        shares=lambda: np.array([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]),
    )  # fmt: skip
    stream(ArraySource(pixels), transform, sink)
    padded = np.pad(pixels, ((0, 32), (0, 32), (0, 0)), mode="reflect") / 127.5 - 1
    cells = padded.reshape(2, 64, 3, 64, 3).transpose(0, 2, 1, 3, 4).reshape(6, -1, 3)
    weight = np.array([1.01, 0.01, 0.505, 0.505, 0.005, 0.2525])
    mean = np.average(cells.mean(1), 0, weight)
    spread = np.average(cells.var(1), 0, weight)
    expected = (pixels / 127.5 - 1 - mean) / np.sqrt(spread + 1e-5)
    assert np.abs(sink.pixels - expected).max() < 1e-3


@pytest.mark.parametrize("normalizer", [DN(), KIN(kernel=3), PatchIN(), TIN(), Pooled()], ids=repr)
@pytest.mark.parametrize("mirrored", [False, True])
def test_bare_background_gives_no_blow_up(normalizer, mirrored):
    """A white slide with one piece of tissue: finite everywhere, and tissue keeps its contrast."""
    network = small_resnet(ngf=4, n_blocks=2)
    slide = np.full((512, 640, 3), 245, np.uint8)
    slide[192:320, 256:384] = noise(128, 128) // 2 + 64
    result = translate_array(
        slide,
        network,
        normalizer,
        cell=64,
        halo=32 if not mirrored else 16,
        mirrored=mirrored,
        thumbnail=slide[::8, ::8].copy(),
        floats=True,
    )
    assert np.isfinite(result).all()
    if normalizer.own_cell:
        return
    # Compared with the tissue alone, so with no flat cell in sight.
    tissue = translate_array(
        slide[192:320, 256:384],
        network,
        normalizer,
        cell=64,
        halo=32 if not mirrored else 16,
        mirrored=mirrored,
        thumbnail=slide[::8, ::8].copy(),
        floats=True,
    )
    inside = result[224:288, 288:352]
    assert 0.5 < inside.std() / tissue[32:96, 32:96].std() < 2


@given(st.floats(0, 20), st.integers(0, 255), st.integers(0, 2), st.integers(0, 99))
def test_cells_are_flat_if_no_channel_varies(deviation, level, channel, seed):
    grain = np.random.default_rng(seed).normal(level, 2, (31, 47, 3))
    grain[..., channel] += np.random.default_rng(seed + 1).normal(0, deviation, (31, 47))
    # Part of a larger picture: rows are not one behind the other in memory.
    cell = np.pad(grain.clip(0, 255).astype(np.uint8), ((5, 5), (5, 5), (0, 0)))[5:-5, 5:-5]
    most = cell.astype(float).std(axis=(0, 1)).max()
    assume(abs(most - FLAT_STD) > 1e-6)
    assert is_flat(cell) == (most < FLAT_STD)


@pytest.mark.parametrize("value", [0, 255, 241])
@pytest.mark.parametrize("normalizer", [DN(), KIN(kernel=3), PatchIN(), TIN(), Pooled()], ids=repr)
def test_an_image_of_one_colour_is_translated(normalizer, value):
    flat = np.full((150, 150, 3), value, np.uint8)
    for mirrored in (False, True):
        result = translate_array(
            flat,
            small_resnet(ngf=2, n_blocks=1),
            normalizer,
            cell=64,
            halo=16,
            mirrored=mirrored,
            thumbnail=flat[:64, :64],
            floats=True,
        )
        assert np.isfinite(result).all()


def test_a_white_row_after_tissue_is_continuous():
    """Where statistics are missing the field fades; no step along a cell's centre or border."""
    network = nn.Sequential(nn.InstanceNorm2d(3))
    slide = np.full((64, 512, 3), 200, np.uint8)
    slide[:, :64] = noise(64, 64)
    result = translate_array(
        slide,
        network,
        DN(),
        cell=64,
        halo=0,
        stride=1,
        thumbnail=slide[:, ::8].copy(),
        floats=True,
    )
    steps = np.abs(np.diff(result[:, 64:], axis=1))
    assert steps.max() < 0.1


@pytest.mark.parametrize(
    "values", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf]], ids=lambda values: str(values)
)
def test_non_finite_results_are_refused(values):
    class Broken(nn.Module):
        def forward(self, x):
            y = x.clone()
            y[0, 0, 5, : len(values)] = torch.tensor(values)
            return y

    with pytest.raises(UhrError, match="not finite"):
        translate_array(noise(64, 64), Broken(), DN(), cell=64)


def test_generators_that_change_the_size_are_refused():
    with pytest.raises(CheckpointError, match="keep the size"):
        translate_array(noise(64, 64), nn.AvgPool2d(2), DN(), cell=64)


@pytest.mark.parametrize("channels", [2, 4])
def test_channels_that_are_no_image_are_refused(channels):
    generator = as_generator(nn.Identity(), in_channels=channels)
    with pytest.raises(CheckpointError, match=f"takes {channels} channels"):
        GeneratorRunner(generator, torch.device("cpu"))


def test_grey_generators_take_luma_and_give_grey():
    runner = GeneratorRunner(
        as_generator(nn.Identity(), in_channels=1, out_channels=1), torch.device("cpu")
    )
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[..., 1] = 100
    (out,) = runner.to_pixels(runner.to_input([pixels]))
    assert (out == 59).all()


def test_the_value_range_is_respected():
    for value_range in ((-1.0, 1.0), (0.0, 1.0), (0.0, 255.0)):
        runner = FloatRunner(
            as_generator(nn.Identity(), value_range=value_range), torch.device("cpu")
        )
        x = runner.to_input([np.array([[[0, 128, 255]]], np.uint8)])
        low, high = value_range
        assert x.flatten().tolist() == pytest.approx(
            [low, low + (high - low) * 128 / 255, high], abs=1e-5
        )
        assert (GeneratorRunner.to_pixels(runner, x)[0] == [[[0, 128, 255]]]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16], ids=str)
def test_reduced_precision_stays_close(dtype):
    network = small_resnet(ngf=4, n_blocks=2)
    image = noise(128, 128) // 4 + 90
    full = translate_array(image, network, DN(), cell=64, halo=32)
    runner = GeneratorRunner(as_generator(network), torch.device("cpu"), dtype)
    plan = TilePlan(CellGrid(128, 128, 64), 64, 32, 4)
    sink = ArraySink(128, 128)
    stream(ArraySource(image), GeneratorTransform(Lanes([runner]), DN(), plan, lambda: image), sink)
    assert np.abs(full.astype(int) - sink.pixels).mean() < 3


class TestStartingInTheMiddle:
    @pytest.mark.parametrize(
        "normalizer",
        [DN(), KIN(5), TIN(), PatchIN(), Pooled(), Pooled(bandwidth=math.inf)],
        ids=repr,
    )
    @pytest.mark.parametrize("start", [0, 64, 128, 192, 256, 320])
    def test_gives_the_same_bytes(self, normalizer, start):
        pixels = skimage.data.immunohistochemistry()[:301, :222]
        plan = TilePlan(CellGrid(222, 301, 48), 64, 16, 4)

        def run(sink, start):
            runner = GeneratorRunner(as_generator(small_resnet(), stride=4), torch.device("cpu"))
            transform = GeneratorTransform(
                Lanes([runner]), normalizer, plan, lambda: pixels[:48, :48]
            )
            source = CountingSource(pixels, strip_height=40)
            stream(source, transform, sink, start=start)
            return source

        whole, rest = ArraySink(301, 222), ArraySink(301, 222)
        run(whole, 0)
        rest.written[:start] = 1
        source = run(rest, start)
        assert (rest.written == 1).all()
        assert np.array_equal(rest.pixels[start:], whole.pixels[start:])
        if start == 192:
            top = int(np.flatnonzero(source.reads.any(axis=1)).min())
            # What looks further than DN and KIN reads pixels twice, the first time far ahead.
            expected = {DN: 80, KIN: 40, TIN: 160, PatchIN: 120, Pooled: 0}
            assert top == expected[type(normalizer)]

    def test_is_refused_between_bands(self):
        with pytest.raises(ValueError, match="no band"):
            list(TilePlan(CellGrid(100, 100, 48), 64, 16, 4).bands(10))
