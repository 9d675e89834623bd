"""16-bit pixels from files to files: nothing is lost where they were asked for."""

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from uhrtranslate.errors import OptionError, OutputError
from uhrtranslate.io import (
    OutputSpec,
    check_complete,
    open_slide,
    open_view,
    open_writer,
    slide_thumbnail,
    to_bits,
)


@pytest.fixture(scope="module")
def deep():
    """[700, 900, 3] uint16: smooth, and of far more than 256 levels."""
    y, x = np.mgrid[:700, :900]
    channels = [40 * x + 30 * y, 65535 - 50 * x, 20000 + 31 * y]
    return np.stack(channels, axis=-1).astype(np.uint16)


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("layout", [{"tile": (256, 256)}, {"rowsperstrip": 16}])
@pytest.mark.parametrize("compression", [None, "deflate", "lzw"])
def test_tiffs_are_read_with_all_their_bits(deep, tmp_path, bigtiff, layout, compression):
    path = tmp_path / "deep.tif"
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tiff:
        tiff.write(deep, photometric="rgb", compression=compression, predictor=None, **layout)
    with open_slide(path, deep=True) as slide:
        assert (slide.info.bits, slide.info.dtype) == (16, np.uint16)
        np.testing.assert_array_equal(slide.read(100, 50, 300, 200), deep[50:250, 100:400])
        outside = slide.read(890, 690, 20, 20)
        assert outside.dtype == np.uint16
        assert (outside[15:] == 65535).all()
    with open_slide(path) as slide:
        assert slide.info.bits == 8
        np.testing.assert_array_equal(slide.read(0, 0, 900, 700), to_bits(deep, 16))


@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_becomes_rgb(deep, tmp_path, photometric):
    path = tmp_path / "grey.tif"
    tifffile.imwrite(path, deep[..., 0], photometric=photometric, tile=(128, 128))
    with open_slide(path, deep=True) as slide:
        expected = deep[..., :1] if photometric == "minisblack" else 65535 - deep[..., :1]
        np.testing.assert_array_equal(slide.read(0, 0, 900, 700), np.repeat(expected, 3, axis=2))


def test_transparent_parts_lie_on_white(deep, tmp_path):
    path = tmp_path / "alpha.tif"
    alpha = np.where(np.arange(900) < 450, 65535, 0).astype(np.uint16)
    image = np.dstack([deep, np.broadcast_to(alpha, (700, 900))])
    tifffile.imwrite(path, image, photometric="rgb", extrasamples=["unassalpha"])
    with open_slide(path, deep=True) as slide:
        found = slide.read(0, 0, 900, 700)
    np.testing.assert_array_equal(found[:, :450], deep[:, :450])
    assert (found[:, 450:] == 65535).all()


def test_grey_pngs_are_read_with_all_their_bits(deep, tmp_path):
    Image.fromarray(deep[..., 0]).save(tmp_path / "deep.png")
    with open_slide(tmp_path / "deep.png", deep=True) as slide:
        assert slide.info.bits == 16
        np.testing.assert_array_equal(slide.read(0, 0, 900, 700)[..., 1], deep[..., 0])


def test_files_of_eight_bits_stay_so(deep, tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", to_bits(deep, 16), photometric="rgb", tile=(128, 128))
    with open_slide(tmp_path / "a.tif", deep=True) as slide:
        assert (slide.info.bits, slide.read(0, 0, 5, 5).dtype) == (8, np.uint8)


def test_resampling_keeps_the_bits(deep, tmp_path):
    path = tmp_path / "deep.tif"
    per_cm = 1e4 / 0.5
    tifffile.imwrite(
        path, deep, photometric="rgb", resolution=(per_cm, per_cm), resolutionunit="CENTIMETER"
    )
    with open_slide(path, deep=True) as slide:
        view = open_view(slide, mpp=5.0)
        found = view.read(0, 0, view.width, view.height).astype(float)
    assert found.shape == (70, 90, 3)
    boxes = deep.reshape(70, 10, 90, 10, 3).mean((1, 3))
    inside = np.s_[2:-2, 2:-2]
    # Ramps that do not wrap around keep their means under any symmetrical filter.
    assert np.abs(found - boxes)[inside][..., 1:].max() < 2
    with open_slide(path, deep=True) as slide:
        assert slide_thumbnail(slide, 100).dtype == np.uint8


@pytest.mark.parametrize("name", ["out.tif", "out.ome.tif", "out.ome.zarr"])
@pytest.mark.parametrize("compression", ["deflate", "lzw", "zstd", "none"])
def test_pyramids_hold_all_bits(deep, tmp_path, name, compression):
    if name.endswith("zarr"):
        pytest.importorskip("zarr")
    path = tmp_path / name
    spec = OutputSpec(900, 700, mpp=(0.5, 0.5), compression=compression, bits=16, smallest=256)
    with open_writer(path, spec) as writer:
        for y in range(0, 700, 100):
            writer.write(0, y, deep[y : y + 100])
    check_complete(path)
    with open_slide(path, deep=True) as slide:
        assert slide.info.bits == 16
        np.testing.assert_array_equal(slide.read(0, 0, 900, 700), deep)
        level = slide.info.levels[1]
        half = slide.read(0, 0, level.width, level.height, 1)
    boxes = deep.reshape(350, 2, 450, 2, 3).astype(np.uint32).sum((1, 3))
    np.testing.assert_array_equal(half, (boxes + 2) >> 2)
    if name == "out.tif":
        np.testing.assert_array_equal(tifffile.imread(path), deep)
        with openslide.OpenSlide(path) as other:
            assert other.level_count == len(slide.info.levels)
    if name == "out.ome.tif":
        with tifffile.TiffFile(path) as tiff:
            assert 'Type="uint16"' in tiff.ome_metadata
            np.testing.assert_array_equal(tiff.asarray(), deep)


@pytest.mark.parametrize(
    ("name", "more"), [("a.png", {}), ("a.svs", {}), ("a.tif", {"compression": "jpeg"})]
)
def test_what_holds_eight_bits_is_refused(tmp_path, name, more):
    def attempt():
        open_writer(
            tmp_path / name, OutputSpec(10, 10, bits=16, **{"compression": "deflate", **more})
        )

    with pytest.raises((OptionError, OutputError), match="bits"):
        attempt()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 16])
def test_scaling_is_rounded_and_can_be_undone(bits):
    values = np.arange(2**bits, dtype=np.uint16)
    wide = to_bits(values, bits, 16)
    exact = values * (65535 / (2**bits - 1))
    assert np.abs(wide - exact).max() <= 0.5
    if bits <= 8:
        np.testing.assert_array_equal(to_bits(to_bits(values, bits), 8, 16), wide)
