"""Slides that only OpenSlide reads."""

import numpy as np
import openslide
import pytest
import tifffile

from uhrtranslate.errors import InputError
from uhrtranslate.io import open_slide
from uhrtranslate.io.readers.openslide import OpenSlideSlide

NDPI = "hamamatsu-ndpi/test3-DAPI-387.ndpi"


def test_a_real_ndpi_is_addressed_in_pixels_of_its_levels(shared_data):
    path = shared_data(NDPI)
    with open_slide(path) as slide, openslide.OpenSlide(path) as judge:
        assert slide.info.reader == "openslide"
        assert slide.info.format == "hamamatsu"
        assert slide.info.mpp == pytest.approx((0.22818, 0.22818), abs=1e-5)
        assert slide.info.objective_power == 40
        sizes = tuple((level.width, level.height) for level in slide.info.levels)
        assert sizes == judge.level_dimensions
        for level, (x, y) in {0: (1001, 2003), 2: (301, 405), 5: (11, 30)}.items():
            factor = int(judge.level_downsamples[level])
            expected = judge.read_region((x * factor, y * factor), level, (99, 77)).convert("RGB")
            inside = slide.read(x, y, 99, 77, level)
            np.testing.assert_array_equal(inside, np.asarray(expected))


def test_large_reads_equal_their_parts(shared_data):
    with open_slide(shared_data(NDPI)) as slide:
        large = slide.read(0, 100, 2300, 60)  # wider than what is read at once
        parts = [slide.read(x, 100, 575, 60) for x in range(0, 2300, 575)]
        np.testing.assert_array_equal(large, np.concatenate(parts, axis=1))


def test_a_real_dicom_slide_is_read(shared_data):
    with open_slide(shared_data("dicom-wsi/sm_image.dcm")) as slide:
        assert slide.info.format == "dicom"
        assert slide.info.icc_profile is not None
        assert slide.info.icc_profile[36:40] == b"acsp"
        assert slide.read(0, 0, 50, 50).shape == (50, 50, 3)


def test_a_truncated_slide_is_an_input_error(shared_data, tmp_path):
    path = tmp_path / "cut.ndpi"
    data = bytearray(shared_data(NDPI).read_bytes())
    data[20_000:1_500_000] = bytes(1_480_000)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"cut\.ndpi"), open_slide(path) as slide:
        slide.read(0, 0, slide.info.width, slide.info.height)


def test_a_fractional_downsample_does_not_make_pixels_depend_on_the_read(tmp_path):
    rng = np.random.default_rng(4)
    path = tmp_path / "slide.tif"
    with tifffile.TiffWriter(path) as tif:
        for size, kind in (((3300, 3267), 0), ((1100, 1101), 1)):
            pixels = rng.integers(0, 256, (*size, 3), np.uint8)
            tif.write(pixels, tile=(256, 256), photometric="rgb", subfiletype=kind)
    with OpenSlideSlide(path) as slide:
        large = slide.read(0, 0, 1101, 400, 1)
        parts = [slide.read(x, 0, min(97, 1101 - x), 400, 1) for x in range(0, 1101, 97)]
        np.testing.assert_array_equal(large, np.concatenate(parts, axis=1))
        assert np.abs(large[:, :1024].astype(int) - pixels[:400, :1024]).max() == 0


def test_transparent_parts_show_the_slides_background(picture, tmp_path):
    path = tmp_path / "a.tif"
    tiles = [None if i == 1 else picture[:64, :64] for i in range(12)]
    how = {"tile": (64, 64), "shape": (192, 256, 3), "dtype": "uint8", "photometric": "rgb"}
    tifffile.imwrite(path, iter(tiles), **how)
    with OpenSlideSlide(path) as slide:
        read = slide.read(0, 0, 128, 64)
    np.testing.assert_array_equal(read[:, :64], picture[:64, :64])
    assert (read[:, 64:] == 255).all()
