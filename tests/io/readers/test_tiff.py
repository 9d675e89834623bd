"""TIFFs: one file, two libraries; and kinds of pixels that only one of them reads."""

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from uhrtranslate.errors import InputError
from uhrtranslate.io import open_slide
from uhrtranslate.io.readers.openslide import OpenSlideSlide

APERIO = "Aperio Image Library v12\r\n421x301 |AppMag = 40|MPP = 0.2520|Date = 01/02/26"


def assert_like_openslide(slide, path):
    with OpenSlideSlide(path) as judge:
        assert slide.info.reader == "tifffile"
        assert slide.info.levels == judge.info.levels
        assert slide.info.properties == judge.info.properties
        for number, level in enumerate(judge.info.levels):
            box = (0, 0, level.width, level.height, number)
            np.testing.assert_array_equal(slide.read(*box), judge.read(*box))


@pytest.mark.parametrize(
    "how",
    [
        {"compression": "jpeg"},
        {"compression": "jpeg", "subsampling": (1, 1), "tile": (80, 48)},
        {"compression": "deflate"},
        {"compression": "lzw", "planarconfig": "separate"},
        {"compression": None},
    ],
    ids=["jpeg", "jpeg-444", "deflate", "planar", "plain"],
)
def test_direct_decoding_gives_openslides_pixels(how, picture, write_pyramid, srgb):
    path = write_pyramid(picture, icc=srgb, **how)
    with open_slide(path) as slide:
        assert slide.info.format == "generic-tiff"
        assert slide.info.mpp == pytest.approx((0.25, 0.25))
        assert slide.info.icc_profile == srgb
        assert [level.downsample for level in slide.info.levels] == [1, 2, 4]
        assert_like_openslide(slide, path)


def test_grey_tiles_give_openslides_pixels(picture, write_pyramid):
    path = write_pyramid(picture[..., 0], photometric="minisblack")
    with open_slide(path) as slide:
        assert_like_openslide(slide, path)


def test_an_aperio_slide_keeps_its_metadata(picture, write_pyramid):
    path = write_pyramid(picture, name="a.svs", compression="jpeg", description=APERIO)
    with open_slide(path) as slide:
        assert slide.info.format == "aperio"
        assert slide.info.mpp == (0.252, 0.252)
        assert slide.info.objective_power == 40
        assert slide.info.properties["aperio.Date"] == "01/02/26"
        assert_like_openslide(slide, path)


def test_a_real_aperio_slide_is_read_as_openslide_reads_it(shared_data):
    path = shared_data("aperio-svs/CMU-1-Small-Region.svs")
    with open_slide(path) as slide, openslide.OpenSlide(path) as judge:
        assert slide.tile_size(0) == (240, 240)
        assert slide.info.associated == ("label", "macro", "thumbnail")
        assert_like_openslide(slide, path)
        label = np.asarray(judge.associated_images["label"].convert("RGB"))
        np.testing.assert_array_equal(slide.associated_image("label"), label)


@pytest.mark.parametrize("name", ["OS-2-ndpi.ome.tif", "OS-2-vsi.ome.tif"])
def test_a_real_ome_tiff_is_read_as_tifffile_reads_it(name, shared_data):
    path = shared_data(f"scanner-pair-ki67/{name}")
    with open_slide(path) as slide:
        assert slide.info.format == "OME-TIFF"
        assert slide.info.mpp is not None
        assert 0.2 < slide.info.mpp[0] < 0.4
        whole = slide.read(0, 0, slide.info.width, slide.info.height)
        np.testing.assert_array_equal(whole, tifffile.imread(path))


def test_an_ome_tiff_has_its_levels_its_mpp_and_its_label(picture, tmp_path):
    path = tmp_path / "a.ome.tif"
    size = {"PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.26}
    with tifffile.TiffWriter(path, ome=True) as tif:
        how = {"tile": (64, 64), "compression": "deflate", "photometric": "rgb"}
        tif.write(picture, subifds=2, metadata={"Name": "tissue", **size}, **how)
        tif.write(picture[::2, ::2], subfiletype=1, **how)
        tif.write(picture[::4, ::4], subfiletype=1, **how)
        tif.write(picture[:70, :50], metadata={"Name": "label image"}, photometric="rgb")
    with open_slide(path) as slide:
        assert slide.info.format == "OME-TIFF"
        assert [level.width for level in slide.info.levels] == [421, 211, 106]
        assert slide.info.mpp == pytest.approx((0.25, 0.26))
        np.testing.assert_array_equal(slide.read(0, 0, 106, 76, 2), picture[::4, ::4])
        assert slide.info.associated == ("label",)
        np.testing.assert_array_equal(slide.associated_image("label"), picture[:70, :50])


def rgb_of(path):
    with open_slide(path) as slide:
        return slide.read(0, 0, slide.info.width, slide.info.height)


@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_16_bit_is_scaled_by_its_range(tile, tmp_path):
    values = np.zeros((16, 16, 3), np.uint16)
    values[0, :5, 1] = 0, 257, 385, 386, 65535
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, tile=tile, photometric="rgb", compression="deflate")
    if tile is None:
        assert rgb_of(path)[0, :5, 1].tolist() == [0, 1, 1, 2, 255]
    else:  # OpenSlide takes it, and judges: libtiff scales too
        np.testing.assert_allclose(rgb_of(path)[0, :5, 1], [0, 1, 1, 2, 255], atol=1)


def test_other_colours_become_rgb(picture, tmp_path):
    path = tmp_path / "a.tif"
    grey = picture[..., 0]
    tifffile.imwrite(path, grey, photometric="miniswhite", rowsperstrip=16)
    np.testing.assert_array_equal(rgb_of(path), np.repeat(255 - grey[..., None], 3, 2))
    tifffile.imwrite(path, grey > 99, photometric="minisblack", rowsperstrip=16)
    np.testing.assert_array_equal(rgb_of(path)[..., 2], np.where(grey > 99, 255, 0))
    colours = np.random.default_rng(3).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    tifffile.imwrite(path, grey, photometric="palette", colormap=colours, rowsperstrip=16)
    np.testing.assert_array_equal(rgb_of(path), (colours // 257).T[grey])
    cmyk = np.zeros((4, 5, 4), np.uint8)
    cmyk[0, 0] = 255, 0, 0, 0
    cmyk[1, 1] = 0, 0, 0, 255
    tifffile.imwrite(path, cmyk, photometric="separated")
    assert rgb_of(path)[[0, 1, 2], [0, 1, 2]].tolist() == [[0, 255, 255], [0] * 3, [255] * 3]


@pytest.mark.parametrize(("kind", "seen"), [("unassalpha", 244), ("assocalpha", 255)])
def test_alpha_is_laid_on_white(kind, seen, tmp_path):
    pixels = np.full((8, 8, 4), (200, 0, 0, 51), np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", extrasamples=[kind], compression="lzw")
    assert (rgb_of(path) == (seen, 204, 204)).all()


def test_what_tifffile_cannot_decode_is_left_to_pillow(picture, tmp_path):
    path = tmp_path / "a.tif"
    turned = [(274, "H", 1, 6)]
    tifffile.imwrite(path, picture, photometric="rgb", compression="lzw", extratags=turned)
    np.testing.assert_array_equal(rgb_of(path), np.rot90(picture, -1))
    Image.fromarray(picture).convert("1").save(path, compression="group4")
    with Image.open(path) as image:
        np.testing.assert_array_equal(rgb_of(path), np.asarray(image.convert("RGB")))
    Image.fromarray(picture).convert("YCbCr").save(path)
    with open_slide(path) as slide:
        assert slide.info.reader == "photo"


@pytest.mark.parametrize("tile", [None, (64, 64)])
@pytest.mark.parametrize(
    ("shape", "dtype", "reason"),
    [
        ((90, 80), np.float32, "float32"),
        ((90, 80), np.int16, "int16"),
        ((7, 90, 80), np.uint8, "stack of 7"),
        ((90, 80, 6), np.uint8, "6 channels"),
    ],
)
def test_what_is_no_colour_is_refused(shape, dtype, reason, tile, tmp_path):
    path = tmp_path / "a.tif"
    how = {"planarconfig": "contig"} if shape[-1] == 6 else {}
    tifffile.imwrite(path, np.zeros(shape, dtype), tile=tile, photometric="minisblack", **how)
    with pytest.raises(InputError, match=f"{reason}.*convert it"):
        open_slide(path)


def test_missing_tiles_are_background(picture, tmp_path):
    path = tmp_path / "a.tif"
    tiles = [None if i in (1, 6) else picture[:64, :64] for i in range(12)]
    how = {"tile": (64, 64), "shape": (192, 256, 3), "dtype": "uint8", "photometric": "rgb"}
    tifffile.imwrite(path, iter(tiles), **how)
    read = rgb_of(path)
    assert (read[:64, 64:128] == 255).all()
    assert (read[64:128, 128:192] == 255).all()
    np.testing.assert_array_equal(read[:64, :64], picture[:64, :64])


def test_resolutions_of_printers_are_no_mpp(picture, tmp_path):
    path = tmp_path / "a.tif"
    for dpi, mpp in ((72, None), (50800, (0.5, 0.5))):
        for tile in (None, (64, 64)):
            how = {"resolution": (dpi, dpi), "resolutionunit": "INCH", "tile": tile}
            tifffile.imwrite(path, picture, photometric="rgb", metadata=None, **how)
            with open_slide(path) as slide:
                assert slide.info.mpp == mpp


@pytest.mark.parametrize("levels", [1, 3])
def test_a_file_that_was_cut_off_is_refused_when_it_is_opened(levels, picture, tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for level in range(levels):
            tif.write(picture[:: 2**level, :: 2**level], photometric="rgb", tile=(64, 64))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"a\.tif: .*copy it again|a\.tif: no reader"):
        open_slide(path)


def test_a_damaged_tile_is_an_input_error(picture, write_pyramid):
    path = write_pyramid(picture, levels=1)
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages[0].dataoffsets[6]
    data = bytearray(path.read_bytes())
    data[offset : offset + 200] = bytes(200)
    path.write_bytes(data)
    with open_slide(path) as slide, pytest.raises(InputError, match="is damaged"):
        slide.read(0, 0, 421, 301)


def test_unaligned_reads_decode_each_tile_once(picture, write_pyramid, monkeypatch):
    with open_slide(write_pyramid(picture, levels=1)) as slide:
        decoded = []
        level = slide._levels[0]
        decode = level.decode
        object.__setattr__(level, "decode", lambda d, i: decoded.append(i) or decode(d, i))
        for y in range(0, 301, 50):
            for x in range(0, 421, 50):
                slide.read(x - 8, y - 8, 66, 66)
        assert sorted(decoded) == sorted({*range(35)} - {0})  # the first was tried when opening
