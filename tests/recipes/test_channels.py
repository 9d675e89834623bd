"""Networks with many channels, in and out, through the engine."""

import json

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from PIL import Image
from support import as_generator, small_resnet

from uhrtranslate.errors import CheckpointError, InputError, OptionError, OutputError
from uhrtranslate.io import make_channels, open_slide
from uhrtranslate.models import save_native
from uhrtranslate.models.checkpoint import info_of
from uhrtranslate.models.unwrap import recognise
from uhrtranslate.tasks.info import describe_input
from uhrtranslate.tasks.models import convert_model, describe_model
from uhrtranslate.tasks.translate import translate

STAINED = np.ascontiguousarray(skimage.data.immunohistochemistry()[:256, :320])
MARKERS = ("DAPI", "CD3", "CD8", "Ki-67", "panCK")
SMALL = {"compression": "deflate", "cell": 128, "halo": 48}


def network(in_channels=3, out_channels=5):
    made = small_resnet(in_channels=in_channels, out_channels=out_channels)
    return made.eval().requires_grad_(False)


def generator(in_channels=3, out_channels=5, **facts):
    facts = {"channels": MARKERS[:out_channels]} | facts
    return as_generator(
        network(in_channels, out_channels),
        in_channels=in_channels,
        out_channels=out_channels,
        **facts,
    )


def multiplex(count=7):
    """An image of several channels that differ."""
    random = np.random.default_rng(0)
    mixed = STAINED.astype(float) @ random.dirichlet(np.ones(3), count).T
    return np.rint(255 - mixed).clip(0, 255).astype(np.uint8)


@pytest.fixture
def slide(tmp_path):
    tifffile.imwrite(tmp_path / "he.tif", STAINED, photometric="rgb", tile=(64, 64))
    return tmp_path / "he.tif"


@pytest.fixture
def stack(tmp_path):
    tifffile.imwrite(
        tmp_path / "stack.ome.tif",
        multiplex().transpose(2, 0, 1),
        tile=(64, 64),
        metadata={"axes": "CYX", "Channel": {"Name": list("abcdefg")}},
    )
    return tmp_path / "stack.ome.tif"


def pixels_of(path):
    with open_slide(path, channels=True) as slide:
        return slide.read(0, 0, slide.info.width, slide.info.height).astype(int)


def alone(channel):
    """The network's output channel as a grey picture, which uhrt has always written."""
    module = network()
    with torch.no_grad():
        last = module.model[-2]
        last.weight = torch.nn.Parameter(last.weight[channel : channel + 1], False)
        last.bias = torch.nn.Parameter(last.bias[channel : channel + 1], False)
    return as_generator(module, out_channels=1)


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr", "out.v05.ome.zarr"])
@pytest.mark.parametrize("norm", ["dn", "tin"])
def test_each_channel_is_as_if_it_were_the_only_one(slide, tmp_path, name, norm):
    result = translate(slide, tmp_path / name, generator=generator(), norm=norm, tile=128, **SMALL)
    assert result.status == "done"
    found = pixels_of(tmp_path / name)
    assert found.shape == (*STAINED.shape[:2], 5)
    for channel in (0, 3):
        target = tmp_path / f"{channel}.tif"
        translate(slide, target, generator=alone(channel), norm=norm, tile=128, **SMALL)
        expected = tifffile.imread(target)[..., 0].astype(int)
        assert expected.std() > 20
        assert np.abs(found[..., channel] - expected).max() <= 1


def test_channels_are_blended_as_colours_are(slide, tmp_path):
    how = SMALL | {"halo": None, "tile": 128, "overlap": 32}
    translate(slide, tmp_path / "out.ome.tif", generator=generator(), **how)
    found = pixels_of(tmp_path / "out.ome.tif")
    translate(slide, tmp_path / "3.tif", generator=alone(3), **how)
    expected = tifffile.imread(tmp_path / "3.tif")[..., 0].astype(int)
    assert np.abs(found[..., 3] - expected).max() <= 1


def test_the_result_says_what_its_channels_are(slide, tmp_path):
    translate(slide, tmp_path / "out.ome.tif", generator=generator(), **SMALL)
    description = describe_input(tmp_path / "out.ome.tif")
    assert description.channels == make_channels(MARKERS)
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as tif:
        how = json.loads(tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]["Description"])
    assert how["channels"] == list(MARKERS)


@pytest.mark.parametrize("name", ["out.tif", "out.png", "out.svs"])
def test_other_formats_are_refused_in_a_sentence(slide, tmp_path, name):
    with pytest.raises(OutputError, match=r"has 5 channels of its own .DAPI.*--format ome-tiff"):
        translate(slide, tmp_path / name, generator=generator(), **SMALL)
    assert not (tmp_path / name).exists()


def test_channels_without_names_are_numbered(slide, tmp_path):
    translate(slide, tmp_path / "o.ome.tif", generator=generator(channels=()), **SMALL)
    names = [channel.name for channel in describe_input(tmp_path / "o.ome.tif").channels]
    assert names == [f"channel {i}" for i in range(1, 6)]


def test_one_named_channel_is_no_picture_of_grey(slide, tmp_path):
    grey = generator(out_channels=1, channels=("p(tumour)",))
    translate(slide, tmp_path / "out.ome.zarr", generator=grey, **SMALL)
    assert pixels_of(tmp_path / "out.ome.zarr").shape == (256, 320, 1)


def test_a_preview_shows_channels_in_their_colours(slide, tmp_path):
    translate(slide, tmp_path / "out.ome.tif", generator=generator(), preview=True, **SMALL)
    with Image.open(tmp_path / "out.ome.preview.png") as picture:
        shown = np.asarray(picture).astype(int)
    assert shown.shape == (256, 2 * 320 + 8, 3)
    assert np.abs(shown[:, :320] - STAINED).max() <= 1
    colours = np.array([channel.colour for channel in make_channels(MARKERS)]) / 255
    expected = (pixels_of(tmp_path / "out.ome.tif") @ colours).clip(0, 255)
    assert np.abs(shown[:, 328:] - expected).max() <= 1


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
def test_an_image_of_channels_is_translated(stack, tmp_path, name):
    found = {}
    for tile in (128, 512):
        target = tmp_path / f"{tile}-{name}"
        made = generator(7, inputs=("channels",))
        translate(stack, target, generator=made, tile=tile, preview=True, **SMALL)
        found[tile] = pixels_of(target)
    assert found[128].std() > 20
    assert np.abs(found[128] - found[512]).max() <= 1


@pytest.mark.parametrize("norm", ["dn", "kin", "tin", "in"])
def test_channels_reach_the_network_in_their_order(stack, tmp_path, norm):
    """In an image of one cell, all normalizers are plain instance normalization."""
    part = np.ascontiguousarray(multiplex()[:, :256])
    tifffile.imwrite(tmp_path / "one.ome.tif", part.transpose(2, 0, 1), metadata={"axes": "CYX"})
    translate(
        tmp_path / "one.ome.tif", tmp_path / "out.tif",
        generator=generator(7, 3, inputs=("channels",), channels=()),
        norm=norm, cell=256, halo=0, compression="deflate",
    )  # fmt: skip
    x = torch.from_numpy(part).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        y = network(7, 3)(x)[0].permute(1, 2, 0).numpy()
    expected = (y * 127.5 + 128).clip(0, 255).astype(int)
    assert expected.std() > 20
    assert np.abs(tifffile.imread(tmp_path / "out.tif") - expected).max() <= 1


def test_a_mask_leaves_channels_dark(slide, tmp_path):
    mask = np.zeros((256, 320), np.uint8)
    mask[:100, :100] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    mask = str(tmp_path / "mask.png")
    translate(slide, tmp_path / "out.ome.tif", generator=generator(), mask=mask, **SMALL)
    found = pixels_of(tmp_path / "out.ome.tif")
    assert found[:120, :120].std() > 20
    assert (found[160:, 160:] == 0).all()
    with pytest.raises(OptionError, match="--background keep: source and result have different"):
        translate(
            slide, tmp_path / "no.ome.tif", generator=generator(), mask=mask, background="keep",
            **SMALL,
        )  # fmt: skip


def test_tissue_is_not_looked_for_in_channels(stack, tmp_path):
    with pytest.raises(InputError, match="no tissue can be detected; give --mask"):
        translate(
            stack, tmp_path / "out.ome.tif", generator=generator(7, inputs=("channels",)),
            mask="auto", **SMALL,
        )  # fmt: skip


def test_a_wrong_number_of_channels_is_told_with_their_names(stack, slide, tmp_path):
    made = generator(6, inputs=("channels",))
    with pytest.raises(InputError, match=r"has 7 channels .a, b, c, d, e, f, g.* takes 6"):
        translate(stack, tmp_path / "out.ome.tif", generator=made, **SMALL)
    with pytest.raises(InputError, match=r"has 3 channels .RGB.* takes 6"):
        translate(slide, tmp_path / "out.ome.tif", generator=made, **SMALL)
    with pytest.raises(InputError, match="stack of 7 images"):
        translate(stack, tmp_path / "out.ome.tif", generator=generator(), **SMALL)
    assert not (tmp_path / "out.ome.tif").exists()


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"channels": MARKERS[:4]}, "gives 5 channels and names 4"),
        ({"in_channels": 7}, "takes 7 channels.*--inputs.*channels for those of the image"),
        ({"inputs": ("channels", "grey")}, "channels stands for all channels"),
    ],
)
def test_facts_that_do_not_fit(slide, tmp_path, facts, told):
    facts = {"in_channels": 3, "channels": MARKERS} | facts
    wrong = as_generator(network(facts["in_channels"]), out_channels=5, **facts)
    with pytest.raises(CheckpointError, match=told):
        translate(slide, tmp_path / "out.ome.tif", generator=wrong, **SMALL)


def test_names_are_stored_with_the_weights(tmp_path):
    module = network()
    info = info_of(*recognise(module.state_dict()))
    save_native(tmp_path / "plain.safetensors", module, info)
    assert describe_model(tmp_path / "plain.safetensors").channels[0] == "channel 1"
    target = tmp_path / "named.safetensors"
    convert_model(tmp_path / "plain.safetensors", target, channels=MARKERS)
    assert describe_model(target).channels == MARKERS
    with pytest.raises(OptionError, match="are 2 names, and the generator gives 5"):
        convert_model(target, tmp_path / "no.safetensors", channels=("a", "b"))
    with pytest.raises(OptionError, match="stands for all channels"):
        convert_model(target, tmp_path / "no.safetensors", inputs=("channels", "grey"))
