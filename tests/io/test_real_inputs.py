"""Real files, each against a reader that is not ours: size, mpp, orientation, pixels."""

from xml.etree import ElementTree

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image, ImageOps
from support import SHARED

from uhrtranslate.io import open_slide

DATA = SHARED / "data"
FILES = sorted(
    str(path.relative_to(DATA))
    for path in DATA.rglob("*")
    if path.is_file() and path.suffix not in (".md", ".txt", ".json")
)
WHOLE_SLIDES = (".svs", ".ndpi", ".dcm")


def by_openslide(path):
    with openslide.OpenSlide(path) as slide:
        names = ("openslide.mpp-x", "openslide.mpp-y")
        mpp = [float(slide.properties[n]) for n in names if n in slide.properties]
        size = min(slide.dimensions[0], 700), min(slide.dimensions[1], 500)
        region = slide.read_region((0, 0), 0, size)
        white = Image.new("RGBA", region.size, "white")
        pixels = np.asarray(Image.alpha_composite(white, region).convert("RGB"))
        return slide.dimensions, tuple(mpp) or None, pixels


def by_tifffile(path):
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        mpp = None
        if tiff.is_ome:
            pixels = ElementTree.fromstring(tiff.ome_metadata).find(".//{*}Pixels")
            assert pixels.get("PhysicalSizeXUnit", "µm") == "µm"
            mpp = float(pixels.get("PhysicalSizeX")), float(pixels.get("PhysicalSizeY"))
        found = page.asarray()[:500, :700, :3]
        return (page.imagewidth, page.imagelength), mpp, found


def by_pillow(path):
    with Image.open(path) as image:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("RGBA", "LA", "P"):
            rgba = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
        return upright.size, None, np.asarray(upright.convert("RGB"))[:500, :700]


def test_the_data_is_found():
    if not DATA.is_dir():
        pytest.skip(f"no {DATA}")
    assert len(FILES) >= 20


@pytest.mark.parametrize("name", FILES)
def test_agrees_with_another_reader(name):
    path = DATA / name
    if path.suffix in WHOLE_SLIDES:
        size, mpp, pixels = by_openslide(path)
    elif path.suffix in (".tif", ".tiff"):
        size, mpp, pixels = by_tifffile(path)
    else:
        size, mpp, pixels = by_pillow(path)
    with open_slide(path) as slide:
        assert (slide.info.width, slide.info.height) == tuple(size)
        if mpp is None:
            assert slide.info.mpp is None or path.suffix == ".tif"
        else:
            assert slide.info.mpp == pytest.approx(mpp, rel=1e-3)
        found = slide.read(0, 0, pixels.shape[1], pixels.shape[0])
        # Libraries round JPEG's colours differently, by a grey level or two.
        assert np.abs(found.astype(int) - pixels).max() <= 3
        for number, level in enumerate(slide.info.levels):
            assert slide.read(level.width - 1, level.height - 1, 1, 1, number).shape == (1, 1, 3)
