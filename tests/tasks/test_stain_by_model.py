"""`uhrt stain-normalize --method model`: blended tiles, glass that stays, resuming, pictures."""

import csv
import dataclasses
import json

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image

from uhrtranslate.enhance import Tally
from uhrtranslate.errors import OptionError
from uhrtranslate.io import check_complete, expand_inputs
from uhrtranslate.models import GeneratorInfo, load_generator, save_native
from uhrtranslate.models.swin_unet import SWIN_UNET, SwinUnet
from uhrtranslate.options import StainOptions, TranslateOptions
from uhrtranslate.recipes.stain_generator import StainGenerator
from uhrtranslate.runs.events import Advanced
from uhrtranslate.runs.items import Item
from uhrtranslate.runs.one_image import process_file
from uhrtranslate.tasks.stain_normalize import stain_normalize

SECTION = skimage.data.immunohistochemistry()
ARGUMENTS = {
    "width": 8,
    "depths": (1, 1, 1, 1),
    "up_depths": (1, 1, 1),
    "heads": (1, 1, 2, 2),
    "window": 4,
    "deep": False,
}


def glassy(side=300):
    """Tissue on the left, bare glass on the right."""
    pixels = np.full((side, side, 3), 246, np.uint8)
    pixels[:, : side // 2] = SECTION[:side, : side // 2]
    return pixels


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    network = SwinUnet(**ARGUMENTS)
    network.start_from_grey()
    with torch.no_grad():
        network.decoder.head.conv.weight[:, :-1] *= 0.1
        network.decoder.head.conv.bias.copy_(torch.tensor([0.2, -0.3, 0.1]))  # purple
    facts = {"in_channels": 1, "inputs": ("grey",), "cell": 64, "covariant": False}
    info = GeneratorInfo("swin-unet", ARGUMENTS, stride=SWIN_UNET.stride(ARGUMENTS), **facts)
    save_native(desk / "look.safetensors", network, info)
    counts = tuple(Tally.of(SECTION).counts.tolist())
    info = dataclasses.replace(info, inputs=("toned",), histogram=counts)
    save_native(desk / "toned.safetensors", network, info)
    (desk / "in").mkdir()
    for number, tint in enumerate((1, 0.9, 2.0)):
        pixels = 255 - (255 - glassy().astype(float)) * tint
        tifffile.imwrite(
            desk / "in" / f"{number}.tif", pixels.clip(0, 255).astype(np.uint8), tile=(64, 64),
            photometric="rgb", resolution=(2e4, 2e4), resolutionunit="CENTIMETER",
        )  # fmt: skip
    return desk


def normalize(desk, source, target, events=None, model="look", **more):
    given = {"compression": "lzw", **more}
    options = StainOptions(method="model", model=str(desk / f"{model}.safetensors"), **given)
    items = [Item(found) for found in expand_inputs([str(source)], None, ())]
    tell = (lambda event: None) if events is None else events.append
    return stain_normalize(items, target, options, on_event=tell, qc=desk / "qc")


def test_tissue_gets_the_look_and_glass_stays(desk, tmp_path):
    (result,) = normalize(desk, desk / "in/0.tif", tmp_path / "a.tif")
    assert result.status == "done", result.error
    assert (result.tile, result.overlap, result.halo) == (128, 64, None)
    assert result.mismatch < 10
    made, source = tifffile.imread(tmp_path / "a.tif"), glassy()
    assert (made[:, 150:] == 246).all()
    tissue = made[:, :150][source[:, :150].min(axis=2) < 215].astype(int)
    assert (tissue[:, 0] > tissue[:, 1] + 10).mean() > 0.9
    assert (tissue[:, 2] > tissue[:, 1] + 10).mean() > 0.9
    how = json.loads(check_complete(tmp_path / "a.tif").description)
    assert (how["method"], how["model"], how["inputs"]) == ("model", "look", ["grey"])


def test_tiles_overlap_bits_and_device_can_be_chosen_as_for_translations(desk, tmp_path):
    source = desk / "in/0.tif"
    (usual,) = normalize(desk, source, tmp_path / "a.tif")
    more = {"tile": 256, "overlap": 128, "blend": "cosine", "batch": 2, "device": "cpu", "bits": 16}
    (large,) = normalize(desk, source, tmp_path / "b.tif", compression="deflate", **more)
    assert (large.tile, large.overlap, large.blend) == (256, 128, "cosine")
    assert large.tiles < usual.tiles
    assert large.device == "cpu"
    made, deep = (tifffile.imread(tmp_path / f"{name}.tif") for name in "ab")
    assert deep.dtype == np.uint16
    assert (deep[:, 150:] == 246 * 257).all()  # glass, to the bit
    assert len(np.unique(deep[:, :150])) > 1000
    (same,) = normalize(desk, source, tmp_path / "c.tif", bits=16, compression="deflate")
    assert same.tile == usual.tile
    assert np.abs(tifffile.imread(tmp_path / "c.tif") / 257 - made).max() <= 1
    # Tiles side by side: what is not blended shows.
    (alone,) = normalize(desk, source, tmp_path / "d.tif", overlap=0)
    assert alone.overlap == 0
    assert not np.array_equal(tifffile.imread(tmp_path / "d.tif"), made)


def test_a_toned_generator_gives_pale_slides_the_density_of_its_look(desk, tmp_path):
    pixels = glassy()
    pale = np.rint(255 * (pixels / 255) ** 0.5).astype(np.uint8)
    pale[pixels.min(axis=2) > 230] = 246
    for name, image in (("own", pixels), ("pale", pale)):
        tifffile.imwrite(tmp_path / f"{name}.tif", image, tile=(64, 64), photometric="rgb")
    apart = {}
    for model in ("look", "toned"):
        for name in ("own", "pale"):
            normalize(desk, tmp_path / f"{name}.tif", tmp_path / f"{model}-{name}.tif", model=model)
        own, other = (tifffile.imread(tmp_path / f"{model}-{n}.tif") for n in ("own", "pale"))
        tissue = pale.min(axis=2) < 200
        apart[model] = np.abs(own[tissue].astype(int) - other[tissue]).mean()
    assert apart["toned"] < apart["look"] / 3, apart


def test_the_network_gets_the_grey_of_the_engine(desk, tmp_path):
    """A picture of one tile comes out as the network and the rule for glass make it."""
    patch = SECTION[:128, 300:428]
    Image.fromarray(patch).save(tmp_path / "patch.png")
    normalize(desk, tmp_path / "patch.png", tmp_path / "out.png")
    grey = np.asarray(Image.fromarray(patch).convert("L"))
    x = torch.from_numpy(grey.copy())[None, None].float() / 127.5 - 1
    with torch.inference_mode():
        y = load_generator(desk / "look.safetensors").module(x)[0].permute(1, 2, 0).numpy()
    bright = ((patch.min(axis=2) - 215.0) / 20).clip(0, 1)[..., None]
    share = bright * bright * (3 - 2 * bright)
    expected = (y + 1) * 127.5 * (1 - share) + patch * share
    with Image.open(tmp_path / "out.png") as made:
        assert np.abs(np.asarray(made) - expected).max() < 1.1


def test_a_folder_is_a_batch_with_pictures_and_a_table(desk, tmp_path):
    results = normalize(desk, desk / "in", tmp_path / "out")
    assert [result.status for result in results] == ["done"] * 3
    assert (tmp_path / "out/2.model.tif").is_file()
    with (desk / "qc/stains.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["slide"].endswith("2.tif")  # the odd one
    assert {"before_mean_a", "after_mean_a", "after_std_l"} <= set(rows[0])
    with Image.open(desk / "qc/1.png") as picture:
        assert picture.width > 4 * 384
        assert picture.height > 384
    # What is complete is skipped, and shown.
    (desk / "qc/0.png").unlink()
    again = normalize(desk, desk / "in", tmp_path / "out", resume=True)
    assert [result.status for result in again] == ["skipped"] * 3
    assert (desk / "qc/0.png").is_file()


def test_a_mask_leaves_glass_out_altogether(desk, tmp_path):
    source = np.full((640, 640, 3), 246, np.uint8)
    source[100:300, 60:260] = SECTION[:200, :200]
    tifffile.imwrite(tmp_path / "s.tif", source, tile=(64, 64), photometric="rgb")
    more = {"mask": "auto", "background": "keep"}
    (whole,) = normalize(desk, tmp_path / "s.tif", tmp_path / "whole.tif")
    (part,) = normalize(desk, tmp_path / "s.tif", tmp_path / "part.tif", **more)
    assert part.tiles < whole.tiles
    made = tifffile.imread(tmp_path / "part.tif")
    assert (made[(source == 246).all(axis=2)] == 246).all()
    inner = np.s_[128:256, 128:192]
    assert np.array_equal(made[inner], tifffile.imread(tmp_path / "whole.tif")[inner])


class Cut(Exception):
    """Somebody pulls the plug."""


def test_an_interrupted_run_goes_on_and_gives_the_same_bytes(desk, tmp_path):
    model = str(desk / "look.safetensors")

    def recipe(**more):
        return StainGenerator(TranslateOptions(model=model, compression="lzw", **more))

    def stop_halfway(event):
        if isinstance(event, Advanced) and event.pixels:
            raise Cut

    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    process_file(recipe(), desk / "in/1.tif", whole)
    with pytest.raises(Cut):
        process_file(recipe(), desk / "in/1.tif", cut, stop_halfway)
    result = process_file(recipe(resume=True), desk / "in/1.tif", cut)
    assert result.status == "done"
    assert whole.read_bytes() == cut.read_bytes()


def test_generators_of_channels_are_refused(desk):
    with pytest.raises(OptionError, match="no colours"):
        StainGenerator(TranslateOptions(model="tests.tasks.test_stain_by_model:many"))


def many():
    """A network that gives five channels."""
    network = torch.nn.Conv2d(3, 5, 1)
    return network, GeneratorInfo("mine:many", out_channels=5, stride=1, halo=0)
