"""Tiles and batches are as large as memory allows, by generator and image alone."""

from types import SimpleNamespace

import pytest
import torch
from support import as_generator

from uhrtranslate.engine import GeneratorRunner, choose_batch, choose_tile, memory_needed
from uhrtranslate.engine.forward import memory
from uhrtranslate.models import GeneratorInfo, ResnetGenerator

WIDTHS = (300, 5_000, 20_000, 40_000, 60_000, 100_000, 200_000, 2_000_000)


@pytest.fixture(scope="module")
def usual():
    """As wide inside as the generators of CycleGAN and CUT, which alone matters here."""
    return GeneratorRunner(as_generator(ResnetGenerator(n_blocks=1)), torch.device("cpu"))


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of 16 GB, and a generator on it of 1 kB per px."""
    properties = SimpleNamespace(total_memory=16 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    monkeypatch.setattr(memory, "bytes_per_pixel", lambda runner: 1024)
    return SimpleNamespace(device=torch.device("cuda"), info=GeneratorInfo("test"), stages=())


def tile_memory(runner, pixels):
    return memory.tile_memory(runner, memory.bytes_per_pixel(runner))(pixels)


class TestTile:
    def test_rows_and_features_share_the_memory(self, usual):
        sides = [choose_tile(usual, 64, 512, width, 1) for width in WIDTHS]
        assert sides == sorted(sides, reverse=True)
        for width, side in zip(WIDTHS, sides, strict=True):
            assert side % 128 == 0
            features = tile_memory(usual, (side + 2 * 64) ** 2)
            rows = 3 * width * (side + 2 * 64 + 2 * 512)
            assert (rows <= memory.ROW_BYTES and features + rows <= memory.HOST_BYTES) or (
                side == 512 and features <= memory.HOST_BYTES
            )

    def test_large_maps_that_are_computed_in_strips_do_not_count(self, usual, monkeypatch):
        by_stages = choose_tile(usual, 64, 512, 5_000, 1)
        assert tile_memory(usual, 4 << 20) < memory_needed(usual, 4 << 20) / 2
        assert tile_memory(usual, 1000) >= memory_needed(usual, 1000)
        monkeypatch.setattr(GeneratorRunner, "by_stages", False)
        assert tile_memory(usual, 4 << 20) == memory_needed(usual, 4 << 20)
        assert choose_tile(usual, 64, 512, 5_000, 1) < by_stages == memory.LARGEST_TILE

    def test_wide_slides_do_not_pay_for_it_in_halo(self, usual):
        side = choose_tile(usual, 64, 512, 100_000, 1)
        assert (side + 2 * 64) ** 2 / side**2 < 1.3

    def test_is_a_multiple_of_the_stride(self):
        odd = as_generator(ResnetGenerator(n_blocks=1), stride=100)
        side = choose_tile(GeneratorRunner(odd, torch.device("cpu")), 64, 512, 5_000, 1)
        assert side % 100 == 0
        assert 640 < side <= memory.LARGEST_TILE

    def test_small_generators_stay_in_memory_that_is_used_again(self):
        small = GeneratorRunner(
            as_generator(ResnetGenerator(ngf=8, n_blocks=1)), torch.device("cpu")
        )
        side = choose_tile(small, 16, 512, 5_000, 1)
        assert memory.bytes_per_pixel(small) * (side + 2 * 16) ** 2 <= memory.REUSED_BLOCK_BYTES
        assert side > 512

    def test_batches_make_it_smaller(self, usual):
        assert choose_tile(usual, 64, 512, 5_000, 4) < choose_tile(usual, 64, 512, 5_000, 1)

    def test_a_gpu_has_its_own_memory(self, gpu):
        side = choose_tile(gpu, 64, 512, 5_000, 1)
        assert memory_needed(gpu, (side + 2 * 64) ** 2) <= 8 << 30
        assert memory_needed(gpu, (side + 128 + 2 * 64) ** 2) > 8 << 30
        assert choose_tile(gpu, 64, 512, 2_000_000, 1) == 512  # for its rows are the host's


class TestBatch:
    def test_is_one_on_a_cpu(self, usual):
        assert choose_batch(usual, 640) == 1

    @pytest.mark.parametrize(("side", "batch"), [(256, 16), (640, 4), (1024, 1), (8192, 1)])
    def test_is_what_fits_on_a_gpu(self, gpu, side, batch):
        assert choose_batch(gpu, side) == batch
