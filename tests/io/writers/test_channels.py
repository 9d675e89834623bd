"""Images of many channels: written, opened by other programs, and read back."""

import contextlib

import numpy as np
import pytest
import tifffile

from uhrtranslate.errors import InputError, OutputError
from uhrtranslate.io import (
    Channel,
    OutputSpec,
    check_complete,
    compose,
    fitted_thumbnail,
    make_channels,
    open_slide,
    open_view,
    open_writer,
    resized,
)
from uhrtranslate.pixels import halve

NAMES = ("DAPI", "CD3", "CD8", "Ki-67", "panCK")
FORMATS = [
    ("a.ome.tif", "ome-tiff"),
    ("a.ome.zarr", "ome-zarr"),
    ("a.v05.ome.zarr", "ome-zarr-0.5"),
    ("a.sharded.ome.zarr", "ome-zarr-sharded"),
]


def planes(bits=8, count=5, height=333, width=401):
    """Different smooth gradients, so that a swapped channel or row is seen."""
    y, x = np.mgrid[:height, :width].astype(float)
    waves = [np.sin(x / (11 + 3 * k) + k) + np.cos(y / (7 + 2 * k)) for k in range(count)]
    shares = (np.stack(waves, 2) + 2) / 4
    if bits == 32:
        return (300 * shares - 5).astype(np.float32)
    return np.rint(shares * (2**bits - 1)).astype(f"uint{bits}")


def write(target, pixels, names=NAMES, **facts):
    facts = {"compression": "deflate", "tile": 128, "smallest": 128, "mpp": (0.5, 0.5)} | facts
    height, width, _ = pixels.shape
    spec = OutputSpec(
        width, height, bits=8 * pixels.itemsize, channels=make_channels(names), **facts
    )
    with open_writer(target, spec) as writer:
        for y in range(0, height, 100):
            for x in range(0, width, 150):
                writer.write(x, y, pixels[y : y + 100, x : x + 150])
    return target


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("compression", ["deflate", "lzw", "zstd", "none"])
def test_tifffile_reads_what_was_written(tmp_path, bits, compression):
    pixels = planes(bits)
    path = write(tmp_path / "a.ome.tif", pixels, compression=compression)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        (series,) = tif.series
        assert series.axes == "CYX"
        assert len(series.levels) == 3
        assert np.array_equal(series.asarray().transpose(1, 2, 0), pixels)
        half = np.pad(pixels, ((0, 1), (0, 1), (0, 0)), mode="edge")
        found = series.levels[1].asarray().transpose(1, 2, 0)
        assert np.array_equal(found, halve(half))
        boxes = half[:332, :400].reshape(166, 2, 200, 2, 5).mean((1, 3), dtype=float)
        assert np.abs(found[:166, :200] - boxes).max() <= (1e-4 if bits == 32 else 0.5)


def test_jpeg_is_close(tmp_path):
    path = write(tmp_path / "a.ome.tif", planes(), compression="jpeg")
    with tifffile.TiffFile(path) as tif:
        found = tif.series[0].asarray().transpose(1, 2, 0).astype(int)
        assert int(tif.pages[0].photometric) == 1
    assert np.abs(found - planes()).max() < 24
    assert np.abs(found - planes()).mean() < 2


def test_the_metadata_is_valid_and_names_the_channels(tmp_path):
    ome_types = pytest.importorskip("ome_types")
    label = np.full((20, 30, 3), 200, np.uint8)
    path = write(tmp_path / "a.ome.tif", planes(), associated={"label": label})
    image, other = ome_types.from_tiff(path).images
    pixels = image.pixels
    assert (pixels.size_c, pixels.size_x, pixels.physical_size_x) == (5, 401, 0.5)
    assert tuple(channel.name for channel in pixels.channels) == NAMES
    colours = [channel.color.as_rgb_tuple()[:3] for channel in pixels.channels]
    assert colours == [channel.colour for channel in make_channels(NAMES)]
    assert [block.ifd for block in pixels.tiff_data_blocks] == [0, 1, 2, 3, 4]
    assert other.pixels.tiff_data_blocks[0].ifd == 5
    with tifffile.TiffFile(path) as tif:
        assert tif.series[1].shape == (20, 30, 3)


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_zarr_reads_what_was_written(tmp_path, bits):
    zarr = pytest.importorskip("zarr")
    pixels = planes(bits)
    group = zarr.open_group(write(tmp_path / "a.ome.zarr", pixels), mode="r")
    assert np.array_equal(group["0"][:].transpose(1, 2, 0), pixels)
    channels = group.attrs["omero"]["channels"]
    assert tuple(channel["label"] for channel in channels) == NAMES
    assert channels[0]["color"] == "0000FF"
    assert channels[0]["window"]["max"] == (1 if bits == 32 else 2**bits - 1)


@pytest.mark.parametrize("bits", [8, 16, 32])
@pytest.mark.parametrize("name", [name for name, _ in FORMATS])
def test_channels_come_back(tmp_path, name, bits):
    pixels = planes(bits)
    path = write(tmp_path / name, pixels)
    assert check_complete(path).width == 401
    with open_slide(path, deep=True, channels=True) as slide:
        info = slide.info
        assert info.channels == make_channels(NAMES)
        assert (info.bits, info.mpp, len(info.levels)) == (bits, (0.5, 0.5), 3)
        assert np.array_equal(slide.read(0, 0, 401, 333), pixels)
        assert np.array_equal(slide.read(130, 77, 33, 150), pixels[77:227, 130:163])
        outside = slide.read(-5, -7, 10, 10)
        assert (outside[:7] == 0).all()
        assert np.array_equal(outside[7:, 5:], pixels[:3, :5])


@pytest.mark.parametrize("name", [name for name, _ in FORMATS])
def test_sixteen_bits_are_scaled_to_eight(tmp_path, name):
    pixels = planes(16)
    with open_slide(write(tmp_path / name, pixels), channels=True) as slide:
        assert np.array_equal(slide.read(0, 0, 401, 333), np.rint(pixels / 257).astype(np.uint8))


@pytest.mark.parametrize("name", [name for name, _ in FORMATS])
def test_a_channel_of_a_resampled_view_is_that_of_the_channel_alone(tmp_path, name):
    pixels = planes()
    three = pixels[..., 1:4]
    with open_slide(write(tmp_path / name, pixels), channels=True) as slide:
        many = resized(open_view(slide), 290, 240).read(0, 0, 290, 240)
        assert fitted_thumbnail(open_view(slide), 64).shape == (53, 64, 5)
    tifffile.imwrite(tmp_path / "rgb.tif", three, photometric="rgb", tile=(128, 128))
    with open_slide(tmp_path / "rgb.tif") as slide:
        colours = resized(open_view(slide), 290, 240).read(0, 0, 290, 240)
    assert np.array_equal(many[..., 1:4], colours)


@pytest.mark.parametrize("name", [name for name, _ in FORMATS])
def test_who_asks_for_colours_is_told(tmp_path, name):
    path = write(tmp_path / name, planes())
    told = r"5 channels|a stack of 5 images .* or translate it with a generator that takes channels"
    with pytest.raises(InputError, match=told):
        open_slide(path)


@pytest.mark.parametrize("name", ["a.tif", "a.svs", "a.png", "a.jpg", "a.webp"])
def test_formats_of_colours_refuse_channels_before_anything_is_written(tmp_path, name):
    with pytest.raises(OutputError, match=r"has 5 channels.*--format ome-tiff or ome-zarr"):
        write(tmp_path / name, planes())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ome", [True, False])
def test_stacks_of_other_programs_are_channels(tmp_path, ome):
    pixels = planes(count=7)
    arguments = {"ome": True, "metadata": {"axes": "CYX", "Channel": {"Name": list("abcdefg")}}}
    arguments = arguments if ome else {"photometric": "minisblack"}
    tifffile.imwrite(tmp_path / "a.tif", pixels.transpose(2, 0, 1), **arguments)
    with open_slide(tmp_path / "a.tif", channels=True) as slide:
        names = [channel.name for channel in slide.info.channels]
        assert names == (list("abcdefg") if ome else [f"channel {i}" for i in range(1, 8)])
        assert np.array_equal(slide.read(0, 0, 401, 333), pixels)


@pytest.mark.parametrize(
    ("height", "kind"), [(333, "float64"), (333, "uint32"), (4000, "uint8")], ids=str
)
def test_stacks_that_cannot_be_streamed_are_refused(tmp_path, monkeypatch, height, kind):
    monkeypatch.setattr("uhrtranslate.io.readers.tiff.MAX_TILE_BYTES", 2_000_000)
    stack = np.zeros((7, height, 100), kind)
    tifffile.imwrite(
        tmp_path / "a.tif", stack, photometric="minisblack", compression="zlib",
        rowsperstrip=height, metadata=None,
    )  # fmt: skip
    with pytest.raises(InputError, match=r"a\.tif: .*; convert it"):
        open_slide(tmp_path / "a.tif", channels=True)


def test_colours_stay_colours_where_channels_are_allowed(tmp_path):
    pixels = planes(count=3)
    tifffile.imwrite(tmp_path / "rgb.tif", pixels, photometric="rgb", tile=(128, 128))
    with open_slide(tmp_path / "rgb.tif", channels=True) as slide:
        assert not slide.info.channels
        assert np.array_equal(slide.read(0, 0, 401, 333), pixels)


def test_light_of_channels_adds_up():
    channels = (Channel("blue", (0, 0, 255)), Channel("yellow", (255, 255, 0)))
    pixels = np.array([[[255, 0], [0, 255], [255, 255], [128, 0]]], np.uint8)
    expected = [[0, 0, 255], [255, 255, 0], [255, 255, 255], [0, 0, 128]]
    assert compose(pixels, channels)[0].tolist() == expected
    deep = pixels.astype(np.uint16) * 257
    assert np.array_equal(compose(deep, channels), compose(pixels, channels))


def test_an_interrupted_run_goes_on_with_the_same_bytes(tmp_path):
    pixels = planes()
    whole = write(tmp_path / "whole.ome.tif", pixels)
    spec = OutputSpec(
        401, 333, (0.5, 0.5), compression="deflate", tile=128, smallest=128,
        channels=make_channels(NAMES),
    )  # fmt: skip
    target = tmp_path / "again.ome.tif"
    with contextlib.suppress(KeyboardInterrupt), open_writer(target, spec, job={"a": 1}) as writer:
        writer.write(0, 0, pixels[:200])
        writer._save(writer._journal, 200)
        raise KeyboardInterrupt
    with open_writer(target, spec, job={"a": 1}, resume=True) as writer:
        assert writer.start == 200
        writer.write(0, 200, pixels[200:])
    assert target.read_bytes() == whole.read_bytes()
