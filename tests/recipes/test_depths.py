"""Channels of 16 bits and of floats, into networks and out of them."""

import json

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from recipes.test_channels import MARKERS, SMALL, STAINED, generator, multiplex, network

from uhrtranslate.engine import GeneratorRunner
from uhrtranslate.engine.transforms.generator import is_flat
from uhrtranslate.errors import InputError, OptionError, OutputError
from uhrtranslate.io import check_complete, open_slide, open_view
from uhrtranslate.io.files.journal import Journal
from uhrtranslate.io.writers.output_spec import tile_side
from uhrtranslate.options import make_options
from uhrtranslate.recipes.generator_pool import GeneratorPool
from uhrtranslate.recipes.inputs import Inputs, within
from uhrtranslate.recipes.translator import Translator
from uhrtranslate.runs.events import Advanced
from uhrtranslate.runs.probe import Probe
from uhrtranslate.tasks.info import describe_input
from uhrtranslate.tasks.models import convert_model, describe_model
from uhrtranslate.tasks.translate import translate

DEEP = {"cell": 128, "halo": 48, "tile": 128}


@pytest.fixture
def slide(tmp_path):
    tifffile.imwrite(tmp_path / "he.tif", STAINED, photometric="rgb", tile=(64, 64))
    return tmp_path / "he.tif"


def written(path, pixels, **how):
    """An OME-TIFF of channels; pixels are [h, w, c]."""
    tifffile.imwrite(path, pixels.transpose(2, 0, 1), metadata={"axes": "CYX"}, **how)
    return path


def deep_pixels(path):
    with open_slide(path, deep=True, channels=True) as slide:
        return slide.read(0, 0, slide.info.width, slide.info.height)


def how_made(path):
    if path.suffix == ".zarr":
        with open_slide(path, channels=True) as slide:
            return json.loads(slide.info.properties["description"])
    return json.loads(check_complete(path).description)


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr", "out.v05.ome.zarr"])
def test_results_of_all_depths_are_the_same_picture(slide, tmp_path, name):
    found = {}
    for bits, kind in ((8, np.uint8), (16, np.uint16), (32, np.float32)):
        target = tmp_path / f"{bits}{name}"
        made = generator(channels=MARKERS)
        how = {"bits": bits} | ({"compression": "deflate"} if bits == 8 else {})
        assert translate(slide, target, generator=made, **how, **DEEP).status == "done"
        found[bits] = deep_pixels(target)
        assert found[bits].dtype == kind
        description = describe_input(target)
        assert description.pixel_type == np.dtype(kind).name
        assert [channel.name for channel in description.channels] == list(MARKERS)
        assert how_made(target).get("bits", 8) == bits
    assert found[8].std() > 20
    assert len(np.unique(found[16])) > 10_000
    for bits, top in ((8, 255), (16, 65535)):
        rounded = np.rint(found[32].clip(0, 1) * top)
        assert np.abs(found[bits].astype(float) - rounded).max() <= 1
    assert how_made(tmp_path / f"32{name}")["output_range"] == [0, 1]


def test_floats_are_what_the_network_says(tmp_path):
    """In an image of one cell, normalization is plain instance normalization."""
    part = np.ascontiguousarray(multiplex()[:, :256])
    source = written(tmp_path / "one.ome.tif", part)
    x = torch.from_numpy(part).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        y = network(7)(x)[0].permute(1, 2, 0).numpy()
    for span in ((0.0, 1.0), (-1.0, 1.0), (100.0, 4000.0)):
        target = tmp_path / f"{span[0]}.ome.tif"
        made = generator(7, inputs=("channels",), output_range=span)
        translate(source, target, generator=made, bits=32, cell=256, halo=0)
        expected = span[0] + (y + 1) / 2 * (span[1] - span[0])
        found = tifffile.imread(target)
        assert found.dtype == np.float32
        assert np.abs(found.transpose(1, 2, 0) - expected).max() < 1e-3 * (span[1] - span[0])


@pytest.mark.parametrize(("bits", "expected"), [
    (8, [0, 0, 128, 255, 255]), (16, [0, 0, 32768, 65535, 65535]), (32, [-0.5, 0, 0.5, 1, 1.5]),
])  # fmt: skip
def test_only_floats_hold_what_is_beyond_the_range(bits, expected):
    runner = GeneratorRunner(generator(out_channels=1, channels=("a",)), torch.device("cpu"))
    y = torch.tensor([-2.0, -1, 0, 1, 2])[None, None, None]
    (found,) = runner.to_pixels(y, bits)
    assert found.ravel().tolist() == expected


@pytest.mark.parametrize(("norm", "name"), [("dn", "in.ome.tif"), ("tin", "in.ome.zarr")])
def test_channels_are_fed_at_their_depth(tmp_path, norm, name):
    """The same picture in 8 bits, 16 bits, a few levels of 16 bits, and floats."""
    picture = multiplex()
    picture[0, 0], picture[0, 1] = 0, 255  # the range of the floats
    made = {"inputs": ("channels",)}
    kinds = {
        "8": (picture, made),
        "16": (picture.astype(np.uint16) * 257, made),
        "dim": (picture.astype(np.uint16) + 100, made | {"input_range": (100.0, 355.0)}),
        "float": (picture.astype(np.float32) * 3 - 7, made),
        "stated": (picture.astype(np.float32) * 3 - 7, made | {"input_range": (-7.0, 758.0)}),
    }
    results = {}
    for kind, (pixels, facts) in kinds.items():
        source = tmp_path / f"{kind}{name}"
        if name.endswith("zarr"):
            zarr = pytest.importorskip("zarr")
            group = zarr.open_group(source, mode="w", zarr_format=2)
            group.create_array("0", data=pixels.transpose(2, 0, 1), chunks=(7, 64, 64))
            group.attrs["multiscales"] = [{
                "version": "0.4", "axes": [{"name": axis} for axis in "cyx"],
                "datasets": [{"path": "0", "coordinateTransformations": [
                    {"type": "scale", "scale": [1, 1, 1]}]}],
            }]  # fmt: skip
        else:
            written(source, pixels, tile=(64, 64), compression="zlib")
        target = tmp_path / f"{kind}.ome.tif"
        translate(
            source, target, generator=generator(7, **facts), norm=norm, thumbnail="square",
            **SMALL, tile=128,
        )  # fmt: skip
        results[kind] = deep_pixels(target).astype(int)
        ranges = {"16": [0, 65535], "dim": [100, 355]}
        expected = None if kind == "8" else ranges.get(kind, [-7, 758])
        assert how_made(target).get("input_range") == expected
    assert results["8"].std() > 20
    for kind, found in results.items():
        # A thumbnail of whole numbers is rounded.
        most = 3 if norm == "tin" else 1
        assert np.abs(found - results["16"]).max() <= most, kind


def test_the_range_of_floats_is_that_of_the_whole_slide(tmp_path):
    pixels = multiplex().astype(np.float32) * 9
    pixels[5, 300] = -50  # outside of the region
    pixels[9, 310] = np.nan
    source = written(tmp_path / "in.ome.tif", pixels)
    made = {"generator": generator(7, inputs=("channels",)), "bits": 32}
    for tile, region in ((128, None), (256, None), (128, (0, 0, 256, 256))):
        target = tmp_path / f"{tile}{region}.ome.tif"
        translate(source, target, **made, **DEEP | {"tile": tile, "region": region})
        low, high = how_made(target)["input_range"]
        assert (low, high) == (-50, pytest.approx(np.nanmax(pixels)))
    whole, other = (deep_pixels(tmp_path / f"{tile}None.ome.tif") for tile in (128, 256))
    assert np.isfinite(whole).all()
    assert np.abs(whole - other).max() < 1e-3


def test_a_mask_leaves_floats_at_zero_and_blends_them(slide, tmp_path):
    mask = np.zeros((256, 320), np.uint8)
    mask[:100, :100] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    target = tmp_path / "out.ome.tif"
    made = generator()
    translate(slide, target, generator=made, mask=str(tmp_path / "mask.png"), bits=32, **DEEP)
    found = deep_pixels(target)
    assert (found[160:, 160:] == 0).all()
    ramp = found[40, 128:144]
    assert len(np.unique(ramp)) > 60  # no whole numbers


def test_floats_are_blended(slide, tmp_path):
    how = {"cell": 128, "tile": 128, "overlap": 32}
    for bits in (8, 32):
        made = {"generator": generator(), "compression": "deflate", "bits": bits}
        translate(slide, tmp_path / f"{bits}.ome.tif", **made, **how)
    plain, floats = (deep_pixels(tmp_path / f"{bits}.ome.tif") for bits in (8, 32))
    # Each of two tiles may round, and clip, before they are blended.
    inside = (floats > 0.05) & (floats < 0.95)
    difference = np.abs(floats * 255 - plain)[inside]
    assert difference.mean() < 0.5
    assert len(np.unique(floats)) > 10_000


@pytest.mark.parametrize("name", ["out.ome.tif", "out.ome.zarr"])
def test_an_interrupted_run_of_floats_gives_the_same_bytes(slide, tmp_path, monkeypatch, name):
    monkeypatch.setattr(Journal, "due", property(lambda self: True))
    how = {"bits": 32, **DEEP}
    translate(slide, tmp_path / f"whole-{name}", generator=generator(), **how)
    done = []

    def stop(event):
        if isinstance(event, Advanced):
            done.append(event.pixels)
            if sum(done) > 256 * 320 * 0.6:
                raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        translate(slide, tmp_path / name, generator=generator(), on_event=stop, **how)
    result = translate(slide, tmp_path / name, generator=generator(), resume=True, **how)
    assert result.resumed == 128
    whole, resumed = (
        [one.read_bytes() for one in sorted(path.rglob("*")) if one.is_file()]
        if path.is_dir()
        else [path.read_bytes()]
        for path in (tmp_path / f"whole-{name}", tmp_path / name)
    )
    assert whole == resumed


def test_a_preview_shows_floats(tmp_path):
    source = written(tmp_path / "in.ome.tif", multiplex().astype(np.float32))
    made = generator(7, inputs=("channels",))
    translate(source, tmp_path / "o.ome.tif", generator=made, bits=32, preview=True, **DEEP)
    with Image.open(tmp_path / "o.ome.preview.png") as picture:
        shown = np.asarray(picture)
    assert shown[:, :320].std() > 20
    assert shown[:, 328:].std() > 20


def test_one_channel_of_floats_comes_back(slide, tmp_path):
    for name in ("out.ome.tif", "out.ome.zarr"):
        made = generator(out_channels=1, channels=("p(tumour)",))
        translate(slide, tmp_path / name, generator=made, bits=32, **DEEP)
        assert deep_pixels(tmp_path / name).shape == (256, 320, 1)
        assert describe_input(tmp_path / name).channels[0].name == "p(tumour)"


def test_pictures_have_16_bits_where_it_is_asked_for(slide, tmp_path):
    made = generator(3, 3, channels=())
    for bits in (8, 16):
        how = {"bits": bits, "compression": "deflate", **DEEP}
        translate(slide, tmp_path / f"{bits}.tif", generator=made, **how)
    plain, deep = (tifffile.imread(tmp_path / f"{bits}.tif") for bits in (8, 16))
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - plain).max() <= 1
    with pytest.raises(OptionError, match=r"--bits 32.*colour or grey picture.*--channels"):
        translate(slide, tmp_path / "32.tif", generator=made, bits=32, **DEEP)


@pytest.mark.parametrize(
    ("name", "how", "error", "told"),
    [
        ("out.png", {}, OutputError, "photos are written with 8 bits"),
        ("out.jpg", {}, OutputError, "photos are written with 8 bits"),
        ("out.svs", {}, OutputError, "cannot hold 16 bits; use --format tiff or ome-tiff or"),
        ("out.tif", {"compression": "jpeg"}, OptionError, "jpeg holds no 16 bits; choose"),
        ("out.svs", {"format": "svs"}, OptionError, "svs holds no 16 bits; choose another format"),
    ],
)
def test_what_holds_8_bits_is_refused_in_a_sentence(slide, tmp_path, name, how, error, told):
    made = generator(3, 3, channels=())
    with pytest.raises(error, match=told):
        translate(slide, tmp_path / name, generator=made, bits=16, **DEEP, **how)
    assert not (tmp_path / name).exists()


def test_channels_of_other_types_are_refused_in_a_sentence(tmp_path):
    made = generator(7, inputs=("channels",))
    for kind in (np.float64, np.uint32):
        name = np.dtype(kind).name
        source = written(tmp_path / f"{name}.ome.tif", multiplex().astype(kind))
        with pytest.raises(InputError, match=f"has {name} pixels; convert its channels to 8 or 16"):
            translate(source, tmp_path / "out.ome.tif", generator=made, **DEEP)


def test_a_plan_tells_what_floats_cost_and_what_cannot_hold_them(slide, tmp_path):
    made = Translator(
        make_options({"bits": 32, **DEEP}), GeneratorPool(make_options({}), generator())
    )
    tall = make_options({"compression": "deflate", **DEEP})
    plain = Translator(tall, GeneratorPool(tall, generator()))
    sizes = [Probe().plan(one, slide, tmp_path / "o.ome.tif").bytes for one in (plain, made)]
    assert sizes[1] > 2 * sizes[0]
    for name in ("o.png", "o.tif"):
        with pytest.raises(OutputError, match="use --format ome-tiff or ome-zarr"):
            Probe().plan(made, slide, tmp_path / name)


def test_stored_tiles_are_small_where_pixels_are_large():
    assert [tile_side(*kind) for kind in ((3, 8), (3, 16), (40, 8), (40, 16), (64, 32))] == [
        512, 512, 256, 128, 128,
    ]  # fmt: skip


def test_flat_floats_are_flat():
    noise = np.random.default_rng(0).random((64, 64, 4), np.float32)
    assert is_flat(noise * 0.02 + 0.5)
    assert not is_flat(noise * [0.02, 0.02, 0.02, 0.5])
    assert within(np.array([0, 50, 900], np.uint16), (100.0, 500.0)).tolist() == [0, 0, 1]


def dim(picture):
    """12 bits of a camera in 16, as of a fluorescence slide: nearly empty on the left, and noisy.

    One pixel is hot.
    """
    noise = np.random.default_rng(1).normal(110, 4, picture.shape)
    noise[:, 128:] += picture[:, 128:] * 14.0
    noise[3, 3] = 65535
    return noise.astype(np.uint16)


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_cells_of_dim_slides_are_empty_only_beside_the_others(tmp_path, kind):
    made = generator(7, inputs=("channels",))
    written(tmp_path / "dim.ome.tif", dim(multiplex()).astype(kind), tile=(64, 64))
    with open_slide(tmp_path / "dim.ome.tif", deep=True, channels=True) as slide:
        inputs = Inputs(made.info, open_view(slide))
        assert 0.04 < inputs.contrast < 0.06  # 255 * 14 of 65535
        cells = [inputs(slide.read(x, 64, 64, 64)) for x in (64, 128, 256)]
    found = [is_flat(cell, lambda: inputs.contrast) for cell in cells]
    assert found == [True, False, False]
    assert is_flat(cells[2]), "this would prove nothing"


def test_colours_of_photos_use_the_whole_range(slide):
    with open_slide(slide) as opened:
        assert Inputs(generator().info, open_view(opened)).contrast == 1


@pytest.mark.parametrize("norm", ["dn", "kin", "pooled"])
def test_dim_slides_come_out_as_bright_ones(tmp_path, norm):
    """A network of instance norm does not see how bright its input is, but for the layers' eps."""
    found = {}
    for factor in (16, 257):
        source = written(tmp_path / f"{factor}.ome.tif", multiplex().astype(np.uint16) * factor)
        target, made = tmp_path / f"o{factor}.ome.tif", generator(7, inputs=("channels",))
        translate(source, target, generator=made, norm=norm, **SMALL, tile=128)
        found[factor] = deep_pixels(target).astype(int)
    difference = np.abs(found[16] - found[257])
    assert found[257].std() > 20
    assert difference.mean() < 3


def test_ranges_are_stored_with_the_weights(tmp_path):
    from uhrtranslate.models import save_native
    from uhrtranslate.models.checkpoint import info_of
    from uhrtranslate.models.unwrap import recognise

    module = network(7)
    save_native(tmp_path / "a.safetensors", module, info_of(*recognise(module.state_dict())))
    target = tmp_path / "b.safetensors"
    convert_model(
        tmp_path / "a.safetensors", target, inputs=["channels"], channels=MARKERS,
        input_range=(0.0, 4095.0), output_range=(-1.0, 1.0),
    )  # fmt: skip
    found = describe_model(target)
    assert (found.input_range, found.output_range) == ((0, 4095), (-1, 1))
    with pytest.raises(OptionError, match="DAPI is there twice"):
        convert_model(target, tmp_path / "c.safetensors", channels=["DAPI", *MARKERS[:4]])
    with pytest.raises(OptionError, match="input_range"):
        convert_model(target, tmp_path / "c.safetensors", input_range=(1.0, 1.0))
