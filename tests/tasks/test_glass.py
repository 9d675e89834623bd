"""Bare glass that becomes white, for generators that cannot tell it from pale tissue."""

import dataclasses
import json

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from support import as_generator, small_resnet
from torch import nn

from uhrtranslate.engine import GeneratorRunner
from uhrtranslate.engine.forward.glass import GLASS_REACH, boxes_of_stain, whiten_glass
from uhrtranslate.engine.transforms import generator as transforms
from uhrtranslate.errors import OptionError
from uhrtranslate.geometry import Box
from uhrtranslate.models import GeneratorInfo, load_generator
from uhrtranslate.models.exported import run_torchscript
from uhrtranslate.options import make_options
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.stain_generator import StainGenerator
from uhrtranslate.tasks.export import export_model
from uhrtranslate.tasks.models import convert_model, describe_model
from uhrtranslate.tasks.translate import translate


def slide():
    """A stained section on glass of 240 grey levels with noise, [400, 500, 3] uint8."""
    random = np.random.default_rng(0)
    pixels = (240 + random.normal(0, 2, (400, 500, 3))).clip(0, 255).astype(np.uint8)
    pixels[:, :260] = skimage.data.immunohistochemistry()[:400, :260]
    return pixels


def glass_of(pixels):
    return ndimage.distance_transform_edt((pixels > 223).all(axis=2)) > 4


def resnet(**facts):
    return as_generator(small_resnet(ngf=4, n_blocks=1), cell=128, **facts)


def result(tmp_path, name="out.png", source="in.tif", **more):
    if not (tmp_path / "in.tif").exists():
        tifffile.imwrite(tmp_path / "in.tif", slide(), photometric="rgb")
    translate(tmp_path / source, tmp_path / name, device="cpu", overwrite=True, **more)
    with Image.open(tmp_path / name) as image:
        return np.asarray(image)


def whitened(grey, made=0):
    """What becomes of grey levels [h, w] of which a generator makes one other, [h, w]."""
    x = torch.tensor(grey, dtype=torch.float32).expand(1, 3, -1, -1) / 255
    return 255 * whiten_glass(x, torch.full_like(x, made / 255), (0.0, 1.0))[0, 0].numpy()


@pytest.mark.parametrize(
    ("level", "least", "most"), [(200, 0, 0), (218, 100, 160), (224, 255, 255)]
)
def test_the_brighter_the_whiter(level, least, most):
    made = whitened(np.full((20, 20), level))
    assert least <= made.min() <= made.max() <= most


def test_glass_up_to_its_edge_is_white_but_bright_specks_of_tissue_are_not():
    grey = np.full((60, 60), 190)
    grey[:, 30:] = 240
    grey[10:16, 10:14] = 250
    made = whitened(grey, 90)
    assert np.allclose(made[:, 34:], 255, atol=1e-3)
    assert (np.diff(made[30, 29:35]) < 110).all(), "the edge is soft"
    assert np.allclose(made[:, :30], 90)


def test_results_depend_on_the_source_no_further_than_said():
    grey = np.random.default_rng(1).integers(180, 255, (41, 41))
    grey = ndimage.maximum_filter(grey, 9)
    other = grey.copy()
    other[20, 20] = 0
    rows, cols = np.nonzero(whitened(grey) != whitened(other))
    assert max(np.abs(rows - 20).max(), np.abs(cols - 20).max()) <= GLASS_REACH


@pytest.mark.parametrize(
    "more",
    [
        {}, {"norm": "in"}, {"norm": "tin"}, {"norm": "pooled"}, {"pad": "reflect"},
        {"overlap": 32}, {"precision": "bf16"}, {"halo": 0},
    ],
)  # fmt: skip
def test_glass_is_white_whatever_the_generator_paints(more, tmp_path):
    glass = glass_of(slide())
    plain = result(tmp_path, generator=resnet(), **more)
    assert (plain[glass] < 243).any(axis=1).mean() > 0.9, "else there is nothing to show"
    white = result(tmp_path, generator=resnet(), glass="white", **more)
    assert (white[glass] == 255).all()
    dark = ndimage.minimum_filter((slide() < 212).any(axis=2), 9)
    assert dark.sum() > 10_000
    # Where there is glass beside it, less is computed, which may round otherwise.
    assert (np.abs(white[dark].astype(int) - plain[dark]) <= 1).all()


def test_glass_is_not_computed(tmp_path, monkeypatch):
    pixels = np.full((400, 500, 3), 240, np.uint8)
    pixels[10:90, 30:70] = skimage.data.immunohistochemistry()[:80, :40]
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="rgb")
    parts, inputs = [], []
    compute = GeneratorRunner.normalize_part

    def counted(runner, x, fields, part):
        parts.append((part.w, part.h))
        return compute(runner, x, fields, part)

    monkeypatch.setattr(GeneratorRunner, "normalize_part", counted)
    result(tmp_path, generator=resnet(), glass="translate", tile=128, batch=1)
    assert len(parts) == 4 * 4
    parts.clear()
    take = GeneratorRunner.to_input
    monkeypatch.setattr(
        GeneratorRunner, "to_input", lambda *given: inputs.append(given) or take(*given)
    )
    result(tmp_path, generator=resnet(), glass="white", tile=128, batch=1)
    ((w, h),) = parts
    # With its halo, a tile is larger than a cell.
    assert [len(pixels[0]) > 128 for _, pixels, *_ in inputs].count(True) == 1
    assert 40 <= w <= 40 + 2 * GLASS_REACH
    assert 80 <= h <= 80 + 2 * GLASS_REACH
    parts.clear()
    pixels[300:380, 400:440] = pixels[10:90, 30:70]
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="rgb")
    result(tmp_path, generator=resnet(), glass="white", tile=512)
    assert len(parts) == 2, "of one tile, each piece by itself"
    assert sum(w * h for w, h in parts) <= 2 * (40 + 2 * GLASS_REACH) * (80 + 2 * GLASS_REACH)


@pytest.mark.parametrize("stages", [True, False])
def test_pieces_are_computed_as_all_is(tmp_path, monkeypatch, stages):
    """And at once, where one costs as much as all."""
    random = np.random.default_rng(1)
    pixels = np.full((300, 400, 3), 240, np.uint8)
    for y, x in ((20, 30), (200, 40), (150, 310)):
        pixels[y : y + 60, x : x + 70] = random.integers(0, 200, (60, 70, 3))
    tifffile.imwrite(tmp_path / "in.tif", pixels, photometric="rgb")
    generator = resnet()
    if not stages:
        monkeypatch.setattr(GeneratorRunner, "by_stages", False)
    forwards = []
    compute = GeneratorRunner.normalize_part

    def counted(runner, x, fields, part):
        forwards.append(part)
        return compute(runner, x, fields, part)

    monkeypatch.setattr(GeneratorRunner, "normalize_part", counted)
    white = result(tmp_path, generator=generator, glass="white", norm="dn", tile=512)
    assert len(forwards) == (2 if stages else 1), "two pieces are near each other"
    monkeypatch.setattr(transforms, "boxes_of_stain", lambda share, halo: [whole(share)])
    monkeypatch.setattr(transforms, "box_of_stain", whole)
    other = result(tmp_path, generator=generator, glass="white", norm="dn", tile=512)
    assert (np.abs(white.astype(int) - other) <= 1).all()
    assert (white != other).mean() < 1e-3


def whole(share):
    """All of a batch, [n, 1, h, w]."""
    return Box(0, 0, share.shape[-1], share.shape[-2])


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_parts_hold_all_that_is_not_glass_and_never_overlap(data):
    height, width = (data.draw(st.integers(1, 300)) for _ in range(2))
    share = torch.ones(data.draw(st.integers(1, 2)), 1, height, width)
    for _ in range(data.draw(st.integers(0, 4))):
        y, x = (data.draw(st.integers(0, side - 1)) for side in (height, width))
        h, w = (data.draw(st.integers(1, 80)) for _ in range(2))
        share[-1, :, y : y + h, x : x + w] = 0.5
    covered = torch.zeros(height, width)
    for box in boxes_of_stain(share, data.draw(st.integers(0, 70))):
        covered[box.slices] += 1
        stained = (share[..., *box.slices] < 1).any(dim=0)[0]
        edges = stained[0], stained[-1], stained[:, 0], stained[:, -1]
        assert all(edge.any() for edge in edges), "no more than is needed"
    assert covered.max() <= 1
    assert (share[..., covered == 0] == 1).all()


def test_tiles_do_not_matter(tmp_path):
    """Even of a generator that needs no neighbours itself."""
    torch.manual_seed(0)
    point = as_generator(nn.Conv2d(3, 3, 1), cell=128, stride=1, halo=0)
    one, other = (result(tmp_path, generator=point, glass="white", tile=tile) for tile in (16, 512))
    assert np.array_equal(one, other)


def test_grey_generators_and_16_bits(tmp_path):
    torch.manual_seed(0)
    grey = as_generator(nn.Conv2d(1, 1, 1), in_channels=1, out_channels=1, stride=1, halo=0)
    for bits, white in ((8, 255), (16, 65535)):
        result(tmp_path, generator=grey, glass="white")
        translate(
            tmp_path / "in.tif", tmp_path / f"{bits}.tif", generator=grey, glass="white", bits=bits,
            compression="deflate", device="cpu",
        )  # fmt: skip
        made = tifffile.imread(tmp_path / f"{bits}.tif")
        assert (made[glass_of(slide())] == white).all()
        assert made.min() < 0.9 * white


def test_a_generators_file_says_it_and_the_option_decides(tmp_path):
    torch.save(small_resnet(ngf=4, n_blocks=1).state_dict(), tmp_path / "latest_net_G.pth")
    told = tmp_path / "told.safetensors"
    assert not describe_model(tmp_path / "latest_net_G.pth").white_glass
    assert convert_model(tmp_path / "latest_net_G.pth", told, white_glass=True).white_glass
    assert convert_model(told, tmp_path / "again.safetensors", mpp=0.5).white_glass
    assert not convert_model(told, tmp_path / "not.safetensors", white_glass=False).white_glass
    glass = glass_of(slide())
    whites = {
        glass_option: (result(tmp_path, model=str(told), glass=glass_option)[glass] == 255).all()
        for glass_option in ("auto", "white", "translate")
    }
    assert whites == {"auto": True, "white": True, "translate": False}
    assert not (result(tmp_path, model=str(tmp_path / "not.safetensors"))[glass] == 255).all()


def test_it_is_in_the_description_of_which_resuming_asks(tmp_path):
    result(tmp_path, "out.png", generator=resnet())
    for glass in ("white", "translate"):
        translate(tmp_path / "in.tif", tmp_path / "a.tif", generator=resnet(), glass=glass,
                  device="cpu", overwrite=True)  # fmt: skip
        with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
            how = json.loads(tiff.pages[0].description)
        assert how.get("glass") == ("white" if glass == "white" else None)


def test_an_exported_network_does_the_same(tmp_path):
    result(tmp_path, generator=resnet())
    options = {"norm": "tin", "glass": "white"}
    ours = result(tmp_path, generator=resnet(), **options)
    exported = export_model(tmp_path / "in.tif", tmp_path / "f.pt", make_options(options), resnet())
    around = exported.context
    x = np.pad(slide(), ((around, around), (around, around), (0, 0)), mode="reflect")
    x = torch.from_numpy(x).permute(2, 0, 1)[None].float() / 255
    made = run_torchscript((tmp_path / "f.pt").read_bytes(), x)[0].permute(1, 2, 0).numpy()
    made = (made[around:-around, around:-around] * 255 + 0.5).astype(np.uint8)
    assert (made[glass_of(slide())] == 255).all()
    assert np.abs(made.astype(int) - ours).max() <= 1


def test_stain_normalization_keeps_the_glass_instead():
    recipe = StainGenerator(
        make_options({}), GeneratorPool(make_options({}), resnet(white_glass=True))
    )
    assert not recipe.white_glass


@pytest.mark.parametrize("facts", [{"inputs": ("channels",)}, {"channels": ("a", "b", "c")}])
def test_where_nothing_is_white_the_option_is_refused(facts, tmp_path):
    told = as_generator(nn.Conv2d(3, 3, 1), stride=1, halo=0, **facts)
    for generator, chosen in (
        (told, "white"),
        (dataclasses.replace(told, info=dataclasses.replace(told.info, white_glass=True)), "auto"),
    ):
        with pytest.raises(OptionError, match=rf"--glass {chosen}: .* use --glass translate"):
            result(tmp_path, generator=generator, glass=chosen)


def test_facts_of_generators_that_say_nothing_are_stored_as_before(tmp_path):
    torch.save(small_resnet(ngf=4, n_blocks=1).state_dict(), tmp_path / "g.pth")
    convert_model(tmp_path / "g.pth", tmp_path / "g.safetensors")
    assert load_generator(tmp_path / "g.safetensors").info.white_glass is GeneratorInfo.white_glass
    assert b"white_glass" not in (tmp_path / "g.safetensors").read_bytes()
