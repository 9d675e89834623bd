"""What every reader must fulfil, and what happens to files that no reader takes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from PIL import Image

from uhrtranslate.errors import InputError
from uhrtranslate.io import VirtualSlide, open_slide, slide_thumbnail

LOSSLESS = {
    "tiles.tif": {"tile": (64, 80), "compression": "deflate"},
    "tiles-plain.tif": {"tile": (64, 64)},
    "tiles-planar.tif": {"tile": (64, 64), "compression": "lzw", "planarconfig": "separate"},
    "tiles-predictor.tif": {"tile": (64, 64), "compression": "zstd", "predictor": 2},
    "strips.tif": {"rowsperstrip": 7, "compression": "lzw"},
    "strips-one.tif": {},
    "strips-planar.tif": {"planarconfig": "separate"},
    "strips-big-endian.tif": {"bigtiff": True, "byteorder": ">", "compression": "packbits"},
    "ome.ome.tif": {"tile": (64, 64), "compression": "deflate", "ome": True},
    "webp.tif": {"tile": (64, 64), "compression": "webp", "compressionargs": {"lossless": True}},
    "jpeg2000.tif": {"tile": (64, 64), "compression": "jpeg2000"},
}
PHOTOS = ("photo.png", "photo.bmp", "photo.ppm")


@pytest.fixture(params=[*LOSSLESS, *PHOTOS, "virtual"])
def slide(request, picture, tmp_path):
    """The same picture through every reader and storage."""
    name = request.param
    if name == "virtual":
        h, w = picture.shape[:2]
        yield VirtualSlide(w, h, lambda x, y, w, h: picture[y : y + h, x : x + w])
        return
    path = tmp_path / name
    if name in PHOTOS:
        Image.fromarray(picture).save(path)
    else:
        how = dict(LOSSLESS[name])
        file = {key: how.pop(key) for key in ("bigtiff", "byteorder", "ome") if key in how}
        how["photometric"] = "rgb"
        with tifffile.TiffWriter(path, **file) as tif:
            planar = "planarconfig" in how
            tif.write(np.moveaxis(picture, 2, 0) if planar else picture, **how)
    with open_slide(path) as opened:
        yield opened


def test_pixels_are_those_that_were_written(slide, picture):
    assert (slide.info.width, slide.info.height) == (421, 301)
    np.testing.assert_array_equal(slide.read(0, 0, 421, 301), picture)
    np.testing.assert_array_equal(slide.read(63, 65, 130, 97), picture[65:162, 63:193])


def test_outside_is_background(slide, picture):
    read = slide.read(-20, 290, 60, 30)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read[:11, 20:], picture[290:, :40])
    assert (read[11:] == 255).all()
    assert (read[:, :20] == 255).all()
    assert (slide.read(500, 500, 4, 5) == 255).all()


def test_reads_are_copies(slide, picture):
    read = slide.read(3, 4, 50, 50)
    read[:] = 0
    np.testing.assert_array_equal(slide.read(3, 4, 50, 50), picture[4:54, 3:53])


def test_wrong_reads_are_refused(slide):
    with pytest.raises(ValueError, match="level 1"):
        slide.read(0, 0, 5, 5, level=1)
    with pytest.raises(ValueError, match="0 x 5"):
        slide.read(0, 0, 0, 5)
    with pytest.raises(InputError, match="no associated image 'label'"):
        slide.associated_image("label")


def test_many_threads_read_what_one_reads(slide, picture):
    rng = np.random.default_rng(2)
    boxes = [(int(rng.integers(0, 380)), int(rng.integers(0, 260)), 41, 41) for _ in range(80)]
    with ThreadPoolExecutor(8) as pool:
        reads = pool.map(lambda box: slide.read(*box), boxes)
        for (x, y, w, h), read in zip(boxes, reads, strict=True):
            np.testing.assert_array_equal(read, picture[y : y + h, x : x + w])


def test_thumbnail_keeps_the_aspect_and_does_not_enlarge(slide, picture):
    thumbnail = slide_thumbnail(slide, 100)
    assert thumbnail.shape == (71, 100, 3)
    assert abs(thumbnail.mean() - picture.mean()) < 1
    assert slide_thumbnail(slide, 5000).shape == picture.shape


BROKEN = {
    "text.svs": b"this is no slide\n" * 50,
    "noise.tif": bytes(range(256)) * 8,
    "locked.zip": b"PK\x03\x04\x14\x00\x09\x00\x08\x00" + bytes(200),
    "header.tif": b"II*\x00\x08\x00\x00\x00",
    "short.jpg": b"\xff\xd8\xff",
    "index.mrxs": None,
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_no_reader_takes_is_refused_in_one_sentence(name, tmp_path, picture):
    path = tmp_path / name
    if BROKEN[name] is None:  # an MRXS index is a picture, but not the slide's
        Image.fromarray(picture).save(path, format="JPEG")
    else:
        path.write_bytes(BROKEN[name])
    with pytest.raises(InputError) as caught:
        open_slide(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"{path}: ")
    assert "\n" not in sentence
    if name != "header.tif":
        assert all(reader in sentence for reader in ("OpenSlide: ", "tifffile: ", "Pillow: "))


def test_missing_empty_and_folders_are_refused(tmp_path):
    (tmp_path / "empty.svs").touch()
    for name, reason in (("no.svs", "does not exist"), ("empty.svs", "is empty"), (".", "folder")):
        with pytest.raises(InputError, match=reason):
            open_slide(tmp_path / name)


def test_a_virtual_slide_has_averaged_levels():
    def pixels(x, y, w, h):
        xs, ys = np.arange(x, x + w), np.arange(y, y + h)[:, None]
        return np.stack([(xs + 0 * ys) % 256, (ys + 0 * xs) % 256, 0 * (xs + ys)], 2).astype(
            np.uint8
        )

    slide = VirtualSlide(201, 99, pixels, mpp=(0.5, 0.5), levels=3)
    assert [(level.width, level.height) for level in slide.info.levels] == [
        (201, 99),
        (101, 50),
        (51, 25),
    ]
    assert [level.downsample for level in slide.info.levels] == [1, 2, 4]
    np.testing.assert_array_equal(slide.read(10, 5, 1, 1, 2)[0, 0], [42, 22, 0])  # 41.5, 21.5
