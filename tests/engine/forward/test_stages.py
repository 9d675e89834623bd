"""Tiles computed stage by stage: the same result, of fewer pixels."""

import pytest
import torch
from support import as_generator

from uhrtranslate.engine import GeneratorRunner, NativeRunner
from uhrtranslate.engine.forward import stages
from uhrtranslate.engine.native import build
from uhrtranslate.engine.statistics.fields import BatchFields, TileFields
from uhrtranslate.geometry import Box, CellGrid
from uhrtranslate.models import ResnetGenerator
from uhrtranslate.models.kaminyou import KaminyouGenerator
from uhrtranslate.models.stages import stages_of
from uhrtranslate.normalizers import DN, StatisticsTable

SIDE, CELL = 200, 64
GENERATORS = {
    "learned": lambda: KaminyouGenerator(ngf=4, n_blocks=3, affine=True),
    "learned, strided": lambda: KaminyouGenerator(
        ngf=4, n_blocks=3, antialias=False, antialias_up=False
    ),
    "usual": lambda: ResnetGenerator(ngf=4, n_blocks=3),
    "wide": lambda: ResnetGenerator(ngf=8, n_blocks=2),  # enough channels for minimal filtering
    "usual, antialiased": lambda: ResnetGenerator(
        ngf=4, n_blocks=3, antialias=True, antialias_up=True, padding="zero"
    ),
}
INNER = Box(72, 70, 54, 60)
KERNELS = pytest.param(
    NativeRunner, marks=pytest.mark.skipif(not build.available(), reason="no C++ compiler")
)


def made(name, size=(SIDE, SIDE), kind=GeneratorRunner):
    """A runner, an input, and fields that differ from cell to cell."""
    torch.manual_seed(0)
    runner = kind(as_generator(GENERATORS[name]()), torch.device("cpu"))
    rows, cols = 3, 4
    cells = [runner.record(torch.randn(1, 3, CELL, CELL) * (1 + i)) for i in range(rows * cols)]
    valid = torch.ones(rows, cols, dtype=torch.bool)
    tables = tuple(
        StatisticsTable(
            *(torch.cat(part).reshape(rows, cols, -1) for part in zip(*each, strict=True)), valid
        )
        for each in zip(*(zip(cell.mean, cell.std, strict=True) for cell in cells), strict=True)
    )
    tile = TileFields(DN(), CellGrid(250, 190, CELL), Box(24, -8, *size), (0, 0), tables)
    x = torch.randn(1, 3, *size[::-1]).contiguous(memory_format=torch.channels_last)
    return runner, x, BatchFields([tile], torch.device("cpu"))


@pytest.mark.parametrize("kind", [GeneratorRunner, KERNELS])
@pytest.mark.parametrize("strip", [16, 1000])
@pytest.mark.parametrize("name", GENERATORS)
def test_parts_are_those_of_the_whole(name, strip, kind, monkeypatch):
    monkeypatch.setattr(stages, "STRIP_PIXELS", 1)
    monkeypatch.setattr(stages, "LOWEST_STRIP", strip)
    runner, x, fields = made(name, kind=kind)
    assert runner.stages
    whole = runner.normalize(x, fields)
    for part in (Box(0, 0, SIDE, SIDE), INNER, Box(0, 130, 31, 70)):
        expected = whole[..., part.y : part.y + part.h, part.x : part.x + part.w]
        found = runner.normalize_part(x, fields, part)
        assert float((found - expected).abs().max()) < 2e-5


@pytest.mark.parametrize("name", ["learned", "usual"])
def test_layers_compute_what_later_ones_see(name, monkeypatch):
    monkeypatch.setattr(stages, "STRIP_PIXELS", 1)
    monkeypatch.setattr(stages, "LOWEST_STRIP", 32)
    runner, x, fields = made(name)
    head, *blocks, tail = stages_of(runner.module)
    sizes = []
    for stage in (head, *blocks, tail):
        stage.module.register_forward_hook(
            lambda module, inputs, output: sizes.append(
                (tuple(inputs[0].shape[-2:]), tuple(output.shape[-2:]))
            )
        )
    # `stages_of` makes new sequences of the head's and tail's layers, so they are hooked by these.
    monkeypatch.setattr(runner.module, "stages", lambda: (head, *blocks, tail), raising=False)
    runner.normalize_part(x, fields, INNER)
    # The part lies at 70..130 and 72..126 px, in steps of 4 px: 64 x 56 px, and each stage adds.
    into_tail = 64 + 2 * 12, 56 + 2 * 12
    into_blocks = [tuple(side + 2 * 8 * n for side in into_tail) for n in (3, 2, 1)]
    assert sizes[-2:] == [((56 // 4, 80 // 4), (56, 80)), ((56 // 4, 80 // 4), (56, 80))]
    seen = [inside for inside, _ in sizes if inside[1] * 4 > 80 and inside[1] < 100]
    assert seen == [(h // 4, w // 4) for h, w in into_blocks]
    # The head, in strips: each overlaps by what it sees, and ends where the tile does.
    strips = [inside for inside, _ in sizes if inside[1] >= 100]
    assert {w for _, w in strips} == {into_blocks[0][1] + 2 * 12}
    assert sum(h for h, _ in strips) == into_blocks[0][0] + 2 * 12 * len(strips)
    assert len(strips) == -(-into_blocks[0][0] // 32)


def test_only_stages_are_computed_in_parts():
    runner, x, fields = made("usual", (64, 64))
    wider = torch.nn.functional.pad(x, (8, 8, 8, 8), mode="reflect")
    mirrored = runner.normalize(wider, fields)  # their field is stretched over the mirrored tile
    assert torch.equal(
        runner.normalize_part(wider, fields, Box(8, 8, 64, 64)), mirrored[..., 8:72, 8:72]
    )
    assert stages_of(torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1))) == ()
    assert stages_of(ResnetGenerator(ngf=4, n_blocks=0)) == ()
