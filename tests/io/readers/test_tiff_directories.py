"""Tables of tiles that cannot be: found when a file is opened, wherever in it they stand."""

import struct

import numpy as np
import pytest
import skimage.data
import tifffile

from uhrtranslate.errors import InputError
from uhrtranslate.io import open_slide
from uhrtranslate.io.readers.tiff_directories import check_directories

PIXELS = skimage.data.immunohistochemistry()[:256, :192]
ORDERS = {"little": "<", "big": ">"}
LAYOUTS = {
    "tiles": ({"tile": (64, 64), "compression": "jpeg"}, "TileOffsets", "TileByteCounts"),
    "strips": ({"rowsperstrip": 16, "compression": "deflate"}, "StripOffsets", "StripByteCounts"),
}
PLACES = ("first", "second", "below")


@pytest.fixture(params=[(order, big) for order in ORDERS for big in (False, True)], ids=str)
def write(request, tmp_path):
    """Writes two pages, one more below the first; gives the path and the pages' tags."""
    order, big = request.param

    def write(layout, place):
        path = tmp_path / "a.tif"
        how = {"photometric": "rgb", "metadata": None} | LAYOUTS[layout][0]
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=ORDERS[order]) as writer:
            writer.write(PIXELS, subifds=1, **how)
            writer.write(PIXELS[::2, ::2].copy(), **how)
            writer.write(PIXELS[::4, ::4].copy(), **how)
        check_directories(path)
        with tifffile.TiffFile(path) as tiff:
            first = tiff.pages[0]
            tags = {"first": first, "second": tiff.pages[1], "below": first.pages[0]}[place].tags
            return path, ORDERS[order], {tag.name: tag for tag in tags}

    return write


def put(path, place, form, value):
    with path.open("r+b") as file:
        file.seek(place)
        file.write(struct.pack(form, value))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("which", ["offset", "size"])
def test_tiles_beyond_the_end(write, layout, place, which):
    path, order, tags = write(layout, place)
    tag = tags[LAYOUTS[layout][1 if which == "offset" else 2]]
    form = {3: "H", 4: "I", 16: "Q"}[int(tag.dtype)]
    width = struct.calcsize(form)
    put(path, tag.valueoffset + width * (tag.count - 1), order + form, 2 ** (8 * width) - 1)
    with pytest.raises(InputError, match=r"a\.tif: the file ends after 0\.\d of at least"):
        open_slide(path)


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("side", ["ImageLength", "ImageWidth"])
def test_images_of_more_tiles_than_are_listed(write, layout, place, side):
    path, order, tags = write(layout, place)
    tag = tags[side]
    value = 50_000 + tag.value
    put(path, tag.valueoffset, order + {3: "H", 4: "I"}[int(tag.dtype)], value)
    if (layout, side) == ("strips", "ImageWidth"):  # strips are as wide as the image
        return check_directories(path)
    with pytest.raises(InputError, match=r"is damaged: lists \d+ of the [\d,]+ tiles that its"):
        open_slide(path, sparse=True)


@pytest.mark.parametrize("place", PLACES)
def test_a_table_beyond_the_end(write, place):
    path, order, tags = write("strips", place)
    tag = tags["StripByteCounts"]
    with tifffile.TiffFile(path) as tiff:
        big = tiff.is_bigtiff
    put(path, tag.offset + 4, order + ("Q" if big else "I"), 2**31)
    with pytest.raises(InputError, match=r"the file ends after 0\.\d of at least"):
        open_slide(path)


def sparse(path, tiles, filled):
    """A TIFF of a row of tiles, some of which are there."""
    tile = np.ascontiguousarray(PIXELS[:64, :64])
    content = iter([*[tile] * filled, *[None] * (tiles - filled)])
    tifffile.imwrite(path, content, shape=(64, 64 * tiles, 3), dtype=np.uint8, photometric="rgb",
                     tile=(64, 64), compression="deflate", metadata=None)  # fmt: skip


def test_slides_with_little_in_them_are_read(tmp_path):
    path = tmp_path / "a.tif"
    sparse(path, 100, 2)
    with open_slide(path) as slide:
        assert (slide.read(0, 0, 64, 64) == PIXELS[:64, :64]).all()
        assert (slide.read(6000, 0, 64, 64) == 255).all()


def test_images_with_next_to_nothing_in_them_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    sparse(path, 100, 1)
    with pytest.raises(InputError, match=r"has bytes for 1 of the 100 tiles .* --allow-sparse"):
        open_slide(path)
    with open_slide(path, sparse=True) as slide:
        assert (slide.read(0, 0, 64, 64) == PIXELS[:64, :64]).all()


def test_more_tiles_than_any_slide_has(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", tile=(16, 16), metadata=None)
    with tifffile.TiffFile(path) as tiff:
        sides = [tiff.pages[0].tags[name].offset for name in ("ImageWidth", "ImageLength")]
    for place in sides:
        put(path, place + 2, "<H", 4)
        put(path, place + 8, "<I", 2**31)
    with pytest.raises(InputError, match=r"says that it has an image of 18,014,398,509,481,984 ti"):
        open_slide(path)


def test_a_tile_larger_than_any(tmp_path):
    """It lies in the file, but OpenSlide would take memory for all of it."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, photometric="rgb", tile=(256, 256), compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags["TileByteCounts"].valueoffset
    with path.open("r+b") as file:
        file.truncate(1 << 30)
    put(path, place, "<I", 1 << 29)
    with pytest.raises(InputError, match=r"is damaged: a tile takes more than 4\.6 MB in it"):
        open_slide(path)
