"""TIFFs that are odd, and TIFFs that mean harm: read as they should be, or refused in one sentence.

Each is opened and read in a process of its own with limits: ten seconds, and 1 GB of memory.
"""

import struct

import numpy as np
import pytest
import skimage.data
import tifffile
from fuzzing.hunt import Victim
from PIL import Image

from uhrtranslate.errors import InputError
from uhrtranslate.io import open_slide

PIXELS = skimage.data.immunohistochemistry()[:96, :128]


@pytest.fixture(scope="module")
def victim():
    victim = Victim()
    yield victim
    victim.close()


def tiff(path, *directories, byteorder="<", tail=b""):
    """A classic TIFF of chained directories of (code, type, count, value); "cycle" closes it."""
    data = bytearray(struct.pack(byteorder + "2sHI", b"II", 42, 8))
    for number, entries in enumerate(directories):
        last = number == len(directories) - 1
        following = 0 if last else len(data) + 2 + 12 * len(entries) + 4
        if entries and entries[-1] == "cycle":
            entries, following = entries[:-1], 8
        data += struct.pack(byteorder + "H", len(entries))
        for code, kind, count, value in entries:
            data += struct.pack(byteorder + "HHII", code, kind, count, value)
        data += struct.pack(byteorder + "I", following)
    path.write_bytes(bytes(data) + tail)
    return path


def page(width=128, height=96, tile=(64, 64), bits=8, compression=1, offset=4000, length=100):
    """Entries of a page of one tile or strip; grey, so that all values fit into their entries."""
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, bits), (259, 3, 1, compression),
        (262, 3, 1, 1), (277, 3, 1, 1),
    ]  # fmt: skip
    if tile:
        entries += [(322, 4, 1, tile[0]), (323, 4, 1, tile[1]), (324, 4, 1, offset)]
        return [*entries, (325, 4, 1, length)]
    return sorted([*entries, (273, 4, 1, offset), (278, 4, 1, height), (279, 4, 1, length)])


HOSTILE = {
    "a cycle of directories": [[*page(), "cycle"]],
    "a longer cycle": [page(), page(), [*page(), "cycle"]],
    "thousands of directories": [page(width=16, height=16, tile=(16, 16))] * 5000,
    "a giant image in tiles": [page(width=2**31 - 1, height=2**31 - 1, tile=(2**20, 2**20))],
    "a giant image in a strip": [page(width=2**30, height=2**30, tile=None)],
    "giant tiles": [page(tile=(2**31 - 16, 2**31 - 16))],
    "tiles of no size": [page(tile=(0, 0))],
    "negative tiles": [page(tile=(2**32 - 64, 2**32 - 64))],
    "no size": [page(width=0, height=0)],
    "a strip beyond the end": [page(tile=None, offset=2**31, length=2**31)],
    "a compression that is none": [page(compression=60000)],
    "JPEG tiles that are none": [page(compression=7)],
    "LZW tiles that are none": [page(compression=5)],
    "3 bits": [page(bits=3)],
    "no directory": [],
    "an empty directory": [[]],
    "one pixel wide, four billion high": [page(width=1, height=2**32 - 1, tile=None)],
    "the same, compressed": [page(width=1, height=2**32 - 1, tile=None, compression=5)],
    "four billion wide, one pixel high": [page(width=2**32 - 1, height=1, tile=None)],
    "a negative height": [
        sorted([*page(tile=None)[:1], (257, 9, 1, 2**32 - 64), *page(tile=None)[2:]])
    ],
    "a negative width": [sorted([(256, 9, 1, 2**32 - 64), *page(compression=50001)[1:]])],
    "thousands of sizes": [page(width=n, height=n, tile=(16, 16)) for n in range(16, 2100)],
    "a tile of one sample too many": [[*page()[:5], (277, 3, 1, 65535), *page()[6:]]],
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_files_are_refused_in_one_sentence(victim, tmp_path, kind):
    path = tiff(tmp_path / "a.tif", *HOSTILE[kind], tail=bytes(6000))
    answer = victim.ask({"kind": "image", "path": str(path)})
    assert answer, "it killed the process"
    if kind == "thousands of directories":
        assert answer["outcome"] in ("read", "refused"), answer["detail"]
    else:
        assert answer["outcome"] == "refused", answer["detail"]
        assert answer["detail"].startswith(str(path))
    assert answer["bytes"] < 1 << 30


def test_many_levels_are_read_in_time(victim, tmp_path):
    pages = [page(width=n, height=n, tile=(16, 16), length=256) for n in range(1000, 16, -1)]
    path = tiff(tmp_path / "a.tif", *pages, tail=bytes(90000))
    answer = victim.ask({"kind": "image", "path": str(path)})
    assert answer["outcome"] in ("read", "refused"), answer["detail"]


@pytest.mark.parametrize("pages", [1, 20_000])
def test_a_circle_in_an_ndpi_file(victim, tmp_path, pages):
    path = tiff(tmp_path / "a.ndpi", *[page()] * (pages - 1), [*page(), "cycle"], tail=bytes(6000))
    answer = victim.ask({"kind": "image", "path": str(path)})
    assert answer["outcome"] == "refused", answer["detail"]


REAL = {
    "aperio-svs/CMU-1-Small-Region.svs": 0.6,
    "hamamatsu-ndpi/test3-DAPI-387.ndpi": 0.5,
    "dicom-wsi/sm_image.dcm": 0.999,
    "scanner-pair-ki67/OS-2-ndpi.ome.tif": 0.9,
}


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.1, 0.3, 1])
@pytest.mark.parametrize("name", REAL)
def test_real_slides_that_were_cut_are_refused(victim, shared_data, tmp_path, name, share):
    whole = shared_data(name)
    path = tmp_path / whole.name
    data = whole.read_bytes()
    path.write_bytes(data[: int(len(data) * share * REAL[name])])
    answer = victim.ask({"kind": "image", "path": str(path)})
    assert answer["outcome"] == "refused", answer["detail"]


def test_damage_that_openslide_meets_while_reading_is_told(shared_data, tmp_path):
    whole = shared_data("hamamatsu-ndpi/test3-DAPI-387.ndpi")
    path = tmp_path / whole.name
    data = bytearray(whole.read_bytes())
    with tifffile.TiffFile(whole) as tiff:
        start = tiff.pages[0].dataoffsets[0]
    data[start + 20_000 : start + 1_500_000] = bytes(1_480_000)
    path.write_bytes(data)
    with open_slide(path) as slide:
        assert slide.info.reader == "openslide"
        with pytest.raises(InputError, match=r"387\.ndpi: is damaged \(.*\); copy it again"):
            slide.read(0, 0, slide.info.width, slide.info.height)


@pytest.mark.parametrize("name", ["a.dcm", "a.svs", "a.ndpi", "a.tif", "a.jpg", "a.mrxs", "a"])
@pytest.mark.parametrize(
    "head", [b"", bytes(128) + b"DICM", b"II*\0", b"MM\0+", b"\xff\xd8", b"\x89PNG\r\n\x1a\n"]
)
def test_junk_of_any_name_is_refused(victim, tmp_path, name, head):
    path = tmp_path / name
    path.write_bytes(head + np.random.default_rng(len(head)).bytes(5000))
    answer = victim.ask({"kind": "image", "path": str(path)})
    assert answer["outcome"] == "refused", answer["detail"]


def test_tiles_at_which_openslide_would_abort_are_refused(victim, tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS.astype(np.uint16), photometric="rgb", tile=(64, 64))
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags["TileWidth"].offset
    data = bytearray(path.read_bytes())
    struct.pack_into("<HHII", data, place, 322, 4, 1, 2**31 - 1)
    path.write_bytes(data)
    answer = victim.ask({"kind": "image", "path": str(path)})
    assert answer
    assert answer["outcome"] == "refused"


@pytest.mark.parametrize("big", [False, True])
def test_a_circle_of_whole_pages_is_refused(tmp_path, big):
    path = tmp_path / "a.ome.tif"
    with tifffile.TiffWriter(path, bigtiff=big) as writer:
        for _ in range(3):
            writer.write(PIXELS, photometric="rgb", tile=(64, 64), metadata=None)
    with tifffile.TiffFile(path) as tiff:
        first, last = tiff.pages[0], tiff.pages[2]
        entries, size, kind = len(last.tags), 20 if big else 12, "<Q" if big else "<I"
        place = last.offset + (8 if big else 2) + size * entries
    data = bytearray(path.read_bytes())
    struct.pack_into(kind, data, place, first.offset)
    path.write_bytes(data)
    with pytest.raises(InputError, match="in a circle"):
        open_slide(path)


@pytest.mark.parametrize("tiled", [True, False])
@pytest.mark.parametrize("compression", [None, "deflate", "jpeg", "lzw"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(victim, tmp_path, tiled, compression, share):
    path = tmp_path / "a.tif"
    layout = {"tile": (64, 64)} if tiled else {"rowsperstrip": 16}
    tifffile.imwrite(path, PIXELS, photometric="rgb", compression=compression, **layout)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    answer = victim.ask({"kind": "image", "path": str(path)})
    assert answer
    assert answer["outcome"] == "refused", answer["detail"]


def save(path, kind):
    """An odd TIFF; what should be read of it, or None where it must be refused."""
    image = Image.fromarray(PIXELS)
    grey = PIXELS[..., 1]
    match kind:
        case "16 bit":
            tifffile.imwrite(path, PIXELS.astype(np.uint16) * 257, photometric="rgb", tile=(64, 64))
            return PIXELS
        case "float":
            tifffile.imwrite(path, PIXELS.astype(np.float32), photometric="rgb")
            return None
        case "CMYK":
            image.convert("CMYK").save(path)
            return PIXELS
        case "palette":
            image.quantize(64).save(path)
            return np.asarray(image.quantize(64).convert("RGB"))
        case "planar":
            planes = np.ascontiguousarray(PIXELS.transpose(2, 0, 1))
            tifffile.imwrite(path, planes, photometric="rgb", planarconfig="separate")
            return PIXELS
        case "alpha":
            alpha = np.zeros((96, 128), np.uint8)
            alpha[:, :64] = 255
            rgba = np.dstack([PIXELS, alpha])
            tifffile.imwrite(path, rgba, photometric="rgb", extrasamples=["unassalpha"])
            return np.where(alpha[..., None] > 0, PIXELS, 255)
        case "multi-page":
            stack = np.stack([PIXELS, 255 - PIXELS])
            tifffile.imwrite(path, stack, photometric="rgb", metadata=None)
            return None
        case "1 bit":
            image.convert("1").save(path)
            bits = np.asarray(image.convert("1")).astype(np.uint8) * 255
            return np.repeat(bits[..., None], 3, axis=2)
        case "white is zero":
            tifffile.imwrite(path, grey, photometric="miniswhite")
            return np.repeat(255 - grey[..., None], 3, axis=2)
        case "grey":
            tifffile.imwrite(path, grey, photometric="minisblack")
            return np.repeat(grey[..., None], 3, axis=2)
        case "16 bit grey, Motorola":
            deep = grey.astype(np.uint16) * 257
            tifffile.imwrite(path, deep, photometric="minisblack", byteorder=">", rowsperstrip=7)
            return np.repeat(grey[..., None], 3, axis=2)
        case "CMYK in tiles":
            cmyk = np.dstack([255 - PIXELS, np.zeros_like(grey)])
            tifffile.imwrite(
                path, cmyk, photometric="separated", tile=(32, 48), compression="deflate"
            )
            return PIXELS
        case "16 bit planar in tiles":
            planes = np.ascontiguousarray(PIXELS.transpose(2, 0, 1)).astype(np.uint16) * 257
            tifffile.imwrite(
                path, planes, photometric="rgb", planarconfig="separate", tile=(64, 64),
                compression="lzw", predictor=True,
            )  # fmt: skip
            return PIXELS
        case "premultiplied alpha":
            half = np.full((96, 128), 128, np.uint8)
            laid = np.dstack([PIXELS // 2, half])
            tifffile.imwrite(path, laid, photometric="rgb", extrasamples=["assocalpha"])
            return PIXELS // 2 + 127
        case "12 bit":
            twelve = grey.astype(np.uint32) * 4095 // 255
            packed = np.zeros(96 * 128 * 3 // 2, np.uint8)
            first, second = twelve.ravel()[::2], twelve.ravel()[1::2]
            packed[::3], packed[2::3] = first >> 4, second & 255
            packed[1::3] = (first & 15) << 4 | second >> 8
            entries = page(tile=None, bits=12, offset=200, length=len(packed))
            tiff(path, entries)
            path.write_bytes(path.read_bytes().ljust(200, b"\0") + packed.tobytes())
            return np.repeat(grey[..., None], 3, axis=2)
        case "fax":
            image.convert("1").save(path, compression="group4")
            bits = np.asarray(image.convert("1")).astype(np.uint8) * 255
            return np.repeat(bits[..., None], 3, axis=2)
        case "signed":
            tifffile.imwrite(path, grey.astype(np.int8))
            return None
        case "32 bit":
            tifffile.imwrite(path, grey.astype(np.uint32))
            return None
        case "complex":
            tifffile.imwrite(path, grey.astype(np.complex64))
            return None
    raise ValueError(kind)


ODD = (
    "16 bit", "float", "CMYK", "palette", "planar", "alpha", "multi-page", "1 bit",
    "white is zero", "grey", "complex", "16 bit grey, Motorola", "CMYK in tiles",
    "16 bit planar in tiles", "premultiplied alpha", "12 bit", "fax", "signed", "32 bit",
)  # fmt: skip


@pytest.mark.parametrize("kind", ODD)
def test_odd_pixels_are_read_right_or_refused(tmp_path, kind):
    path = tmp_path / "a.tif"
    expected = save(path, kind)
    if expected is None:
        with pytest.raises(InputError, match=r"a\.tif: (has \w+ pixels|holds a stack of 2 images)"):
            open_slide(path)
        return
    with open_slide(path) as slide:
        found = slide.read(0, 0, 128, 96)
    assert found.shape == (96, 128, 3)
    # Pillow's conversion from CMYK rounds.
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("colours", [767, 766, 256, 3 * 512])
def test_a_palette_that_does_not_fit_the_pixels(tmp_path, colours):
    path = tmp_path / "a.tif"
    palette = np.arange(768, dtype=np.uint16).reshape(3, 256)
    tifffile.imwrite(path, PIXELS[..., 0].copy(), photometric="palette", colormap=palette,
                     metadata=None, extratags=[(65000, 3, 1000, (0,) * 1000, True)])  # fmt: skip
    with tifffile.TiffFile(path) as tiff:
        place = tiff.pages[0].tags["ColorMap"].offset
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, place + 4, colours)
    path.write_bytes(data)
    with pytest.raises(InputError, match="its colour map"):
        open_slide(path).read(0, 0, 8, 8)
