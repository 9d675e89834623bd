"""Small files that claim to be giants are refused before memory is taken; each in a process."""

import os
import struct

import numpy as np
import pytest
import tifffile
from fuzzing import bombs
from fuzzing.hunt import Victim

from uhrtranslate.errors import InputError
from uhrtranslate.io import open_slide
from uhrtranslate.io.readers import photo as photo_reader
from uhrtranslate.io.readers.encoded_size import encoded_size

REFUSED = ("refused",)
# Claims beside the pixels: what is stated wrongly there does not matter, if it does no harm.
EITHER = ("read", "refused")


@pytest.fixture(scope="module")
def victim():
    victim = Victim()
    yield victim
    victim.close()


def ask(victim, path, outcomes):
    answer = victim.ask({"kind": "image", "path": str(path)})
    assert answer["outcome"] in outcomes, answer["detail"]
    assert answer["bytes"] < 1 << 30
    return answer


@pytest.mark.parametrize("name", bombs.PHOTOS)
def test_photos(victim, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(bombs.PHOTOS[name]())
    assert ask(victim, path, REFUSED)["bytes"] < 1 << 28


@pytest.mark.parametrize("kind", bombs.TILES)
def test_tiles_that_hold_giants(victim, tmp_path, kind):
    path = bombs.tile_tiff(tmp_path / "a.tif", kind)
    assert path.stat().st_size < 5_000_000
    answer = ask(victim, path, EITHER)
    # A stream that goes on after the tile is full is left alone.
    assert answer["outcome"] == ("read" if kind in ("deflate", "zstd") else "refused")
    assert answer["bytes"] < 1 << 28


def test_a_strip_that_is_a_giant(victim, tmp_path):
    answer = ask(victim, bombs.strip_tiff(tmp_path / "a.tif"), REFUSED)
    assert "convert it to a tiled TIFF" in answer["detail"]


@pytest.mark.parametrize("kind", bombs.DESCRIPTIONS)
def test_descriptions(victim, tmp_path, kind):
    path = bombs.described_tiff(tmp_path / "a.ome.tif", kind)
    answer = ask(victim, path, EITHER)
    assert answer["bytes"] < 1 << 28
    if kind.startswith("ome ") and kind != "ome laughs":
        assert "planes in one image" in answer["detail"]


def test_files_that_a_tiff_names_are_not_opened(victim, tmp_path):
    os.mkfifo(tmp_path / "pipe")  # it would wait for ever
    data = '<TiffData IFD="0" PlaneCount="1"><UUID FileName="pipe">urn:uuid:1</UUID></TiffData>'
    xml = bombs.OME.format(entities="", c=3, z=1, data=data, extra="", after="")
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, bombs.SMALL, photometric="rgb", tile=(64, 64), metadata=None, description=xml.encode()
    )
    ask(victim, path, ("read",))


def test_pixels_beyond_the_small_limit_must_have_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(photo_reader, "FREE_PIXELS", 1000)
    path = tmp_path / "a.png"
    path.write_bytes(bombs.png(200, 200, bytes(200 * 201)))
    with pytest.raises(InputError, match=r"a\.png: says that it has 200 x 200 px, which 1\d\d byt"):
        open_slide(path)


def test_photos_that_do_not_fit_into_what_is_free_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.jpg"
    path.write_bytes(bombs.encoded("JPEG"))
    monkeypatch.setattr(photo_reader, "available_memory", lambda: 64 * 64 * 8 - 1)
    with pytest.raises(InputError, match=r"a\.jpg: needs 0\.0 GB of memory"):
        open_slide(path)


@pytest.mark.parametrize("kind", [kind for kind in bombs.TILES if kind not in ("jpeg xr", "png")])
def test_honest_tiles_are_read(tmp_path, kind):
    """The check of sizes does not stand in the way of tiles that are what they say."""
    compression = {"aperio jpeg 2000": "jpeg2000", "progressive jpeg": "jpeg"}.get(kind, kind)
    path = tmp_path / "a.tif"
    pixels = np.tile(bombs.SMALL[:60, :50], (3, 3, 1))
    tifffile.imwrite(
        path, pixels, photometric="rgb", tile=(64, 64), metadata=None,
        compression=compression.replace("jpeg 2000", "jpeg2000").replace("jpeg xl", "jpegxl"),
    )  # fmt: skip
    with tifffile.TiffFile(path) as tiff, open_slide(path) as slide:
        expected = tiff.asarray()
        found = slide.read(0, 0, 150, 180)
    assert np.abs(found.astype(int) - expected).max() <= 2


@pytest.mark.parametrize("size", [(64, 64), (8, 256), (257, 100), (1200, 900), (300, 9000)])
@pytest.mark.parametrize("kind", ["jpeg", "jpeg2000", "webp", "jpegxl"])
def test_the_size_of_an_encoded_picture_is_found(kind, size):
    import imagecodecs

    code = {"jpeg": 7, "jpeg2000": 34712, "webp": 50001, "jpegxl": 50002}[kind]
    name = {"jpeg2000": "jpeg2k"}.get(kind, kind)
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    encode = getattr(imagecodecs, f"{name}_encode")
    assert encoded_size(code, encode(pixels)) == size
    if kind == "webp":
        assert encoded_size(code, encode(pixels, lossless=True)) == size
        assert encoded_size(code, encode(np.dstack([pixels, pixels[..., 0]]))) == size


@pytest.mark.parametrize("code", [7, 34712, 50001, 50002])
@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\0\0", bytes(10), bytes(999)])
def test_headers_that_are_none(code, data):
    if code == 50001 and len(data) == 999:  # a picture without sides, which the codec refuses
        assert encoded_size(code, data) == (0, 0)
        return
    with pytest.raises(ValueError, match="a tile "):
        encoded_size(code, data)


def test_an_associated_image_larger_than_a_slide_is_refused(tmp_path):
    path = tmp_path / "a.svs"
    with tifffile.TiffWriter(path) as tiff:
        how = {"photometric": "rgb", "metadata": None}
        tiff.write(
            bombs.SMALL, tile=(64, 64), description="Aperio Image\r\n64x64 |MPP = 0.5", **how
        )
        tiff.write(bombs.SMALL, rowsperstrip=64, description="Aperio\r\nlabel 64x64", **how)
        tiff.write(bombs.SMALL, rowsperstrip=64, description="Aperio\r\nmacro 64x64", **how)
    with tifffile.TiffFile(path) as tiff:
        tags = [tiff.pages[n].tags[name].offset for n in (1, 2) for name in SIDES]
    data = bytearray(path.read_bytes())
    for place in tags:
        struct.pack_into("<HIH", data, place + 2, 3, 1, 60_000)
    path.write_bytes(data)
    with open_slide(path) as slide:
        assert slide.info.associated
        for name in slide.info.associated:
            with pytest.raises(InputError, match="larger than a slide"):
                slide.associated_image(name)


SIDES = ("ImageWidth", "ImageLength")
