"""Planes that the engine makes for a generator are those of the whole image, however it is cut."""

import dataclasses
import json

import numpy as np
import pytest
import skimage.data
import tifffile
import torch
from enhance.test_doubts import DARK, PHASE
from support import as_generator, small_resnet

from uhrtranslate.enhance import Matching, Stack, Tally, dump_tally, illuminance, match
from uhrtranslate.errors import CheckpointError, OptionError
from uhrtranslate.models import GeneratorInfo, load_generator, save_native
from uhrtranslate.models.checkpoint import info_of
from uhrtranslate.models.unwrap import recognise
from uhrtranslate.tables import PLANES
from uhrtranslate.tasks.enhance import enhance
from uhrtranslate.tasks.models import convert_model, describe_model
from uhrtranslate.tasks.translate import translate

STAINED = np.ascontiguousarray(skimage.data.immunohistochemistry()[:256, :320])
# Where padding at the image's ends, which the engine does not do, has no effect.
INNER = np.s_[40:-40, 40:-40]
HISTOGRAM = Tally.of(STAINED)
FACTS = {"inputs": ("rgb", "enhanced"), "histogram": tuple(HISTOGRAM.counts.tolist())}


def dark_field(bits=8):
    """What is dark in the stained image is bright in this one, on black."""
    light = (255 - STAINED.astype(np.uint32)) ** 2 // 400 + 3
    return light.astype(np.uint8) if bits == 8 else (light * 17).astype(np.uint16)


def a_student(norm="instance", channels=4, **facts):
    network = small_resnet(in_channels=channels, norm=norm).eval().requires_grad_(False)
    if norm == "batch":
        for layer in network.modules():
            if isinstance(layer, torch.nn.BatchNorm2d):
                layer.running_mean.normal_()
                layer.running_var.uniform_(0.2, 0.5)
    known = info_of(*recognise(network.state_dict()))
    return network, dataclasses.replace(known, **(FACTS | facts))


def by_hand(network, pixels, tally=None, grey=False):
    """The network over the whole image, whose planes are computed here."""
    table = match(tally or Tally.of(pixels), HISTOGRAM, invert=True)
    enhanced = Matching(table).apply(illuminance(pixels))
    colours = pixels if pixels.dtype == np.uint8 else np.rint(pixels / 257).astype(np.uint8)
    if grey:
        colours = illuminance(colours)[..., None].astype(np.uint8)
    planes = np.concatenate([colours, enhanced[..., None]], axis=2)
    x = torch.from_numpy(planes).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        y = network(x)[0].permute(1, 2, 0).numpy()
    return (y * 127.5 + 128).clip(0, 255).astype(np.uint8)


def written(tmp_path, pixels):
    tifffile.imwrite(tmp_path / "dark.tif", pixels, photometric="rgb", tile=(64, 64))
    return tmp_path / "dark.tif"


def run(tmp_path, pixels, model, **options):
    translate(
        written(tmp_path, pixels),
        tmp_path / "out.tif",
        model=str(model),
        compression="deflate",
        overwrite=True,
        **options,
    )
    return tifffile.imread(tmp_path / "out.tif").astype(int)


@pytest.fixture
def student(tmp_path):
    """A student without instance norm, so that the whole image can be computed at once."""
    network, info = a_student("batch")
    save_native(tmp_path / "student.safetensors", network, info)
    return network, tmp_path / "student.safetensors"


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("tile", [64, 512])
def test_tiles_get_the_planes_of_the_whole_image(student, tmp_path, bits, tile):
    network, path = student
    pixels = dark_field(bits)
    expected = by_hand(network, pixels).astype(int)
    assert expected.std() > 20
    found = run(tmp_path, pixels, path, tile=tile)
    assert np.abs(found - expected)[INNER].max() <= 1


def test_what_is_no_dark_field_is_told(student, tmp_path):
    def told(pixels, model):
        source = written(tmp_path, np.repeat(pixels[..., None], 3, axis=2))
        options = {"model": str(model), "overwrite": True}
        return translate(source, tmp_path / "out.tif", **options).warnings.get("dark-field")

    _, path = student
    assert told(DARK, path) is None
    assert "most of it is bright" in told(255 - DARK, path)
    assert "is no dark-field image" in told(PHASE, path)
    plain, info = a_student(channels=3, inputs=("rgb",), histogram=None)
    save_native(tmp_path / "plain.safetensors", plain, info)
    assert told(255 - DARK, tmp_path / "plain.safetensors") is None


def test_without_the_enhanced_plane_the_result_would_be_another(student):
    network, _ = student
    own, other = (by_hand(network, dark_field(), tally) for tally in (None, HISTOGRAM))
    assert np.abs(own.astype(int) - other).mean() > 1


def test_a_region_gets_the_histogram_of_the_whole_slide(student, tmp_path):
    network, path = student
    whole = by_hand(network, dark_field()).astype(int)
    part = run(tmp_path, dark_field(), path, region=(64, 64, 192, 128), tile=64)
    assert np.abs(part - whole[64:192, 64:256])[INNER].max() <= 1


@pytest.mark.parametrize("norm", ["dn", "kin", "tin", "in"])
def test_every_normalizer_takes_the_planes(tmp_path, norm):
    """In an image of one cell, all of them are plain instance normalization of the whole."""
    network, info = a_student()
    save_native(tmp_path / "student.safetensors", network, info)
    pixels = np.ascontiguousarray(dark_field()[:, :256])
    found = run(tmp_path, pixels, tmp_path / "student.safetensors", norm=norm, cell=256, halo=0)
    expected = by_hand(network, pixels)
    assert expected.std() > 20
    assert np.abs(found - expected).max() <= 1


@pytest.mark.parametrize("norm", ["dn", "tin"])
def test_results_do_not_depend_on_tiles(tmp_path, norm):
    network, info = a_student()
    save_native(tmp_path / "student.safetensors", network, info)
    small, large = (
        run(tmp_path, dark_field(), tmp_path / "student.safetensors", norm=norm, cell=64, tile=tile)
        for tile in (64, 512)
    )
    assert small.std() > 20
    assert np.abs(small - large).max() <= 1


def test_the_enhanced_plane_is_that_of_uhrt_enhance(tmp_path):
    from uhrtranslate.io import Found
    from uhrtranslate.options import EnhanceOptions
    from uhrtranslate.runs.items import Item

    pixels = dark_field(16)
    path = written(tmp_path, pixels)
    (tmp_path / "hist.json").write_text(json.dumps(dump_tally(HISTOGRAM)))
    options = EnhanceOptions(compression="deflate")
    items = [Item(Found(path, tmp_path))]
    enhance(items, tmp_path / "z.tif", options, [str(tmp_path / "hist.json")])
    made = Stack(("enhanced",), Tally.of(pixels), HISTOGRAM)(pixels)
    assert np.array_equal(made[..., 0], tifffile.imread(tmp_path / "z.tif")[..., 0])


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_plane_of_a_part_is_the_part_of_the_plane(name, bits):
    pixels = dark_field(bits)
    stack = Stack((name,), Tally.of(pixels), HISTOGRAM)
    whole, part = stack(pixels), stack(pixels[10:13, 20:23])
    # An image's own channels stay at their depth.
    assert whole.dtype == (pixels.dtype if name == "channels" else np.uint8)
    # The plane `channels` has as many as the image.
    assert whole.shape == (*pixels.shape[:2], PLANES[name].channels or pixels.shape[2])
    assert np.array_equal(whole[10:13, 20:23], part)


def test_a_thumbnail_of_8_bits_gets_the_levels_of_a_slide_of_16():
    pixels = dark_field()[..., :1].repeat(3, axis=2)
    deep = pixels.astype(np.uint16) * 257
    stack = Stack(("enhanced",), Tally.of(deep), HISTOGRAM)
    assert np.array_equal(stack(deep), stack(pixels))


def test_a_generator_of_grey_may_take_grey_and_enhanced(tmp_path):
    network, info = a_student("batch", channels=2, inputs=("grey", "enhanced"))
    save_native(tmp_path / "g.safetensors", network, info)
    found = run(tmp_path, dark_field(), tmp_path / "g.safetensors", tile=64)
    expected = by_hand(network, dark_field(), grey=True)
    assert expected.std() > 20
    assert np.abs(found - expected)[INNER].max() <= 1


def test_a_forecast_and_an_automatic_precision_make_the_planes(student, tmp_path):
    from uhrtranslate.io import Found
    from uhrtranslate.options import make_options
    from uhrtranslate.runs.items import Item
    from uhrtranslate.tasks.translate import plan_many

    _, path = student
    source = written(tmp_path, dark_field(16))
    options = make_options({"model": str(path), "precision": "auto", "cell": 64})
    (plan,) = plan_many([Item(Found(source, tmp_path))], tmp_path / "out.tif", options)
    assert plan.status == "planned", plan.error


def test_facts_of_planes_come_back_and_others_are_written_as_before(tmp_path):
    network, info = a_student()
    save_native(tmp_path / "student.safetensors", network, info)
    assert load_generator(tmp_path / "student.safetensors").info == info
    plain = small_resnet()
    save_native(tmp_path / "plain.safetensors", plain, info_of(*recognise(plain.state_dict())))
    head = (tmp_path / "plain.safetensors").read_bytes()[:2000]
    assert b'\\"format\\": 1' in head
    assert b"histogram" not in head


def test_converting_adds_what_a_checkpoint_cannot_tell(tmp_path):
    network, _ = a_student()
    torch.save(network.state_dict(), tmp_path / "student.pth")
    (tmp_path / "hist.json").write_text(json.dumps(dump_tally(HISTOGRAM.widened())))
    target = tmp_path / "student.safetensors"
    convert_model(
        tmp_path / "student.pth",
        target,
        inputs=["rgb", "enhanced"],
        histogram=tmp_path / "hist.json",
    )
    assert describe_model(target).inputs == ("rgb", "enhanced")
    assert load_generator(target).info.histogram == FACTS["histogram"]
    for wrong, told in {"rgb,magic": "is no plane", "rgb,grey,grey": "makes 5 channels"}.items():
        with pytest.raises(OptionError, match=told):
            convert_model(target, tmp_path / "no.safetensors", inputs=wrong.split(","))
    assert not (tmp_path / "no.safetensors").exists()


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"inputs": ("rgb",)}, "takes 4 channels, and its inputs .rgb. make 3.*--inputs"),
        ({"inputs": ("grey", "enhanced")}, "make 2"),
        ({"histogram": None}, "knows no histogram.*--histogram"),
    ],
)
def test_facts_that_do_not_fit_are_told_in_a_sentence(facts, told, tmp_path):
    network, info = a_student(**facts)
    facts = {key: value for key, value in vars(info).items() if key != "architecture"}
    with pytest.raises(CheckpointError, match=told):
        translate(
            written(tmp_path, dark_field()),
            tmp_path / "out.tif",
            generator=as_generator(network, **facts),
        )
    assert not (tmp_path / "out.tif").exists()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"inputs": ["magic"]}, "input magic is not known"),
        ({"inputs": []}, "inputs"),
        ({"histogram": [1] * 255}, "histogram"),
        ({"histogram": [0] * 256}, "counts no pixels"),
        ({"histogram": [-1] * 256}, "histogram"),
    ],
)
def test_hostile_facts_of_planes_are_refused(change, told, tmp_path):
    from safetensors.torch import save_file

    network, info = a_student()
    fields = {"format": 2, **dataclasses.asdict(info), **change}
    del fields["covariant"], fields["period"]  # of the family
    save_file(network.state_dict(), tmp_path / "g.safetensors", {"uhrt": json.dumps(fields)})
    with pytest.raises(CheckpointError, match=told):
        load_generator(tmp_path / "g.safetensors")


def test_a_plain_generator_takes_rgb():
    assert GeneratorInfo("resnet").inputs == ("rgb",)
